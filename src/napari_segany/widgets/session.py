"""The state of one viewer's prompting: image, model, prompts, candidates. Everything that the buttons do is a method.

Knows napari's viewer model and layers, but no Qt: how work is run is the runner's business. `widget.session` in
napari's console is this object::

    session.add_point((120, 80))            # row, column of the shown plane
    session.add_point((10, 15), label=0)    # background
    session.next_candidate()
    session.accept()                        # -> the label in the layer `objects`
    session.undo()                          # prompts, accepted objects, edits and brush strokes, one by one
    session.files.save("cells.session.json")   # and open; files.script() is the same as a script
    session.editor.delete([3])              # merge, split, clean_up and reopen too: see `ObjectEditor`
    session.one_each.from_layer(layer)      # an object for each of its points or boxes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from napari_segany.engine.object_overlap import OverlapRule, check_overlap_rule
from napari_segany.engine.progress import Steps
from napari_segany.widgets.advice import advice
from napari_segany.widgets.calm_layer_list import CalmLayerList
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder, EmbeddingState, LoadPredictor
from napari_segany.widgets.find_similar import FindSimilar
from napari_segany.widgets.history import History
from napari_segany.widgets.history_recorder import Recorder
from napari_segany.widgets.hover_preview import HoverPreview
from napari_segany.widgets.image_series import ImageSeries
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.object_editor import ObjectEditor
from napari_segany.widgets.objects import NothingToAddError, ObjectsLayer
from napari_segany.widgets.one_each import OneEach
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.session_choices import present_choices
from napari_segany.widgets.session_files import SessionFiles
from napari_segany.widgets.session_image import SessionImage
from napari_segany.widgets.session_objects import SessionObjects
from napari_segany.widgets.session_under_work import ObjectUnderWork
from napari_segany.widgets.stack_work import StackWork

DEFAULT_CACHE_BYTES = 2 * 1024**3


class PromptSession(ObjectUnderWork):
    """Prompting in one viewer; what concerns the object under work is in `ObjectUnderWork`.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer (or the proxy of it that plugins get).
    runner : Runner
        Runs long work: `SynchronousRunner` in scripts, `BackgroundRunner` under Qt.
    load_predictor : callable
        Makes a predictor from the names of a model and a device.
    model, device : str
        What to begin with.
    cache_bytes : int
        Bytes of image embeddings to keep, so that going back to a slice costs nothing.
    autosave : Path, optional
        Folder in which the work is saved by itself; nowhere without.

    Attributes
    ----------
    classes, table, similar, preview : ObjectClasses, ObjectBrowser, FindSimilar, HoverPreview
        Classes of the accepted objects, their table, others that look like them; the mask under the mouse.
    files : SessionFiles
        Saves the session, opens it again, and writes it as a script.
    status : str
        What is the matter, and what to do next, in one sentence.
    stack, one_each, series, windows : StackWork, OneEach, ImageSeries, WindowsAhead
        Objects through a stack; one for each of many prompts; a folder worked through; windows of a large image.
    """

    image_changed = Signal(object)
    model_changed = Signal(str)
    embedding_changed = Signal(EmbeddingState)
    status_changed = Signal(str)
    accepted = Signal(int)
    history_changed = Signal()
    choices_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        load_predictor: LoadPredictor,
        *,
        model: str = "light",
        device: str = "auto",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        autosave: Path | None = None,
    ) -> None:
        self.viewer: ViewerModel = unwrap(viewer)
        self._overlap: OverlapRule = "keep"
        self.status, self._phase = "", "none"
        self._runner = runner
        self._layer_list = CalmLayerList(self.viewer, runner.later)
        self._embedder = Embedder(runner, load_predictor, cache_bytes, model=model, device=device)
        prompt_layers = PromptLayers(self.viewer, runner.later)
        conversation = Conversation(self.viewer, runner, self._embedder, prompt_layers)
        asked = (conversation, prompt_layers)
        choices = partial(present_choices, self, conversation)
        self._work = SessionObjects(self.viewer, runner, *asked, self._say, choices=choices, folder=autosave)
        self.files = SessionFiles(self, self._work, runner, self._say)
        self._recorder, self.classes, self.table = self._work.recorder, self._work.classes, self._work.table
        self.similar = FindSimilar(self.viewer, runner, self._embedder, conversation, self._work, self._say)
        parts = (self._embedder, *asked, self._work)
        self.preview = HoverPreview(self.viewer, runner, self._embedder, *asked, self._say)
        chosen = SessionImage(self.viewer, runner, *parts, self._say)
        self.windows = chosen.windows
        rule: Callable[[], OverlapRule] = lambda: self._overlap  # noqa: E731
        self.stack = StackWork(self.viewer, runner, *parts, self._say, overlap=rule)
        self.one_each = OneEach(self.viewer, runner, *parts, self._say, rule)
        super().__init__(*asked, self._work, chosen)
        self.series = ImageSeries(self, runner, self._embedder, self._say)
        self._chosen.changed.connect(self.image_changed.emit)
        for moved in (self._chosen.became_stale, self._conversation.encoding_changed):
            moved.connect(lambda: self.embedding_changed.emit(self.embedding_state))
        self._embedder.state_changed.connect(self._embedding_moved)
        self.prompt_layers.changed.connect(self._prompts_edited)
        self._conversation.settled.connect(lambda: self._say(None))
        self._conversation.failed.connect(self._say)
        self._recorder.stepped.connect(self._work_changed)
        self._recorder.changed.connect(self.history_changed.emit)
        self._work.offered.connect(lambda: self._say(None) if self._phase != "failed" else None)
        self._say(None)

    @property
    def model(self) -> str:
        """Name (or checkpoint file) of the model that answers."""
        return self._embedder.model

    @property
    def device(self) -> str:
        """Where it computes: "auto", "cuda", "mps" or "cpu"."""
        return self._embedder.device

    @property
    def overlap(self) -> OverlapRule:
        """What becomes of pixels that other objects have, when a mask is accepted, see `OverlapRule`."""
        return self._overlap

    @overlap.setter
    def overlap(self, rule: OverlapRule) -> None:
        check_overlap_rule(rule)
        self._overlap = rule

    @property
    def image(self) -> Image | None:
        """The image that is worked on."""
        return self._chosen.image

    @property
    def objects(self) -> ObjectsLayer | None:
        """The accepted objects of the image (`objects.layer`)."""
        return self._work.layer

    @property
    def editor(self) -> ObjectEditor:
        """Selects, deletes, merges, splits, cleans and opens accepted objects."""
        return self._work.editor

    def choose_image(self, image: Image | None) -> None:
        """Work on another image: prompts that were not accepted wait for its return, accepted objects stay."""
        self._chosen.choose(image)

    def choose_image_in_turns(self, image: Image | None, done: Callable[[], None]) -> None:
        """As `choose_image`, with the event loop in between, so that the window does not stand still so long."""
        self._chosen.choose_in_turns(image, done)

    def choose_model(self, name: str) -> None:
        """Answer with another model; the prompts stay and are asked again."""
        if name != self.model or self.embedding_state.phase in ("none", "failed"):
            self._embedder.model = name
            self._start_over()
        self.model_changed.emit(name)

    def choose_device(self, device: str) -> None:
        """Compute on another device: "auto", "cuda", "mps" or "cpu"."""
        if device != self.device:
            self._embedder.device = device
            self._start_over()

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights in the background, with the embedding's progress and Cancel, then call `done`."""
        self._embedder.download(title, steps, done)

    def compute_embedding(self) -> None:
        """Compute the embedding of the shown plane with the present contrast, unless it is there."""
        self._conversation.prepare()

    def cancel(self) -> None:
        """Stop what runs in the background; the next prompt begins it anew."""
        for stop in (self._embedder.cancel_download, self._chosen.stop_work, self.stack.cancel, self.one_each.cancel):
            stop()

    @property
    def embedding_state(self) -> EmbeddingState:
        """How far the embedding of the shown plane is."""
        return self._conversation.embedding_state

    @property
    def embedding_is_stale(self) -> bool:
        """Whether the contrast has changed since; the next prompt computes the embedding again."""
        return self._conversation.is_stale

    def accept(self) -> int | None:
        """Keep the shown candidate as the next object (key N).

        What becomes of pixels of other objects is told by `overlap`. If an object of the layer `objects` was the mask
        prompt, or was opened again, the candidate takes its place.

        Returns
        -------
        int or None
            The object's label in the layer `objects`; None, with the reason in `status`, if nothing was kept.
        """
        if self.plane is None or not self.candidates:
            self._say("There is no mask to accept yet: click on an object first.")
            return None
        chosen = self.candidates[self.selected]
        try:
            added = self._work.accept(self.plane, chosen, model=self.model, overlap=self.overlap)
        except NothingToAddError as error:
            self._say(str(error))
            return None
        self._say(f"{added} Click on the next one.")
        self.accepted.emit(added.label)
        return added.label

    @property
    def history(self) -> History[Recorder]:
        """What was done to prompts and objects of the image, in its order, and what was undone."""
        return self._recorder.history

    def undo(self) -> bool:
        """Undo the last change of prompts or objects (Ctrl-Z); return whether there was one."""
        self.stack.cancel()
        step = self._recorder.undo()
        done = "There is nothing to undo." if step is None else f"Undone: {step.title}. Ctrl-Shift-Z does it again."
        self._say(done)
        return step is not None

    def redo(self) -> bool:
        """Do again what was undone last (Ctrl-Shift-Z); return whether there was something."""
        self.stack.cancel()
        step = self._recorder.redo()
        self._say("There is nothing to do again." if step is None else f"Done again: {step.title}.")
        return step is not None

    @property
    def earlier_work(self) -> Path | None:
        """The file that an earlier session saved of this image; None if there is none."""
        return None if self._work.saving is None else self._work.saving.earlier

    def restore(self) -> bool:
        """Go on with `earlier_work` as with a session file: see `SessionFiles.restore`."""
        return self.files.restore()

    def attempt(self, name: str, *arguments: Any) -> None:
        """Call "accept", "editor.merge" ... for a key or button: what speaks against it is said, not raised."""
        try:
            attrgetter(name)(self)(*arguments)
        except ValueError as error:
            self._say(str(error))

    def when_layer_made(self, callback: Callable[[Layer], None], released: Callable[[Layer], None]) -> None:
        """Call back with every layer that is made or taken up, and with those left behind, for keys to be bound."""
        self.prompt_layers.when_made(callback, released)
        self._conversation.layers.when_made(callback)
        self.preview.layer.when_made(callback)
        self._work.when_layer_made(callback, released)

    def ready_steps(self) -> Iterator[None]:
        """Make the layers that will be needed for the image, one at each step, see `LayersAhead`."""
        for part in (self._conversation.ready_steps, self._work.ready_steps, self.preview.ready_steps):
            if self.image is not None and self.plane is not None:
                yield from part(self.image, self.plane)

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop all work, let go of the viewer and remove the preview layers; `objects` stays, and prompts do.

        Parameters
        ----------
        keep_layers : bool
            Leave the layers alone, because the viewer itself is going.
        """
        for part in (self.series, self.files, self.stack, self.one_each, self._runner, self._layer_list):
            part.close()
        self.preview.close(keep_layers=keep_layers)
        self._conversation.close()
        self.similar.close(keep_layers=keep_layers)
        self._chosen.close(keep_layers=keep_layers)
        self._work.close(keep_layers=keep_layers)
        self.prompt_layers.close(keep_layers=keep_layers)
        self._embedder.cache.clear()

    def _embedding_moved(self, state: EmbeddingState) -> None:
        self.embedding_changed.emit(state)
        if state.phase != self._phase:
            self._phase = state.phase
            self._say(state.message) if state.phase == "failed" else self._say(None)
        if state.phase == "ready":
            self._conversation.ask()

    def _prompts_edited(self) -> None:
        if not self._recorder.in_step:
            self._recorder.prompts_edited()
            self._work_changed()

    def _work_changed(self) -> None:
        self.prompts_changed.emit(self.prompts)
        self._conversation.ask()

    def _start_over(self) -> None:
        """Answer all prompts again, for another model or device."""
        self.cancel()
        self._conversation.forget_answers()
        self.compute_embedding()

    def _say(self, text: str | None) -> None:
        """Show a sentence; None for what to do next."""
        if text is None:
            text = advice(self.image is not None, self._phase, self.prompts, len(self.candidates), self._work.offer)
        self.status = text
        self.status_changed.emit(text)
