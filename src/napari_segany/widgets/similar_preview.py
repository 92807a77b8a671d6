"""The preview of similar objects: one Labels layer of the shown plane. Knows napari's layers, but no Qt."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layer_order import Level, insert_in_order
from napari_segany.widgets.layers import follow, placement, remove, spatial_shape
from napari_segany.widgets.outline_colours import outline_colormap
from napari_segany.widgets.preview_saving import PREVIEW_KEY

SIMILAR_NAME = "similar objects"
SIMILAR_COLOUR = "#f0e442"


class SimilarPreview:
    """Shows masks of one plane that are on offer.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._inner: NDArray[np.int32] | None = None

    def begin(self, image: Image, plane: Plane, ranks: NDArray[np.int32]) -> None:
        """Make ready to show masks of (H, W) ranks, from 1; a gap is left between masks that touch."""
        self._inner = np.where(_borders(ranks), 0, ranks)
        shape = plane.thin_shape(spatial_shape(image))
        if self._layer is None or self._layer not in self._viewer.layers:
            self._layer = Labels(
                np.zeros(shape, np.uint8),
                name=SIMILAR_NAME,
                opacity=0.7,
                metadata={PREVIEW_KEY: True},
                colormap=outline_colormap(SIMILAR_COLOUR),
                **placement(image, plane),
            )
            self._layer.editable = False
            insert_in_order(self._viewer, self._layer, Level.OFFERED, image)
            return
        if self._layer.data.shape != shape:
            self._layer.data = np.zeros(shape, np.uint8)
        follow(self._layer, image, plane)

    def show(self, count: int) -> None:
        """Show the masks up to a rank."""
        if self._layer is None or self._inner is None:
            return
        self._layer.data[...] = ((self._inner > 0) & (self._inner <= count)).reshape(self._layer.data.shape)
        self._layer.visible = True
        self._layer.refresh(extent=False, highlight=False)

    def hide(self) -> None:
        """Show nothing."""
        self._inner = None
        if self._layer is not None and self._layer.visible:
            self._layer.visible = False

    def close(self) -> None:
        """Remove the layer."""
        layer, self._layer, self._inner = self._layer, None, None
        remove(self._viewer, layer)


def _borders(ranks: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return the pixels of masks whose right or lower neighbour is of another mask."""
    borders = np.zeros(ranks.shape, bool)
    for here, there, part in (
        (ranks[:-1], ranks[1:], borders[:-1]),
        (ranks[:, :-1], ranks[:, 1:], borders[:, :-1]),
    ):
        part |= (here != there) & (here > 0) & (there > 0)
    return borders
