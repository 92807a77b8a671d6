"""The contrast limits of an image that `segany embed` may have prepared; imports torch when they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_segany.engine.cache_disk import DiskCache
    from napari_segany.engine.cache_prepared import Preparation, StackPreparation
    from napari_segany.engine.predictor import Predictor
    from napari_segany.formats.lazy_image import LazyImage

Limits = tuple[float, float]


def prepared_limits(
    command: str,
    predictor: Predictor,
    image: NDArray[np.generic] | LazyImage,
    limits: Limits | None,
    name: str,
    *,
    is_stack: bool = False,
) -> tuple[Limits | None, Preparation | None]:
    """Return the contrast limits to encode an image with: those that it was prepared with, where none are given.

    What is taken from the folder of prepared embeddings, and why nothing in it serves, is a line on stderr.

    Parameters
    ----------
    command : str
        Who says so, "segment" or "propagate".
    predictor : Predictor
        The model, with the folder in its cache; without one the limits stay as they are.
    image : numpy.ndarray or LazyImage
        The image; a stack is (Z, H, W) or (Z, H, W, 3).
    limits : (float, float), optional
        Those that are wanted; None for the default.
    name : str
        What the image is called.
    is_stack : bool
        Whether it is a stack, whose slices are looked for.

    Returns
    -------
    limits : tuple of float or None
        The contrast limits.
    found : Preparation or None
        What the folder holds with them, of a stack of the first slice that it does not hold; None without a folder.
    """
    folder = None if predictor.cache is None else predictor.cache.prepared
    if folder is None:
        return limits, None
    asked, found = _looked_up(folder, predictor, image, limits, is_stack=is_stack)
    others = found.first.other_limits
    if limits is None and found.missing == len(found.keys) and len(others) == 1:
        from napari_segany.engine.cache_prepared import stack_preparation

        low, high = asked = others[0]
        _say(command, f"{name} is seen with the contrast limits {low:.8g} to {high:.8g}, as it was prepared")
        found = stack_preparation(folder, found.keys, predictor.accepted_precisions, asked)
    if found.missing == len(found.keys) and not found.first.fits:
        _say(command, f"{name} is encoded here. {found.first.reason}")
    elif found.missing:
        slices = f"{found.missing} of {len(found.keys)} slices of {name}"
        _say(command, f"{slices} are not in {folder.folder} and encoded here where they are reached")
    return asked, found.first


def _looked_up(
    folder: DiskCache,
    predictor: Predictor,
    image: NDArray[np.generic] | LazyImage,
    limits: Limits | None,
    *,
    is_stack: bool,
) -> tuple[Limits | None, StackPreparation]:
    """Return the contrast limits with which an image or a stack is looked for, and what there is of it."""
    from napari_segany.engine.cache_prepared import StackPreparation, image_preparation_steps, stack_preparation_steps
    from napari_segany.engine.progress import drain
    from napari_segany.engine.propagation_embeddings import stack_limits
    from napari_segany.engine.tiled_embedding import image_limits
    from napari_segany.formats.lazy_image import LazyImage

    # Those of a large image or a stack are measured in it: once, for looking here and for encoding.
    if isinstance(image, LazyImage):
        limits = image_limits(image) if limits is None else limits
    elif is_stack:
        limits = stack_limits(image) if limits is None else limits
        return limits, drain(stack_preparation_steps(folder, predictor, image, limits))
    return limits, StackPreparation.of_image(drain(image_preparation_steps(folder, predictor, image, limits)))


def _say(command: str, sentence: str) -> None:
    print(f"segany {command}: {sentence}", file=sys.stderr)
