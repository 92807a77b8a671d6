"""The contrast limits of an image that `segany embed` may have prepared; imports torch when they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_segany.engine.predictor import Predictor
    from napari_segany.formats.lazy_image import LazyImage

Limits = tuple[float, float]


def prepared_limits(
    predictor: Predictor, image: NDArray[np.generic] | LazyImage, limits: Limits | None, name: str
) -> Limits | None:
    """Return the contrast limits to encode an image with: those that it was prepared with, where none are given.

    What is taken from the folder of prepared embeddings, and why nothing in it serves, is a line on stderr.

    Parameters
    ----------
    predictor : Predictor
        The model, with the folder in its cache; without one the limits stay as they are.
    image : numpy.ndarray or LazyImage
        The image.
    limits : (float, float), optional
        Those that are wanted; None for the default.
    name : str
        What the image is called.
    """
    from napari_segany.engine.cache_prepared import image_preparation_steps
    from napari_segany.engine.progress import drain
    from napari_segany.engine.tiled_embedding import image_limits
    from napari_segany.formats.lazy_image import LazyImage

    folder = None if predictor.cache is None else predictor.cache.prepared
    if folder is None:
        return limits
    # Those of a large image are measured in it: once, for looking here and for encoding.
    asked = image_limits(image) if limits is None and isinstance(image, LazyImage) else limits
    found = drain(image_preparation_steps(folder, predictor, image, asked))
    if found.fits:
        return asked
    if limits is None and len(found.other_limits) == 1:
        low, high = found.other_limits[0]
        print(
            f"segany segment: {name} is seen with the contrast limits {low:.8g} to {high:.8g}, as it was prepared",
            file=sys.stderr,
        )
        return low, high
    print(f"segany segment: {name} is encoded here. {found.reason}", file=sys.stderr)
    return asked


def prepared_stack_limits(
    predictor: Predictor, stack: NDArray[np.generic], limits: Limits | None, name: str
) -> Limits | None:
    """Return the contrast limits to encode a stack with, as `prepared_limits` does for an image.

    Parameters
    ----------
    predictor : Predictor
        The model, with the folder in its cache; without one the limits stay as they are.
    stack : numpy.ndarray
        (Z, H, W) or (Z, H, W, 3).
    limits : (float, float), optional
        Those that are wanted; None for the default.
    name : str
        What the stack is called.
    """
    from napari_segany.engine.cache_prepared import stack_preparation_steps
    from napari_segany.engine.progress import drain
    from napari_segany.engine.propagation_embeddings import stack_limits

    folder = None if predictor.cache is None else predictor.cache.prepared
    if folder is None:
        return limits
    asked = stack_limits(stack) if limits is None else limits
    found = drain(stack_preparation_steps(folder, predictor, stack, asked))
    others = found.first.other_limits
    if limits is None and found.missing == found.slices and len(others) == 1:
        low, high = asked = others[0]
        print(
            f"segany propagate: {name} is seen with the contrast limits {low:.8g} to {high:.8g}, as it was prepared",
            file=sys.stderr,
        )
        found = drain(stack_preparation_steps(folder, predictor, stack, asked))
    if found.missing == found.slices:
        print(f"segany propagate: {name} is encoded here. {found.first.reason}", file=sys.stderr)
    elif found.missing:
        print(
            f"segany propagate: {found.missing} of {found.slices} slices of {name} are not in {folder.folder} and "
            "encoded here where they are reached",
            file=sys.stderr,
        )
    return asked
