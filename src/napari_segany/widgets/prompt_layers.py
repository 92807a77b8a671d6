"""The Points and Shapes layers that take clicks and boxes. The prompts live in them: a session reads them here.

Positions are data coordinates of the image, so prompts of other planes stay where they were made and show again when
the viewer goes back. Knows napari's layers and viewer model, but no model, no embedding and no Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.widgets.box_tool import BoxTool
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.drafts_marks import Marks
from napari_segany.widgets.geometry import Plane, in_same_plane
from napari_segany.widgets.layer_order import LEVEL_KEY, Level, insert_at, settle
from napari_segany.widgets.layers import (
    follow,
    in_units,
    remove,
    set_visible,
    spatial_shape,
    units_ratio,
)
from napari_segany.widgets.marks_in_layers import drop_boxes, empty, marks_in, put_boxes, put_points
from napari_segany.widgets.prompt_layer_looks import BACKGROUND, FOREGROUND, mark, new_boxes, new_points, suited
from napari_segany.widgets.spared_events import measured_at_most_once, select_alone
from napari_segany.widgets.waiting_prompts import WaitingPrompts

__all__ = ["BACKGROUND", "FOREGROUND", "PromptLayers"]

OWNER_KEY = "napari_segany_prompts_of"
"""Key of the metadata of layers that are left with prompts in them: the unique id of their image."""

MIN_BOX_SIDE = 3.0
"""Boxes with a shorter side, in pixels, are slips of the hand: a plain click with the box tool makes one."""


class PromptLayers:
    """The two layers of one image, made when they are needed and made again if the user deleted them.

    They serve one image after the other; prompts of one that is left wait until it is chosen again.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    later : callable
        Runs a callback when the current event is over: napari must not be disturbed while it draws a rectangle.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, later: Callable[[Callable[[], None]], None]) -> None:
        self.points: Points | None = None
        self.boxes: Shapes | None = None
        self.polarity = FOREGROUND
        self.box_tool = BoxTool()
        self.image: Image | None = None
        self._viewer = viewer
        self._later = later
        self._muted = False
        self._spare: list[Points | Shapes] = []
        self._waiting = WaitingPrompts()
        self._paused: dict[Layer, str] = {}
        self._on_made: list[Callable[[Points | Shapes], None]] = []
        self._on_left: list[Callable[[Points | Shapes], None]] = []
        viewer.mouse_drag_callbacks.insert(0, self._pressed)

    def when_made(
        self,
        callback: Callable[[Points | Shapes], None],
        left: Callable[[Points | Shapes], None] = lambda layer: None,
    ) -> None:
        """Call back with each new layer, and with those that are left in the viewer, for keys to be bound."""
        self._on_made.append(callback)
        self._on_left.append(left)

    def attach(self, image: Image | None) -> None:
        """Serve another image, with the prompts that wait for it, or the layers that were left with them."""
        self.detach(spare=image is not None)
        self.image, others = image, set(self._spare)  # with prompts of the last image in them
        self.ensure(most=0)
        self.follow()  # the image may have moved since they were left
        waiting = Marks() if image is None else self._waiting.take(image)
        if waiting:
            self.ensure()
        ours = waiting or marks_in(*(None if layer in others else layer for layer in (self.points, self.boxes)))
        if ours != self.marks:
            self._put(ours)
        self._later(self._make_next)
        for layer in self._spare:  # they wait for an image of as many axes
            empty(layer)
            set_visible(layer, False)

    def detach(self, *, keep: bool = False, spare: bool = False) -> None:
        """Forget the image and remove the layers.

        Parameters
        ----------
        keep : bool
            Keep the prompts: a layer that has some is left as an ordinary one that `attach` takes up again.
        spare : bool
            Leave the layers for the image that is attached next: napari takes long to add or to remove one.
        """
        points, boxes, image = self.points, self.boxes, self.image
        if keep and spare and image in self._viewer.layers:
            self._waiting.keep(image, self.marks)
        self.box_tool.serve(None)
        self.points = self.boxes = self.image = None
        for layer in (points, boxes):
            if layer is not None:
                layer.events.data.disconnect(self._points_edited if layer is points else self._boxes_edited)
                if spare:
                    self._spare.append(layer)
                elif keep and image is not None and len(layer.data):
                    self._leave(layer, image)
                else:
                    remove(self._viewer, layer)
        while self._spare and not spare:
            remove(self._viewer, self._spare.pop())

    def _leave(self, layer: Points | Shapes, image: Image) -> None:
        layer.metadata = {**layer.metadata, OWNER_KEY: image.unique_id}
        layer.mode = "pan_zoom"
        for callback in self._on_left:
            callback(layer)

    def forget_image(self, image: Image) -> None:
        """Drop the prompts that wait for an image that has gone, or has other data now."""
        self._waiting.take(image)

    def ensure(self, most: int = 2) -> None:
        """Take up the layers that were left, and make at most so many of those that are not there."""
        image = self.image
        if image is not None and self.boxes is None:
            boxes = self._found(Shapes, image)
            if boxes is None and most:
                most, boxes = most - 1, new_boxes(image)
            self.boxes = None if boxes is None else self._added(boxes, self._boxes_edited)
            self.box_tool.serve(self.boxes)
        if image is not None and self.points is None:
            points = self._found(Points, image) or (new_points(image) if most else None)
            self.points = None if points is None else self._added(points, self._points_edited)

    def _make_next(self) -> None:
        """Make what is not there, one layer at each turn of the event loop: napari takes long to add one."""
        if self.image is not None and (self.points is None or self.boxes is None):
            self.ensure(most=1)
            self._later(self._make_next)

    def _found(self, kind: type[Layer], image: Image) -> Any:
        """Return the layer that was left with prompts of this image, or one without prompts that fits; else None."""
        there = [layer for layer in self._viewer.layers if isinstance(layer, kind)]
        for layer in there:
            if layer is not self.points and layer.metadata.get(OWNER_KEY) == image.unique_id:
                return layer
        for layer in [one for one in self._spare if one in there and one.ndim == image.ndim]:
            self._spare.remove(layer)
            settle(self._viewer, Level.PROMPTS, image, layer)
            return suited(layer, image)
        return None

    def _added(self, layer: Any, edited: Callable[[Any], None]) -> Any:
        if layer not in self._viewer.layers:
            insert_at(self._viewer, layer, len(self._viewer.layers))
        kept = {key: value for key, value in layer.metadata.items() if key != OWNER_KEY}
        layer.metadata = {**kept, LEVEL_KEY: int(Level.PROMPTS)}
        set_visible(layer, True)
        layer.events.data.connect(edited)
        for callback in self._on_made:
            callback(layer)
        return layer

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was one of these."""
        if layer is self.points:
            self.points = None
        elif layer is self.boxes:
            self.boxes = None
        else:
            return False
        self.changed.emit()
        return True

    def follow(self) -> None:
        """Move the layers to where the image lies now."""
        for layer in (self.points, self.boxes):
            if layer is not None and self.image is not None:
                follow(layer, self.image)

    def close(self, *, keep_layers: bool = False) -> None:
        """Let go of the mouse and, unless all are to stay, of empty layers; prompts that wait get layers."""
        if self._pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._pressed)
        if not keep_layers:
            self.detach(keep=True)
            for image in self._waiting.images:
                if image in self._viewer.layers:
                    self.attach(image)
                    self.detach(keep=True)

    def use(self, tool: str) -> None:
        """Make a click on the canvas add a point ("points"), or a drag draw a box ("boxes")."""
        if tool not in ("points", "boxes"):
            raise ValueError(f'there is no tool {tool!r}; choose "points" or "boxes"')
        self.ensure()
        layer, mode = (self.points, "add") if tool == "points" else (self.boxes, "add_rectangle")
        if layer is not None:
            select_alone(self._viewer, layer)
            layer.mode = mode

    def toggle_polarity(self) -> None:
        """Swap what a plain click means."""
        self.polarity = _other(self.polarity)
        self._next_is(self.polarity)

    def pause(self) -> None:
        """Give the mouse back to panning and zooming, where there is no plane to prompt on."""
        for layer in filter(None, (self.points, self.boxes)):
            if layer.mode != "pan_zoom":
                self._paused[layer] = str(layer.mode)
                layer.mode = "pan_zoom"

    def resume(self) -> None:
        """Take up the tools that `pause` took away."""
        for layer in (self.points, self.boxes):
            if layer is not None and layer in self._paused:
                layer.mode = self._paused[layer]
        self._paused = {}

    def read(self, plane: Plane) -> Prompts:
        """Return the points inside of the image, their labels and the box of a plane."""
        points: tuple[tuple[float, float], ...] = ()
        labels: tuple[int, ...] = ()
        if self.points is not None and self.image is not None and len(self.points.data):
            here = plane.contains(self.points.data)
            positions = plane.to_plane(self.points.data)
            limit = np.asarray(plane.shape_in(spatial_shape(self.image))) - 0.5
            here &= ((positions >= -0.5) & (positions < limit)).all(axis=1)
            points = tuple((float(row), float(col)) for row, col in positions[here])
            labels = tuple(int(name == FOREGROUND) for name in self.points.features["label"][here])
        return Prompts(points, labels, self._box(plane))

    def _box(self, plane: Plane) -> tuple[float, float, float, float] | None:
        here = self._boxes_of(plane)
        if self.boxes is None or self.image is None or not here:
            return None
        corners = plane.to_plane(self.boxes.data[here[-1]])
        limit = np.asarray(plane.shape_in(spatial_shape(self.image))) - 0.5
        low = np.clip(corners.min(axis=0), -0.5, limit)
        high = np.clip(corners.max(axis=0), -0.5, limit)
        if (high - low).min() < MIN_BOX_SIDE:
            return None
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def _boxes_of(self, plane: Plane) -> list[int]:
        if self.boxes is None:
            return []
        return [index for index, corners in enumerate(self.boxes.data) if plane.contains(corners).all()]

    def add_points(self, plane: Plane, positions: ArrayLike, labels: Sequence[int]) -> None:
        """Add points at rows and columns of a plane; label 1 is foreground, 0 background."""
        wrong = [label for label in labels if label not in (0, 1)]
        if wrong:
            raise ValueError(f"label is {wrong[0]!r}; 1 is foreground and 0 is background")
        self.ensure()
        if self.points is None:
            return
        with self._changing():
            for position, label in zip(plane.to_data(positions), labels, strict=True):
                self._next_is(FOREGROUND if label else BACKGROUND)
                self.points.add(position[None])
            mark(self.points)
            self._next_is(self.polarity)
        self.changed.emit()

    def set_box(self, plane: Plane, box: Sequence[float]) -> None:
        """Draw the box (row_min, col_min, row_max, col_max) in place of the plane's present one."""
        if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"box is {tuple(box)}; give (row_min, col_min, row_max, col_max) with min below max")
        self.ensure()
        if self.boxes is None:
            return
        top, left, bottom, right = box
        corners = plane.to_data([(top, left), (top, right), (bottom, right), (bottom, left)])
        with self._changing():
            self.boxes.add_rectangles(corners)
            drop_boxes(self.boxes, self._boxes_of(plane)[:-1])
        self.changed.emit()

    @property
    def marks(self) -> Marks:
        """All points and boxes of all planes, as a value."""
        return marks_in(self.points, self.boxes)

    def put(self, marks: Marks) -> None:
        """Have these points and boxes, and no others."""
        self.ensure()
        self._put(marks)
        self.changed.emit()

    def _put(self, marks: Marks) -> None:
        with self._changing():
            if self.points is not None:
                put_points(self.points, marks, self._next_is)
                self._next_is(self.polarity)
            if self.boxes is not None:
                put_boxes(self.boxes, marks)

    def clear(self, plane: Plane) -> None:
        """Remove the prompts of a plane."""
        with self._changing():
            if self.points is not None and len(self.points.data):
                self.points.remove(np.flatnonzero(plane.contains(self.points.data)).tolist())
            drop_boxes(self.boxes, self._boxes_of(plane))
        self.changed.emit()

    # ---------------------------------------------------------- what napari says

    @contextmanager
    def _mute(self) -> Iterator[None]:
        before, self._muted = self._muted, True
        try:
            yield
        finally:
            self._muted = before

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change points and boxes without acting on what napari tells of it."""
        there = [layer for layer in (self.points, self.boxes) if layer is not None]
        with self._mute(), measured_at_most_once(self._viewer, there):
            yield

    def _pressed(self, viewer: ViewerModel, event: Any) -> None:
        """Decide the polarity of the point that this press may become: napari adds it on release."""
        if self.points is not None and viewer.layers.selection.active is self.points and self.points.mode == "add":
            swap = event.button == 2 or "Control" in event.modifiers
            self._next_is(_other(self.polarity) if swap else self.polarity)

    def _next_is(self, name: str) -> None:
        if self.points is not None and self.points.feature_defaults["label"].tolist() != [name]:  # napari takes long
            self.points.feature_defaults = {"label": name}

    def _points_edited(self, event: Any) -> None:
        action = str(event.action)
        if self._muted or self.points is None or action not in ("added", "removed", "changed"):
            return
        with self._mute():
            if action == "added":
                self._right_units(self.points)
                mark(self.points)
        self.changed.emit()

    def _right_units(self, points: Points) -> None:
        """Correct where napari put the new point when other layers have other units."""
        ratio = units_ratio(self._viewer, points)
        if not np.allclose(ratio, 1):
            data = np.array(points.data, dtype=float)
            data[-1] = in_units(points, data[-1], ratio)
            points.data = data

    def _boxes_edited(self, event: Any) -> None:
        action = str(event.action)
        if self._muted or self.boxes is None or action not in ("added", "removed", "changed"):
            return
        if action == "added":
            self._later(self._settle_boxes)
        else:
            self.changed.emit()

    def _settle_boxes(self) -> None:
        """Keep the newest box of its plane alone: one object has one box."""
        boxes = self.boxes
        if boxes is None or not boxes.nshapes:
            return
        with self._changing():
            ratio = units_ratio(self._viewer, boxes)
            if not np.allclose(ratio, 1):
                newest = np.array([in_units(boxes, corner, ratio) for corner in boxes.data[-1]])
                boxes.data = [*boxes.data[:-1], newest]
            newest = boxes.data[-1]
            stale = [index for index, corners in enumerate(boxes.data[:-1]) if in_same_plane(corners, newest)]
            if np.ptp(newest, axis=0).max() < MIN_BOX_SIDE:
                stale = [boxes.nshapes - 1]
            drop_boxes(boxes, stale)
        self.changed.emit()


def _other(polarity: str) -> str:
    return BACKGROUND if polarity == FOREGROUND else FOREGROUND
