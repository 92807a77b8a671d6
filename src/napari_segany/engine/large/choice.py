"""Which images of a batch are done tile by tile, and what is not written of those. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_segany.engine import tiling
from napari_segany.engine.batch.output_names import VECTOR_OUTPUTS

if TYPE_CHECKING:
    from napari_segany.engine.batch.settings import BatchSettings

WRITTEN = ("labels", "csv", *VECTOR_OUTPUTS)
"""The outputs that are written of an image in tiles."""

TILES = "tiles"
"""Name of the plane of an image that was done tile by tile."""


def goes_by_tiles(image_shape: tuple[int, int], settings: BatchSettings) -> bool:
    """Tell whether an image is done tile by tile where nobody says how.

    A large one is, unless tiles cannot give what is asked for and the image can still be done as a whole.

    Parameters
    ----------
    image_shape : (int, int)
        (H, W), in pixels.
    settings : BatchSettings
        What is asked for.
    """
    if not tiling.is_large(image_shape):
        return False
    needs_the_whole = bool(not_written(settings)) or settings.painting == "separate" or settings.text is not None
    return not needs_the_whole or image_shape[0] * image_shape[1] > tiling.WHOLE_PIXELS


def not_written(settings: BatchSettings) -> tuple[str, ...]:
    """Return the outputs that are asked for and not written of an image in tiles."""
    return tuple(name for name in settings.outputs if name not in WRITTEN)


def not_written_text(settings: BatchSettings) -> str:
    """Return what to say of them; "" where everything is written."""
    names = not_written(settings)
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not written" if names else ""
