"""Outlines of the windows of a large plane that answer at once, as a Shapes layer that nobody draws in. No Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.layer_order import insert_at
from napari_segany.widgets.layers import follow, placement, remove
from napari_segany.widgets.preview_saving import PREVIEW_KEY

WINDOWS_NAME = "ready windows"
_COLOUR = "#3fae6b"
_WIDTH = 1 / 150  # of a window's side


class WindowsLayer:
    """The layer of outlines.

    Parameters
    ----------
    viewer : ViewerModel
        Shows it.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.layer: Shapes | None = None
        self._viewer = viewer
        self._shown: tuple[Plane, bytes] | None = None

    def show(self, image: Image, plane: Plane, boxes: Floats) -> None:
        """Outline boxes (N, 4) (row_min, col_min, row_max, col_max) in pixels of a plane, half-open."""
        content = (plane, boxes.tobytes())
        if self.layer is None or self.layer.ndim != image.ndim:
            self.close()
            self.layer = Shapes(
                ndim=image.ndim, name=WINDOWS_NAME, metadata={PREVIEW_KEY: True}, opacity=0.7, **placement(image)
            )
            insert_at(self._viewer, self.layer, self._viewer.layers.index(image) + 1)
            self.layer.editable = False
            self.layer.events.editable.connect(self._stay_uneditable)
        else:
            follow(self.layer, image)
        if content != self._shown:
            self._shown = content
            last = boxes - 0.5  # a pixel's centre is its integer position
            corners = [
                [(top, left), (top, right), (bottom, right), (bottom, left)] for top, left, bottom, right in last
            ]
            self.layer.data = []
            width = max(1.0, float(_WIDTH * (boxes[:, 2] - boxes[:, 0]).max()))
            self.layer.add_rectangles(
                [plane.to_data(np.array(four)) for four in corners],
                edge_color=_COLOUR, face_color="transparent", edge_width=width,
            )  # fmt: skip
        self.layer.visible = True

    def hide(self) -> None:
        """Outline nothing."""
        if self.layer is not None and self.layer.visible:
            self.layer.visible = False

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was this one."""
        if layer is None or layer is not self.layer:
            return False
        self._let_go()
        return True

    def close(self, *, keep: bool = False) -> None:
        """Remove the layer, unless the layers are to be left alone because the viewer itself is going."""
        layer = self.layer
        self._let_go()
        if not keep:
            remove(self._viewer, layer)

    def _let_go(self) -> None:
        if self.layer is not None:
            self.layer.events.editable.disconnect(self._stay_uneditable)
        self.layer = self._shown = None

    def _stay_uneditable(self, event: Any = None) -> None:
        """Napari makes a layer editable again when it is shown again."""
        if self.layer is not None and self.layer.editable:
            self.layer.editable = False
