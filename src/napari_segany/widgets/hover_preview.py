"""The mask under the mouse before a click, and that of a box while it is drawn. Knows no Qt.

`session.preview` in the console: `session.preview.toggle()`, or key H.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from napari_segany.engine.encoding import AnyEmbedding
from napari_segany.engine.mask_outline import OutlineRaster
from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.one_each import AnswersInLogits
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.widgets.asker import arguments_of
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import line_width, spatial_shape, world_to_data
from napari_segany.widgets.preview_asker import Preview, PreviewAsker, PreviewQuestion
from napari_segany.widgets.preview_layer import Box, PreviewLayer
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import FOREGROUND, MIN_BOX_SIDE, PromptLayers
from napari_segany.widgets.raster_data import RasterData


class HoverPreview:
    """Shows what a click here would give.

    Parameters
    ----------
    viewer : ViewerModel
        Whose mouse is followed.
    runner : Runner
        Runs the questions.
    embedder : Embedder
        Has the model and the embeddings.
    conversation : Conversation
        Knows the plane, its prompts and its candidates.
    prompt_layers : PromptLayers
        Tell which tool the mouse has.
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    shown : Preview or None
        What is shown.
    """

    changed = Signal(object)
    switched = Signal(bool)
    preferred = Signal(bool)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        prompt_layers: PromptLayers,
        say: Callable[[str], None],
    ) -> None:
        self.shown: Preview | None = None
        self.asked_at = 0.0
        self.layer = PreviewLayer(viewer)
        self._enabled = True
        self._viewer, self._embedder = viewer, embedder
        self._conversation, self._prompt_layers = conversation, prompt_layers
        self._say = say
        self._asker = PreviewAsker(runner, self._answered, self._failed)
        viewer.mouse_move_callbacks.append(self._moved)
        viewer.mouse_drag_callbacks.append(self._dragged)
        viewer.events.mouse_over_canvas.connect(self._left)
        conversation.candidates_changed.connect(self._void)

    @property
    def enabled(self) -> bool:
        """Whether there are previews."""
        return self._enabled

    def switch(self, enabled: bool) -> None:
        """Show previews, or none, as somebody wishes (`preferred` tells)."""
        if enabled != self._enabled:
            self._set(enabled)
            self.preferred.emit(enabled)

    def _set(self, enabled: bool) -> None:
        self._enabled = enabled
        self.hide()
        self.switched.emit(enabled)

    @property
    def policy(self) -> MaskPolicy:
        """Which of three masks is previewed, and shown first after a click, see `MaskPolicy`."""
        return self._conversation.policy

    @policy.setter
    def policy(self, policy: MaskPolicy) -> None:
        choose_mask([1], policy)  # refuses unknown ones
        self._conversation.policy = policy

    def paint(self, masks: tuple[str, ...], preview: str) -> None:
        """Have colours "#rrggbb" for masks on offer and for the preview."""
        self._conversation.layers.paint(masks)
        self.layer.paint(preview)

    @property
    def is_asking(self) -> bool:
        """Whether an answer is on its way: the mouse has moved on."""
        return self._asker.is_busy

    def toggle(self) -> None:
        """Switch previews on or off (key H)."""
        self.switch(not self._enabled)
        self._say(f"The preview under the mouse is {'on' if self._enabled else 'off'}; H switches it.")

    def hide(self) -> None:
        """Show nothing until the mouse moves again."""
        self._asker.invalidate()
        self.layer.hide()
        if self.shown is not None:
            self.shown = None
            self.changed.emit(None)

    def at(self, position: Sequence[float], label: int = 1) -> None:
        """Preview a click at (row, col) of the shown plane."""
        here = self._conversation.prompts
        point = (float(position[0]), float(position[1]))
        self._ask(replace(here, points=(*here.points, point), labels=(*here.labels, label)))

    def box(self, box: Sequence[float]) -> None:
        """Preview the box (row_min, col_min, row_max, col_max) of the shown plane."""
        top, left, bottom, right = (float(edge) for edge in box)
        self._ask(replace(self._conversation.prompts, box=(top, left, bottom, right)))

    def ready_steps(self, image: Image, plane: Plane) -> Iterator[None]:
        """Have the layer of the outline there, see `LayersAhead`."""
        raster = _raster(image, plane)
        if self._enabled and self.layer.make_ready(image, plane, raster):
            yield

    def close(self, *, keep_layers: bool = False) -> None:
        """Let go of the viewer and, unless it is going itself, remove the layer."""
        for callbacks, ours in (
            (self._viewer.mouse_move_callbacks, self._moved),
            (self._viewer.mouse_drag_callbacks, self._dragged),
        ):
            if ours in callbacks:
                callbacks.remove(ours)
        self._viewer.events.mouse_over_canvas.disconnect(self._left)
        self._conversation.candidates_changed.disconnect(self._void)
        self._asker.close()
        if not keep_layers:
            self.layer.close()

    # ------------------------------------------------------------------ the mouse

    def _moved(self, viewer: ViewerModel, event: Any) -> None:
        """Ask about the place under the mouse, if a click there would be a prompt."""
        points = self._prompt_layers.points
        clicking = points is not None and viewer.layers.selection.active is points and points.mode == "add"
        place = self._place(event.position) if self._enabled and clicking else None
        if place is None:
            self.hide()
            return
        swap = "Control" in event.modifiers
        self.at(place, int((self._prompt_layers.polarity == FOREGROUND) != swap))

    def _dragged(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Frame a box while it is drawn, and follow it; a press of any other kind ends the preview."""
        boxes = self._prompt_layers.boxes
        drawing = boxes is not None and viewer.layers.selection.active is boxes and boxes.mode == "add_rectangle"
        start = self._place(event.position, clipped=True) if drawing else None
        frame = None if start is None else self._framing()
        # The frame lies on a raster of the plane, the outline of a large plane on that of a window: not both at once.
        follows = frame is None or not isinstance(self._embedding(), TiledEmbedding)
        self._prompt_layers.box_tool.is_framed = frame is not None
        self._asker.invalidate()
        yield
        while event.type == "mouse_move":
            stop = None if start is None else self._place(event.position, clipped=True)
            if start is not None and stop is not None:
                low, high = np.minimum(start, stop), np.maximum(start, stop)
                if frame is not None:
                    frame((*low, *high))
                if self._enabled and follows and (high - low).min() >= MIN_BOX_SIDE:
                    self.box((*low, *high))
            yield
        if frame is not None:
            frame(None)
        self.hide()

    def _framing(self) -> Callable[[Box | None], None] | None:
        """Return what shows the frame of a box; None where it would look coarse, or is not seen."""
        image, plane = self._conversation.image, self._conversation.plane
        if image is None or plane is None:
            return None
        raster = _raster(image, plane)
        if not self.layer.can_frame(image, plane, raster):
            return None
        width = line_width(self._viewer, image, plane, raster.step[0])
        return lambda box: self.layer.frame(image, plane, raster, box, width)

    def _left(self, event: Any = None) -> None:
        if not self._viewer.mouse_over_canvas:
            self.hide()

    def _void(self, candidates: object = None) -> None:
        """Drop a preview of prompts, or of a plane, that are no longer those."""
        self.hide()

    def _place(self, position: Sequence[float], *, clipped: bool = False) -> tuple[float, float] | None:
        """Return (row, col) of the shown plane for a world position; None outside of it, unless `clipped`."""
        image, plane = self._conversation.image, self._conversation.plane
        if image is None or plane is None or len(position) < image.ndim:
            return None
        row, col = plane.to_plane(world_to_data(self._viewer, image, position))[0]
        limit = np.asarray(plane.shape_in(spatial_shape(image))) - 0.5
        if clipped:
            row, col = np.clip((row, col), -0.5, limit)
        inside = -0.5 <= row <= limit[0] and -0.5 <= col <= limit[1]
        return (float(row), float(col)) if inside else None

    # ---------------------------------------------------------------- asking

    def _ask(self, prompts: Prompts) -> None:
        conversation, predictor = self._conversation, self._embedder.predictor
        plane, image, embedding = conversation.plane, conversation.image, self._embedding()
        if plane is None or image is None or embedding is None or not isinstance(predictor, AnswersInLogits):
            self.hide()
            return
        if isinstance(embedding, TiledEmbedding):
            found = conversation.question_in_window(embedding, prompts)
            if found is None:  # a click would have to wait for the encoder
                self.hide()
                return
            ready, arguments = found
            embedding, raster = ready.embedding, OutlineRaster.of_part(ready.window.image_box)
        else:
            arguments = arguments_of(prompts, conversation.logits_to_refine(prompts))
            raster = _raster(image, plane)
        self._asker.ask(
            PreviewQuestion(
                plane,
                prompts,
                arguments,
                predictor,
                embedding,
                conversation.policy,
                raster,
                line_width(self._viewer, image, plane, raster.step[0]),
                time.perf_counter(),
                RasterData.of(image),
            )
        )

    def _embedding(self) -> AnyEmbedding | None:
        key = self._conversation.key
        return None if key is None else self._embedder.get(key)

    def _answered(self, question: PreviewQuestion, preview: Preview | None) -> None:
        image = self._conversation.image
        if preview is None:
            self.layer.hide()
            return
        if image is None or question.plane != self._conversation.plane or not self._enabled:
            return
        self.layer.show(image, question.plane, preview.outline)
        self.shown, self.asked_at = preview, question.asked_at
        self.changed.emit(preview)

    def _failed(self, error: Exception) -> None:
        self._set(False)  # nobody wished it: it is on again when the dock is opened next
        self._say(f"There is no preview under the mouse: {error}")


def _raster(image: Image, plane: Plane) -> OutlineRaster:
    return OutlineRaster.of(plane.shape_in(spatial_shape(image)))
