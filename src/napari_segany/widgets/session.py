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
from dataclasses import replace
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.progress import Steps
from napari_segany.widgets.advice import advice
from napari_segany.widgets.asker import Asker, Question
from napari_segany.widgets.candidate_layers import CandidateLayers
from napari_segany.widgets.drafts import Candidate, Draft, ObjectPrompt, Prompts
from napari_segany.widgets.embedder import Embedder, EmbeddingState, LoadPredictor
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import (
    full_resolution,
    intensity_limits,
    object_on_plane,
    read_plane,
    shown_plane,
    unwrap,
)
from napari_segany.widgets.objects import NothingToAddError, ObjectsLayer
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import BACKGROUND, FOREGROUND, PromptLayers
from napari_segany.widgets.viewer_events import EventLinks, image_links, viewer_links

DEFAULT_CACHE_BYTES = 2 * 1024**3
_SETTLE_MS = 150
"""How long a new slice must stay before its embedding is begun: a slider passes many."""


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
        self.model, self.device = model, device
        self.overwrite = False
        self.status = ""
        self.objects: ObjectsLayer | None = None
        self.prompt_layers = PromptLayers(self.viewer, runner.later)
        self.candidate_layers = CandidateLayers(self.viewer)
        self.plane: Plane | None = None
        self._runner = runner
        self._drafts: dict[Plane, Draft] = {}
        self._settling = 0
        self._embedder = Embedder(runner, load_predictor, cache_bytes)
        self._asker = Asker(runner, self._answered, self._ask_failed)
        self._embedder.state_changed.connect(self._embedding_moved)
        self.prompt_layers.changed.connect(self._prompts_edited)
        self._viewer_links = viewer_links(self.viewer, self._view_moved, self._layer_removed)
        self._image_links = EventLinks()
        self._say_what_next()

    # -------------------------------------------------------------- what is used

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
        self.plane = None
        self._view_moved()

    def choose_model(self, name: str) -> None:
        """Answer with another model; the prompts stay and are asked again."""
        if name != self.model:
            self.model = name
            self._start_over()
        self.model_changed.emit(name)

    def choose_device(self, device: str) -> None:
        """Compute on another device: "auto", "cuda", "mps" or "cpu"."""
        if device != self.device:
            self.device = device
            self._start_over()

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights in the background, with the embedding's progress and Cancel, then call `done`."""
        self._embedder.download(title, steps, done)

    def compute_embedding(self) -> None:
        """Compute the embedding of the shown plane with the present contrast, unless it is there."""
        if self.image is not None and self.plane is not None:
            self._embedder.want(self._key(self.image, self.plane), self._reader(self.image, self.plane))

    def cancel(self) -> None:
        """Stop what runs in the background; the next prompt begins it anew."""
        self._asker.invalidate()
        self._embedder.cancel()

    @property
    def embedding_state(self) -> EmbeddingState:
        """How far the embedding of the shown plane is."""
        return self._embedder.state

    @property
    def embedding_is_stale(self) -> bool:
        """Whether image or contrast changed since; the next prompt computes the embedding again."""
        if self.image is None or self.plane is None or self.embedding_state.phase != "ready":
            return False
        return self._embedder.get(self._key(self.image, self.plane)) is None

    # ------------------------------------------------------------------- prompts

    @property
    def prompts(self) -> Prompts:
        """The prompts of the object under work on the shown plane."""
        if self.plane is None:
            return Prompts()
        return replace(self.prompt_layers.read(self.plane), mask=self._draft.mask_prompt)

    @property
    def polarity(self) -> str:
        """What a plain click means: "foreground" or "background"; right click and Ctrl-click mean the other."""
        return self.prompt_layers.polarity

    def toggle_polarity(self) -> None:
        """Swap what plain click and right click mean (key Q)."""
        self.prompt_layers.polarity = BACKGROUND if self.polarity == FOREGROUND else FOREGROUND
        self.polarity_changed.emit(self.polarity)

    def choose_tool(self, name: str) -> None:
        """Make the mouse give "points" or "boxes"; layers that the user deleted are made again."""
        tools = {"points": self.prompt_layers.use_points, "boxes": self.prompt_layers.use_boxes}
        if name not in tools:
            raise ValueError(f"there is no tool {name!r}; choose one of {', '.join(tools)}")
        tools[name]()

    def add_point(self, position: Sequence[float], label: int | None = None) -> None:
        """Click at (row, col) of the shown plane; label 1 is foreground, 0 background, None the present polarity."""
        if label not in (None, 0, 1):
            raise ValueError(f"label is {label!r}; 1 is foreground and 0 is background")
        if label is None:
            label = int(self.polarity == FOREGROUND)
        self.prompt_layers.add_points(self._needed_plane(), [position], [label])

    def add_box(self, box: Sequence[float]) -> None:
        """Draw the box (row_min, col_min, row_max, col_max) in place of the present one."""
        if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"box is {tuple(box)}; give (row_min, col_min, row_max, col_max) with min below max")
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
        self._drafts[plane] = Draft(mask_prompt=ObjectPrompt(mask, labels.name, label))
        self._prompts_edited()

    def clear_prompts(self) -> None:
        """Drop the prompts and candidates of the shown plane (key U)."""
        if self.plane is not None:
            self._drafts.pop(self.plane, None)
            self.prompt_layers.clear(self.plane)

    # ---------------------------------------------------------------- candidates

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What the model offers for the prompts, best first."""
        return self._draft.candidates

    @property
    def selected(self) -> int:
        """Which candidate is shown, counted from 0."""
        return self._draft.selected

    def select_candidate(self, index: int) -> None:
        """Show one of the candidates."""
        if self.plane is None or not 0 <= index < len(self.candidates):
            raise ValueError(f"there is no candidate {index}; there are {len(self.candidates)}, counted from 0")
        self._drafts[self.plane] = replace(self._draft, selected=index)
        self.candidate_layers.select(index)
        self.selected_changed.emit(index)

    def next_candidate(self) -> None:
        """Show the next candidate, after the last one the first (key W)."""
        self._step_candidate(1)

    def previous_candidate(self) -> None:
        """Show the previous candidate (key Shift-W)."""
        self._step_candidate(-1)

    def accept(self) -> int | None:
        """Keep the shown candidate as the next object (key N).

        Pixels of other objects stay theirs unless `overwrite` is set.

        Returns
        -------
        int or None
            The object's label in the layer `objects`; None, with the reason in `status`, if nothing was kept.
        """
        if self.plane is None or self.objects is None or not self.candidates:
            self._say("There is no mask to accept yet: click on an object first.")
            return None
        chosen = self.candidates[self.selected]
        scores = {"predicted_iou": chosen.predicted_iou, "stability_score": chosen.stability_score}
        origin = {
            "model": self.model,
            "plane": list(self.plane.index),
            **(self._draft.answered or Prompts()).to_dict(),
        }
        below = self.candidate_layers.lowest() or self.prompt_layers.lowest()
        try:
            added = self.objects.add(
                self.plane,
                chosen.mask,
                scores,
                origin,
                overwrite=self.overwrite,
                below=below,
                replaces=self._refined_object(),
            )
        except NothingToAddError as error:
            self._say(str(error))
            return None
        self.clear_prompts()
        kept = f"; {added.kept:,} px stay with other objects" if added.kept else ""
        self._say(f"Object {added.label} added, {added.pixels:,} px{kept}. Click on the next one.")
        self.accepted.emit(added.label)
        return added.label

    # ------------------------------------------------------------------- the end

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop all work, let go of the viewer and remove the prompt and preview layers; `objects` stays.

        Parameters
        ----------
        keep_layers : bool
            Leave the layers alone, because the viewer itself is going.
        """
        self._runner.close()
        self._asker.close()
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
            self._enter_plane(None)
            self.prompt_layers.pause()
            self._say(str(error))
            return
        if plane != self.plane:
            self.prompt_layers.resume()
            self._enter_plane(plane)

    def _enter_plane(self, plane: Plane | None) -> None:
        """Put one plane's draft aside and take up another's; its embedding is begun once the slider rests."""
        self._asker.invalidate()
        self._settling += 1
        self.plane = plane
        self._show_draft()
        if plane is None or self.image is None:
            self._embedder.leave_plane()
        elif self._key(self.image, plane) in self._embedder.cache:
            self.compute_embedding()
        else:
            self._embedder.leave_plane()
            self._runner.later(partial(self._settled, self._settling), _SETTLE_MS)
            self._say_what_next()

    def _settled(self, ticket: int) -> None:
        if ticket == self._settling:
            self.compute_embedding()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        if self.image is not None and layer is self.image:
            self.cancel()
            self._embedder.cache.forget_image(self.image.unique_id)
            # Later, for napari may be in the middle of removing several selected layers, ours among them.
            self._runner.later(partial(self._image_gone, layer))
        elif self.prompt_layers.forget(layer):
            self._say("A prompt layer was removed; choose the point or box tool for a new one.")
        elif self.objects is not None and self.objects.forget(layer):
            self._say("The objects layer was removed; the next accepted mask begins a new one.")
        else:
            self.candidate_layers.forget(layer)

    def _image_gone(self, image: Image) -> None:
        if image is self.image and image not in self.viewer.layers:
            self.choose_image(None)

    def _image_moved(self, event: Any) -> None:
        for ours in (self.prompt_layers, self.candidate_layers, self.objects):
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

    def _leave_image(self) -> None:
        self.cancel()
        self._settling += 1
        self._image_links.clear()
        self.prompt_layers.detach()
        self.candidate_layers.clear()
        self._drafts.clear()
        if self.objects is not None:
            self.objects.close()
        self.image = self.objects = self.plane = None

    def _start_over(self) -> None:
        """Answer all prompts again, for another model or device."""
        self.cancel()
        self._drafts = {plane: draft.unanswered() for plane, draft in self._drafts.items()}
        self._show_draft()
        self.compute_embedding()

    # --------------------------------------------------------- questions and answers

    def _embedding_moved(self, state: EmbeddingState) -> None:
        self.embedding_changed.emit(state)
        if state.phase == "failed":
            self._say(state.message)
        elif state.phase != "working":
            self._say_what_next()
        if state.phase == "ready":
            self._ask()

    def _prompts_edited(self) -> None:
        self.prompts_changed.emit(self.prompts)
        self._ask()

    def _ask(self) -> None:
        """Ask about the prompts of the shown plane, unless they are answered; get the embedding first."""
        image, plane, draft, prompts = self.image, self.plane, self._draft, self.prompts
        if image is None or plane is None or (prompts and prompts == draft.answered):
            return
        self._asker.invalidate()
        if not prompts:
            self._drafts.pop(plane, None)
            self._show_draft()
            self._say_what_next()
            return
        key, read = self._key(image, plane), self._reader(image, plane)
        embedding, predictor = self._embedder.get(key), self._embedder.predictor
        if embedding is None or predictor is None:
            self._embedder.want(key, read)
            return
        refine = draft.candidates[draft.selected].logits if prompts.extends(draft.answered) else None
        self._asker.ask(Question(plane, prompts, refine, predictor, embedding, read, key.contrast_limits))

    def _answered(self, question: Question, candidates: tuple[Candidate, ...]) -> None:
        self._drafts[question.plane] = replace(
            self._draft, answered=question.prompts, candidates=candidates, selected=0
        )
        self._show_draft()
        self._say_what_next()

    def _ask_failed(self, error: Exception) -> None:
        self._say(str(error) or type(error).__name__)

    def _show_draft(self) -> None:
        candidates, selected = self.candidates, self.selected
        if self.image is not None and self.plane is not None and candidates:
            top = self.prompt_layers.lowest()
            self.candidate_layers.show(self.image, self.plane, candidates, selected, top)
        else:
            self.candidate_layers.hide()
        self.candidates_changed.emit(candidates)
        self.selected_changed.emit(selected)

    # ------------------------------------------------------------------ internal

    @property
    def _draft(self) -> Draft:
        return self._drafts.get(self.plane, Draft()) if self.plane is not None else Draft()

    def _needed_plane(self) -> Plane:
        if self.image is None:
            raise ValueError("no image is chosen; call choose_image with an Image layer")
        if self.plane is None:
            raise ValueError(self.status)
        return self.plane

    def _key(self, image: Image, plane: Plane) -> EmbeddingKey:
        return EmbeddingKey(image.unique_id, plane, intensity_limits(image), self.model, self.device)

    @staticmethod
    def _reader(image: Image, plane: Plane) -> Callable[[], ArrayLike]:
        return partial(read_plane, full_resolution(image), plane)

    def _refined_object(self) -> int | None:
        """Return the label of the accepted object that serves as mask prompt, if one does."""
        source, objects = self._draft.mask_prompt, self.objects
        if source is None or objects is None or objects.layer is None or source.layer != objects.layer.name:
            return None
        return source.label

    def _step_candidate(self, step: int) -> None:
        if self.candidates:
            self.select_candidate((self.selected + step) % len(self.candidates))

    def _say_what_next(self) -> None:
        self._say(advice(self.image is not None, self.embedding_state.phase, self.prompts, len(self.candidates)))

    def _say(self, text: str) -> None:
        self.status = text
        self.status_changed.emit(text)
