"""One image that prompts are asked about: read as a whole, or where it is large opened and read window by window."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.image import checked_image
from napari_segany.engine.tiling import WHOLE_PIXELS, is_large
from napari_segany.formats.geo_pyramid import RasterView, raster_levels
from napari_segany.formats.image_file import read_image
from napari_segany.formats.lazy_files import is_zarr, open_lazy, plane_shape
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.plane_choice import PlaneChoice

Limits = tuple[float, float]


@dataclass(frozen=True, eq=False)
class PromptedImage:
    """An image to be asked.

    Attributes
    ----------
    pixels : numpy.ndarray or LazyImage
        (H, W) or (H, W, 3); of a large image what reads its windows.
    contrast_limits : tuple of float or None
        Intensities that become black and white; None for the default.
    view : RasterView or None
        What is shown of which raster, for one with a place on Earth.
    """

    pixels: NDArray[np.generic] | LazyImage
    contrast_limits: Limits | None = None
    view: RasterView | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def file_to_prompt(
    path: str | os.PathLike[str],
    plane: int | None = None,
    contrast_limits: Limits | None = None,
    *,
    as_whole: bool = False,
) -> PromptedImage:
    """Open an image file, or read it where it is small.

    Parameters
    ----------
    path : path
        An image file, or a zarr of one plane.
    plane : int, optional
        Which plane of a stack; the file is read then, and the plane asked in windows where it is large.
    contrast_limits : (float, float), optional
        Intensities that become black and white.
    as_whole : bool
        Read a large one too, for what windows cannot answer.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is damaged, no image, or too large to be read where it must be.
    """
    path = Path(path)
    choice = None if plane is None or not is_zarr(path) else PlaneChoice((("", plane),))
    shape = plane_shape(path, choice) if is_zarr(path) or (plane is None and path.is_file()) else None
    if shape is not None and is_large(shape):
        _check_whole(path.name, shape, as_whole)
        if not as_whole:
            return PromptedImage(open_lazy(path, choice), contrast_limits)
    if is_zarr(path):
        image = open_lazy(path, choice)
        return PromptedImage(checked_image(image.read((0, 0, *image.shape))), contrast_limits)
    pixels = checked_image(read_image(path, plane=plane))
    in_windows = plane is not None and is_large((pixels.shape[0], pixels.shape[1])) and not as_whole
    return PromptedImage(LazyImage((pixels,)) if in_windows else pixels, contrast_limits)


def raster_to_prompt(
    view: RasterView, contrast_limits: Limits | None = None, *, as_whole: bool = False
) -> PromptedImage:
    """Open a raster with a place on Earth as it is seen, or read it where it is small.

    Parameters
    ----------
    view : RasterView
        The raster with its bands and its one stretch.
    contrast_limits : (float, float), optional
        Intensities that become black and white, instead of the stretch.
    as_whole : bool
        Read a large one too, for what windows cannot answer.

    Raises
    ------
    OSError
        Where the file is gone.
    ValueError
        For a file that is damaged, or too large to be read where it must be.
    """
    size = view.raster.size
    limits = None if view.choice.is_rgb else (view.stretch.low[0], view.stretch.high[0])
    if is_large(size):
        _check_whole(view.raster.name, size, as_whole)
    if as_whole or not is_large(size):
        return PromptedImage(checked_image(view.read()), contrast_limits or limits, view)
    seen = view.within(contrast_limits)  # colours are stretched where they are read, as `segany embed` does
    return PromptedImage(raster_levels(seen), limits and (contrast_limits or limits), seen)


def _check_whole(name: str, shape: tuple[int, int], as_whole: bool) -> None:
    if as_whole and shape[0] * shape[1] > WHOLE_PIXELS:
        raise ValueError(
            f"{name} has {shape[0]} x {shape[1]} pixels and is asked window by window, where words are no prompt; "
            "give points or a box without --text, or cut it into smaller images"
        )
