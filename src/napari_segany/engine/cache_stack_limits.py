"""The contrast limits with which planes of a stack are embedded, so that the layer that shows them is found.

Napari's own reader makes one layer of a zarr with all its channels, readers for OME-Zarr one of each channel. Of
arrays that are read lazily napari takes the limits from the coarsest level of the plane that it shows first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.cache_key import Limits
from napari_segany.engine.cache_limits import layer_limits, plane_limits_steps
from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.progress import Steps
from napari_segany.engine.tiled_embedding import image_limits
from napari_segany.engine.tiling import is_large
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.named_axes import CHANNEL, NamedAxes
from napari_segany.formats.plane_choice import PlaneChoice

Mapping = Literal["layer", "stack", "percentiles"]
"""Where contrast limits come from: those of a new napari layer (of a zarr, of one that holds the channel alone),
those of one layer of the whole stack, or the engine's own, of all that is embedded."""

_SAMPLED_PLANES = 64


class StackLimits:
    """The contrast limits of the planes of one file; what is the same for many planes is measured once.

    Parameters
    ----------
    axes : NamedAxes
        The file.
    planes : sequence of PlaneChoice
        Those that are embedded.
    mapping : str or (float, float)
        Where the limits come from, or the limits themselves.
    is_zarr : bool
        Whether napari reads the file lazily, with its levels.
    """

    def __init__(
        self, axes: NamedAxes, planes: Sequence[PlaneChoice], mapping: Mapping | Limits, *, is_zarr: bool
    ) -> None:
        self._axes, self._planes, self._mapping, self._is_zarr = axes, planes, mapping, is_zarr
        self._known: dict[PlaneChoice | None, Limits] = {}

    def steps(self, choice: PlaneChoice) -> Steps[Limits]:
        """Return the contrast limits of a plane.

        Raises
        ------
        OSError, ValueError
            Where the pixels cannot be reached, or are damaged.
        """
        if isinstance(self._mapping, tuple):
            return self._mapping
        if self._axes.plane(choice).has_colours:  # a layer of colours has none: the model sees each with its own
            return self._sampled([choice])
        is_own = self._mapping == "layer"
        window = self._axes.window(choice) if is_own else None
        if window is not None:
            return window
        is_lazy = self._is_zarr and self._mapping != "percentiles"
        first = self._axes.at_first(choice, CHANNEL if is_own else None) if is_lazy else None
        if first not in self._known:
            self._known[first] = yield from self._measured_steps(first)
        return self._known[first]

    def _measured_steps(self, first: PlaneChoice | None) -> Steps[Limits]:
        """Return the limits of a layer that shows a plane first, or those of all planes together."""
        if first is not None:
            return (yield from plane_limits_steps(self._axes.plane(first), with_levels=True))
        if self._mapping == "percentiles":
            return self._sampled(self._planes)
        return layer_limits(self._axes.levels[0], has_colours=False) or (0.0, 255.0)

    def _sampled(self, choices: Sequence[PlaneChoice]) -> Limits:
        """Return the engine's own limits of some planes together."""
        planes = [self._axes.plane(choice) for choice in choices]
        if planes[0].dtype in (np.uint8, np.bool_):  # these have limits of their own: nothing needs to be read
            return image_limits(planes[0])
        places = np.unique(np.linspace(0, len(planes) - 1, min(len(planes), _SAMPLED_PLANES)).round().astype(int))
        return default_limits(checked_image(np.concatenate([_pixels(planes[place]) for place in places])))


def _pixels(plane: LazyImage) -> NDArray[np.generic]:
    return plane.sample() if is_large(plane.shape) else plane.read((0, 0, *plane.shape))
