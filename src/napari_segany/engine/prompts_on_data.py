"""Prompts where a raster has no data: nothing is asked there."""

from __future__ import annotations

import numpy as np

from napari_segany.engine.prompts import Prompt
from napari_segany.formats.geo_pyramid import RasterView


def why_without_data(prompt: Prompt, view: RasterView) -> str | None:
    """Return what a prompt asks where a raster has no data, as the beginning of a sentence; None for nothing.

    Parameters
    ----------
    prompt : Prompt
        A single one: each of its points must lie on data, its box must hold some.
    view : RasterView
        The raster as it is seen.
    """
    name = view.raster.name
    if prompt.points is not None:
        missing = prompt.points[~view.valid_at(prompt.points)]
        if len(missing):
            return f"{name} has no data at the point ({missing[0][0]:g}, {missing[0][1]:g})"
    if prompt.box is not None and not view.has_data(prompt.box.tolist()):
        return f"{name} has no data in the box ({', '.join(f'{side:g}' for side in prompt.box)})"
    return None


def split_by_data(prompts: Prompt, view: RasterView) -> tuple[Prompt | None, tuple[int, ...]]:
    """Return the prompts of a batch that lie on data, None for none; and the numbers of the others, from 0.

    Parameters
    ----------
    prompts : Prompt
        A batch of points (B, N, 2), boxes (B, 4), or both.
    view : RasterView
        The raster as it is seen.
    """
    is_good = np.ones(prompts.batch_size or 1, bool)
    if prompts.points is not None:
        is_good &= view.valid_at(prompts.points.reshape(-1, 2)).reshape(prompts.points.shape[:2]).all(axis=1)
    if prompts.box is not None:
        is_good &= [view.has_data(box) for box in prompts.box.tolist()]
    left_out = tuple(np.flatnonzero(~is_good).tolist())
    return (prompts.part(is_good) if is_good.any() else None), left_out
