"""The state of one viewer's prompting: image, model, prompts, candidates. Everything that the buttons do is a method.

Knows napari's viewer model and layers, but no Qt: how work is run is the runner's business. `widget.session` in
napari's console is this object::

    session.add_point((120, 80))            # row, column of the shown plane
    session.add_point((10, 15), label=0)    # background
    session.next_candidate()
    session.accept()                        # -> the label in the layer `objects`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from psygnal import Signal

from napari_segany.engine.progress import Steps
from napari_segany.widgets.advice import advice
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Candidate, ObjectPrompt, Prompts
from napari_segany.widgets.embedder import Embedder, EmbeddingState, LoadPredictor
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import object_on_plane, shown_plane, unwrap
from napari_segany.widgets.objects import NothingToAddError, ObjectsLayer
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import FOREGROUND, PromptLayers
from napari_segany.widgets.viewer_events import EventLinks, image_links, viewer_links

DEFAULT_CACHE_BYTES = 2 * 1024**3


class PromptSession:
    """Prompting in one viewer.

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

    Attributes
    ----------
    image : Image or None
        The image that is worked on.
    prompt_layers, objects : PromptLayers, ObjectsLayer or None
        Its layers of prompts, and of accepted objects (`objects.layer`).
    overwrite : bool
        Whether an accepted mask takes pixels from other objects.
    status : str
        What is the matter, and what to do next, in one sentence.
    """

    image_changed = Signal(object)
    model_changed = Signal(str)
    embedding_changed = Signal(EmbeddingState)
    prompts_changed = Signal(Prompts)
    candidates_changed = Signal(tuple)
    selected_changed = Signal(int)
    polarity_changed = Signal(str)
    status_changed = Signal(str)
    accepted = Signal(int)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        load_predictor: LoadPredictor,
        *,
        model: str = "light",
        device: str = "auto",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.viewer: ViewerModel = unwrap(viewer)
        self.image: Image | None = None
        self.objects: ObjectsLayer | None = None
        self.overwrite = False
        self.status = ""
        self._phase = "none"
        self.prompt_layers = PromptLayers(self.viewer, runner.later)
        self._runner = runner
        self._embedder = Embedder(runner, load_predictor, cache_bytes, model=model, device=device)
        self._conversation = Conversation(self.viewer, runner, self._embedder, self.prompt_layers)
        self._viewer_links = viewer_links(self.viewer, self._view_moved, self._layer_removed)
        self._image_links = EventLinks()
        self._embedder.state_changed.connect(self._embedding_moved)
        self.prompt_layers.changed.connect(self._prompts_edited)
        self._conversation.candidates_changed.connect(self.candidates_changed.emit)
        self._conversation.selected_changed.connect(self.selected_changed.emit)
        self._conversation.settled.connect(self._say_what_next)
        self._conversation.failed.connect(self._say)
        self._say_what_next()

    # -------------------------------------------------------------- what is used

    @property
    def model(self) -> str:
        """Name (or checkpoint file) of the model that answers."""
        return self._embedder.model

    @property
    def device(self) -> str:
        """Where it computes: "auto", "cuda", "mps" or "cpu"."""
        return self._embedder.device

    @property
    def plane(self) -> Plane | None:
        """The shown plane of the image; None while none can be prompted on (`status` says why)."""
        return self._conversation.plane

    def choose_image(self, image: Image | None) -> None:
        """Work on another image: prompts that were not accepted are dropped, accepted objects stay."""
        image = unwrap(image)
        if image is not None and not isinstance(image, Image):
            raise ValueError(f"got a {type(image).__name__} layer; prompts need an Image layer")
        if image is self.image:
            return
        self._leave_image()
        self.image = image
        if image is not None:
            self._image_links = image_links(image, self._image_moved, self._contrast_changed, self._data_replaced)
            self.objects = ObjectsLayer(self.viewer, image)
            self.prompt_layers.attach(image)
        self.image_changed.emit(image)
        self._view_moved()

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
        self._conversation.hold()
        self._embedder.cancel()

    @property
    def embedding_state(self) -> EmbeddingState:
        """How far the embedding of the shown plane is."""
        return self._embedder.state

    @property
    def embedding_is_stale(self) -> bool:
        """Whether the contrast has changed since; the next prompt computes the embedding again."""
        return self._conversation.is_stale

    # ------------------------------------------------------------------- prompts

    @property
    def prompts(self) -> Prompts:
        """The prompts of the object under work on the shown plane."""
        return self._conversation.prompts

    @property
    def polarity(self) -> str:
        """What a plain click means: "foreground" or "background"; right click and Ctrl-click mean the other."""
        return self.prompt_layers.polarity

    def toggle_polarity(self) -> None:
        """Swap what plain click and right click mean (key Q)."""
        self.prompt_layers.toggle_polarity()
        self.polarity_changed.emit(self.polarity)

    def choose_tool(self, name: str) -> None:
        """Make the mouse give "points" or "boxes"; layers that the user deleted are made again."""
        self.prompt_layers.use(name)

    def add_point(self, position: Sequence[float], label: int | None = None) -> None:
        """Click at (row, col) of the shown plane; label 1 is foreground, 0 background, None the present polarity."""
        label = int(self.polarity == FOREGROUND) if label is None else label
        self.prompt_layers.add_points(self._needed_plane(), [position], [label])

    def add_box(self, box: Sequence[float]) -> None:
        """Draw the box (row_min, col_min, row_max, col_max) in place of the present one."""
        self.prompt_layers.set_box(self._needed_plane(), box)

    def use_object(self, labels: Labels, label: int | None = None) -> None:
        """Take an object of a Labels layer as mask prompt; without `label` the layer's selected one.

        Raises
        ------
        ValueError
            If there is no plane, or the object is not on it.
        """
        plane, image = self._needed_plane(), self.image
        labels = unwrap(labels)
        if image is None or not isinstance(labels, Labels):
            raise ValueError(f"got {type(labels).__name__}; choose a Labels layer whose object serves as prompt")
        label = int(labels.selected_label) if label is None else int(label)
        mask = object_on_plane(labels, label, image, plane)
        self._conversation.begin_with(ObjectPrompt(mask, labels.name, label))
        self.prompts_changed.emit(self.prompts)

    def clear_prompts(self) -> None:
        """Drop the prompts and candidates of the shown plane (key U)."""
        if self.plane is not None:
            self._conversation.drop_draft()
            self.prompt_layers.clear(self.plane)

    # ---------------------------------------------------------------- candidates

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What the model offers for the prompts, best first."""
        return self._conversation.candidates

    @property
    def selected(self) -> int:
        """Which candidate is shown, counted from 0."""
        return self._conversation.selected

    def select_candidate(self, index: int) -> None:
        """Show one of the candidates."""
        self._conversation.select(index)

    def next_candidate(self) -> None:
        """Show the next candidate, after the last one the first (key W)."""
        if self.candidates:
            self.select_candidate((self.selected + 1) % len(self.candidates))

    def previous_candidate(self) -> None:
        """Show the previous candidate (key Shift-W)."""
        if self.candidates:
            self.select_candidate((self.selected - 1) % len(self.candidates))

    def accept(self) -> int | None:
        """Keep the shown candidate as the next object (key N).

        Pixels of other objects stay theirs unless `overwrite` is set. If an object of the layer `objects` was the
        mask prompt, the candidate takes its place.

        Returns
        -------
        int or None
            The object's label in the layer `objects`; None, with the reason in `status`, if nothing was kept.
        """
        if self.plane is None or self.objects is None or not self.candidates:
            self._say("There is no mask to accept yet: click on an object first.")
            return None
        try:
            added = self.objects.add(
                self.plane,
                self.candidates[self.selected],
                self._conversation.answered,
                model=self.model,
                overwrite=self.overwrite,
                below=self._conversation.layers.lowest() or self.prompt_layers.lowest(),
            )
        except NothingToAddError as error:
            self._say(str(error))
            return None
        self.clear_prompts()
        self._say(f"{added} Click on the next one.")
        self.accepted.emit(added.label)
        return added.label

    # ------------------------------------------------------------------- the end

    def when_layer_made(self, callback: Callable[[Layer], None]) -> None:
        """Call back with every prompt and preview layer that is made, so that keys can be bound to it."""
        self.prompt_layers.when_made(callback)
        self._conversation.layers.when_made(callback)

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop all work, let go of the viewer and remove the prompt and preview layers; `objects` stays.

        Parameters
        ----------
        keep_layers : bool
            Leave the layers alone, because the viewer itself is going.
        """
        self._runner.close()
        self._conversation.close()
        self._viewer_links.clear()
        self._image_links.clear()
        if not keep_layers:
            self._leave_image()
        self.prompt_layers.close(keep_layers=keep_layers)
        self._embedder.cache.clear()

    # ------------------------------------------------------- what napari tells us

    def _view_moved(self, event: Any = None) -> None:
        if self.image is None:
            self._say_what_next()
            return
        try:
            plane = shown_plane(self.viewer, self.image)
        except NoPlaneError as error:
            self._conversation.turn_to(self.image, None)
            self.prompt_layers.pause()
            self._say(str(error))
            return
        if plane != self.plane:
            self.prompt_layers.resume()
            self._conversation.turn_to(self.image, plane)

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        if self.image is not None and layer is self.image:
            self.cancel()
            self._embedder.cache.forget_image(self.image.unique_id)
            # Later, for napari may be in the middle of removing several selected layers, ours among them.
            self._runner.later(lambda: self.choose_image(None) if layer is self.image else None)
        elif self.prompt_layers.forget(layer):
            self._say("A prompt layer was removed; choose the click or box tool for a new one.")
        elif self.objects is not None and self.objects.forget(layer):
            self._say("The objects layer was removed; the next accepted mask begins a new one.")
        else:
            self._conversation.layers.forget(layer)

    def _image_moved(self, event: Any) -> None:
        for ours in (self.prompt_layers, self._conversation.layers, self.objects):
            if ours is not None:
                ours.follow()
        self._view_moved()

    def _contrast_changed(self, event: Any) -> None:
        if self.embedding_is_stale:
            self.embedding_changed.emit(self.embedding_state)
            self._say("The contrast has changed: the next prompt looks at the image again with it.")

    def _data_replaced(self, event: Any) -> None:
        image = self.image
        if image is not None:
            self._embedder.cache.forget_image(image.unique_id)
            self._leave_image()
            self.choose_image(image)

    def _embedding_moved(self, state: EmbeddingState) -> None:
        self.embedding_changed.emit(state)
        if state.phase != self._phase:
            self._phase = state.phase
            self._say(state.message) if state.phase == "failed" else self._say_what_next()
        if state.phase == "ready":
            self._conversation.ask()

    def _prompts_edited(self) -> None:
        self.prompts_changed.emit(self.prompts)
        self._conversation.ask()

    # ------------------------------------------------------------------ internal

    def _leave_image(self) -> None:
        self.cancel()
        self._image_links.clear()
        self._conversation.turn_to(None, None)
        self.prompt_layers.detach()
        if self.objects is not None:
            self.objects.close()
        self.image = self.objects = None

    def _start_over(self) -> None:
        """Answer all prompts again, for another model or device."""
        self.cancel()
        self._conversation.forget_answers()
        self.compute_embedding()

    def _needed_plane(self) -> Plane:
        if self.image is None:
            raise ValueError("no image is chosen; call choose_image with an Image layer")
        if self.plane is None:
            raise ValueError(self.status)
        return self.plane

    def _say_what_next(self) -> None:
        self._say(advice(self.image is not None, self.embedding_state.phase, self.prompts, len(self.candidates)))

    def _say(self, text: str) -> None:
        self.status = text
        self.status_changed.emit(text)
