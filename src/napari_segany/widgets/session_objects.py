"""The accepted objects of a session: their layer, history, editor and brush kept together. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.formats.session_file import SavedSession
from napari_segany.widgets.brush import Brush
from napari_segany.widgets.class_values import saved_classes
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Candidate, ObjectPrompt
from napari_segany.widgets.earlier_work import told_steps
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.history_recorder import Recorder
from napari_segany.widgets.layers import AHEAD_PIXELS, may_be_ahead, object_on_plane, spatial_shape, unwrap
from napari_segany.widgets.object_browser import ObjectBrowser
from napari_segany.widgets.object_classes import ObjectClasses
from napari_segany.widgets.object_editor import ObjectEditor
from napari_segany.widgets.object_reopening import Reopener
from napari_segany.widgets.objects import OWNER_KEY, Added, ObjectsLayer
from napari_segany.widgets.objects_outline import ObjectsOutline
from napari_segany.widgets.preview_saving import is_preview
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.provenance import Accepted
from napari_segany.widgets.session_restoring import present_state, put_state_back
from napari_segany.widgets.session_saving import Autosave
from napari_segany.widgets.spare_objects import SpareObjects
from napari_segany.widgets.work_log import WorkLog


class SessionObjects:
    """What happens to the objects of the image that is worked on.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    conversation : Conversation
        Has the drafts.
    prompt_layers : PromptLayers
        Have the points and boxes.
    say : callable
        Receives sentences for the user.
    runner : Runner
        Saves in the background.
    choices : callable
        Returns what was chosen besides the prompts, to be saved.
    folder : Path, optional
        Where the work is saved by itself; nowhere without.

    Attributes
    ----------
    layer : ObjectsLayer or None
        The objects; None without an image.
    recorder, editor : Recorder, ObjectEditor
        The history, and what people do with the objects.
    log : WorkLog
        How the objects came about.
    classes, table : ObjectClasses, ObjectBrowser
        Their classes, and the table of them.
    saving : Autosave or None
        Saves the work by itself, where a folder is given for that.
    """

    offered = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        conversation: Conversation,
        prompt_layers: PromptLayers,
        say: Callable[[str], None],
        *,
        choices: Callable[[], dict[str, Any]],
        folder: Path | None = None,
    ) -> None:
        self.layer: ObjectsLayer | None = None
        self._viewer, self._runner = viewer, runner
        self._earlier = ""
        self._conversation = conversation
        self._prompt_layers = prompt_layers
        self._on_made: list[Callable[[Layer], None]] = []
        self._on_released: list[Callable[[Layer], None]] = []
        self.recorder = Recorder(viewer, conversation, prompt_layers)
        self._reopener = Reopener(viewer, conversation, prompt_layers)
        self._outline = ObjectsOutline(viewer, self._made, runner.later)
        self._spare = SpareObjects(viewer)
        self.editor = ObjectEditor(self.recorder, self._reopener, self._outline, say)
        self.classes = ObjectClasses(
            viewer, runner, self.recorder, self.editor, say, lambda: bool(conversation.candidates)
        )
        self.table = ObjectBrowser(viewer, runner, self.classes, self.editor, say)
        self._brush = Brush(say)
        self._say = say
        self._image: Image | None = None
        self._logs: dict[str, WorkLog] = {}
        self.log = WorkLog()
        self._choices = choices
        self.saving = None if folder is None else Autosave(folder, runner, self.state, say)
        if self.saving is not None:
            self.recorder.changed.connect(self.saving.changed)
            conversation.under_work_changed.connect(self.saving.changed)

    def when_layer_made(self, made: Callable[[Layer], None], released: Callable[[Layer], None]) -> None:
        """Call back with each layer that is taken up or made, and with each that is left in the viewer."""
        self._on_made.append(made)
        self._on_released.append(released)

    def turn_to(self, image: Image | None) -> None:
        """Work on the objects of another image; the layer of the last one stays in the viewer.

        Call it when the prompt layers serve that image.
        """
        if self.saving is not None:
            self.saving.turn_to(image)
        self.log.leave(None if self.layer is None else self.layer.layer)
        self._image = image
        self.log = WorkLog() if image is None else self._logs.setdefault(image.unique_id, WorkLog())
        before, self.layer = self.layer, None if image is None else ObjectsLayer(self._viewer, image, self._spare)
        if self.layer is not None:
            self.layer.taken_up.connect(self._made)
            self.layer.released.connect(self._released)
            self.layer.taken_up.connect(self.log.take_up)
            self.layer.touched.connect(self.log.note)
            self.layer.replaced.connect(self.log.begin_anew)
            if self.saving is not None:
                self.saving.log = self.log
                self.layer.taken_up.connect(self.saving.layer_taken_up)
                self.layer.touched.connect(self.saving.pixels_changed)
        self._brush.turn_to(self.layer)
        self.recorder.turn_to(image, self.layer)
        self.editor.turn_to(image, self.layer)
        self.classes.turn_to(self.layer)
        self.table.turn_to(image, self.layer)
        if before is not None:
            before.close()
        if self.layer is not None:
            self.layer.find()
        self._look_for_earlier(image)

    @property
    def offer(self) -> str:
        """The sentence that offers what an earlier session left; "" without such, or once something was done."""
        history = self.recorder.history
        return "" if history.can_undo or history.can_redo else self._earlier

    def _look_for_earlier(self, image: Image | None) -> None:
        """Read in the background what there is of earlier work: it may be much."""
        self._earlier, path = "", None if self.saving is None else self.saving.earlier

        def read(sentence: str) -> None:
            if image is self._image:
                self._earlier = sentence
                if self.offer:
                    self.offered.emit()

        if path is not None:  # what is wrong with it is said when it is asked for
            self._runner.start("Looking at earlier work", told_steps(path), done=read, failed=lambda error: None)

    def turn_to_plane(self, plane: Plane | None) -> None:
        """Take note of the plane that is shown now."""
        self.editor.turn_to_plane(plane)
        self.table.turn_to_plane(plane)

    def use_object(self, plane: Plane, labels: Labels, label: int | None) -> None:
        """Take an object of a Labels layer (without `label` the layer's selected one) as mask prompt.

        Raises
        ------
        ValueError
            If it is no Labels layer, or the object is not on the plane.
        """
        labels = unwrap(labels)
        if self._image is None or not isinstance(labels, Labels):
            raise ValueError(f"got {type(labels).__name__}; choose a Labels layer whose object serves as prompt")
        label = int(labels.selected_label) if label is None else int(label)
        mask = object_on_plane(labels, label, self._image, plane)
        with self.recorder.step(f"use of object {label}"):
            self._conversation.begin_with(ObjectPrompt(mask, labels.name, label, labels.unique_id))

    def accept(self, plane: Plane, candidate: Candidate, *, model: str, overlap: OverlapRule) -> Added:
        """Make a candidate an object and drop its prompts, as one step of the history.

        Raises
        ------
        NothingToAddError
            If it has no pixel that may be written.
        ValueError
            Without an image.
        """
        if self.layer is None:
            raise ValueError("no image is chosen; call choose_image with an Image layer")
        if self.editor.clean_accepted:
            candidate = replace(candidate, mask=self.editor.cleaning.apply(candidate.mask))
        talk = self._conversation
        asked, chosen, answerer = talk.replayable, talk.selected, talk.answerer
        with self.recorder.step("accepted object"), self.log.explaining() as explanations:
            added = self.layer.add(
                plane,
                candidate,
                self._conversation.answered,
                model=model,
                overlap=overlap,
            )
            cleaning = self.editor.cleaning if self.editor.clean_accepted else None
            if asked:
                explanations.append(Accepted(plane, asked, chosen, answerer, added.label, overlap, cleaning))
            self.classes.accepted(added.label)
            self._reopener.drop()
        return added

    def ready_steps(self, image: Image, plane: Plane) -> Iterator[None]:
        """Have the layers there that the next object and its outline need, see `LayersAhead`."""
        needs_one = self.layer is not None and self.layer.layer is None and may_be_ahead(image, plane)
        yield from self._spare.ready_steps(image if needs_one else None, self._without_objects(image))
        yield from self._outline.ready_steps(image, plane)

    def _without_objects(self, image: Image) -> Image | None:
        """Return the topmost other image that has no objects and is not too large for a layer ahead."""
        owners = {layer.metadata.get(OWNER_KEY) for layer in self._viewer.layers if isinstance(layer, Labels)}
        for other in reversed(self._viewer.layers):
            is_new = isinstance(other, Image) and other is not image and other.unique_id not in owners
            if is_new and not is_preview(other) and np.prod(spatial_shape(other)) <= AHEAD_PIXELS:
                return other
        return None

    def put_back(self, saved: SavedSession) -> None:
        """Have prompts, objects and classes of a saved session in place of the present ones, as one step of history.

        Raises
        ------
        ValueError
            Without an image, or for a list of classes that is damaged.
        """
        if self.layer is None:
            raise ValueError("no image is chosen; call choose_image with an Image layer")
        classes = saved_classes(saved.choices)
        with self.recorder.step("restoring"), self.log.explaining() as explanations:
            if classes is not None:  # before the objects: classes that nobody defined would be taken up by alphabet
                self.classes.put_back(*classes)
            put_state_back(saved, self.recorder, self._conversation, self._prompt_layers, self.layer)
            if saved.log is not None:
                explanations.append(saved.log)

    def save_now(self) -> None:
        """Save what is due, before something of it goes."""
        if self.saving is not None:
            self.saving.save_now()

    def save_left(self) -> None:
        """Save what is due in the background, because another image is chosen."""
        if self.saving is not None:
            self.saving.save_left()

    def layer_goes(self) -> None:
        """Take note that a layer of the image is about to be removed."""
        if self.saving is not None:
            self.saving.layer_goes()

    def image_gone(self) -> None:
        """Take note that the image was removed, and maybe all its layers before it."""
        if self.saving is not None:
            self.saving.image_gone()

    def state(self, *, even_untouched: bool = False) -> SavedSession | None:
        """Return prompts, rows and choices as they are; None where nothing was done yet."""
        history = self.recorder.history
        if self._image is None or not (even_untouched or history.can_undo or history.can_redo):
            return None
        state = present_state(self._conversation, self._prompt_layers, self.layer)
        return replace(state, model=self._conversation.answerer.model, choices=self._choices())

    def forget_image(self, image: Image) -> None:
        """Drop the history of an image that has gone, or has other data now."""
        self.recorder.forget_image(image)
        self._logs.pop(image.unique_id, None)
        if self.saving is not None:
            self.saving.forget_image(image)

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was the layer of objects."""
        self._outline.forget(layer)
        self._spare.forget(layer)
        gone = self.layer is not None and self.layer.forget(layer)
        if gone:
            self.editor.look_again()
        return gone

    def follow(self) -> None:
        """Move the layers to where the image lies now."""
        if self.layer is not None:
            self.layer.follow()
        self.editor.look_again()

    def close(self, *, keep_layers: bool = False) -> None:
        """Let go of the viewer; unless it is going itself, remove the outline."""
        self.table.close(keep_layers=keep_layers)
        if keep_layers:
            self.save_now()
            return
        self.turn_to(None)
        self._outline.close()
        self._spare.close()

    def _made(self, layer: Layer) -> None:
        for callback in self._on_made:
            callback(layer)

    def _released(self, layer: Layer) -> None:
        for callback in self._on_released:
            callback(layer)
