"""Questions and answers about the planes of one image: which prompts there are, which masks answer them. No Qt.

Every plane has a draft of its own, so that nothing of one object or slice reaches another; the low-resolution logits
of an answer refine the next one for the same object only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_segany.engine.mask_policy import MaskPolicy, choose_mask
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiled_prediction import ReadyWindow
from napari_segany.widgets.asker import Asker, Question
from napari_segany.widgets.candidate_layers import CandidateLayers
from napari_segany.widgets.drafts import Candidate, Draft, ObjectPrompt, Prompts, Recalled
from napari_segany.widgets.embedder import Embedder, EmbeddingState
from napari_segany.widgets.embedding_cache import EmbeddingKey
from napari_segany.widgets.everything_region import view_corners
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.half_done import Begun
from napari_segany.widgets.large_planes import plane_reader, window_question
from napari_segany.widgets.layers import intensity_limits
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.provenance import Answerer, Asked
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.rest import Rest

_SETTLE_MS = 150
"""How long a plane must stay before its embedding is begun: a slider passes many."""


class Conversation:
    """Asks about the prompts of the shown plane and shows the answers.

    Parameters
    ----------
    viewer : ViewerModel
        Where the candidates are shown.
    runner : Runner
        Runs the questions.
    embedder : Embedder
        Has the model, and makes embeddings.
    prompt_layers : PromptLayers
        Have the points and boxes.

    Attributes
    ----------
    policy : str
        Which of three candidates is shown first, see `MaskPolicy`.
    begun : Begun
        The windows of a large plane that were begun, for a question or ahead.
    """

    turned = Signal()
    candidates_changed = Signal(tuple)
    selected_changed = Signal(int)
    settled = Signal()
    under_work_changed = Signal()
    """An answer came, or another of its masks was chosen."""
    encoding_changed = Signal()
    failed = Signal(str)

    def __init__(self, viewer: ViewerModel, runner: Runner, embedder: Embedder, prompt_layers: PromptLayers) -> None:
        self.image: Image | None = None
        self.plane: Plane | None = None
        self.policy: MaskPolicy = "best"
        self.layers = CandidateLayers(viewer, runner.later)
        self._drafts: dict[Plane, Draft] = {}
        self._drafts_of: dict[str, dict[Plane, Draft]] = {}
        self._viewer = viewer
        self._rest = Rest(runner, self.prepare, _SETTLE_MS)
        self._embedder = embedder
        self._prompt_layers = prompt_layers
        self.begun = Begun(room=2)  # one for a question, one ahead
        self._asker = Asker(runner, self._answered, self._could_not_answer, self.encoding_changed.emit, self.begun)

    # ------------------------------------------------------------ what it is about

    def turn_to(self, image: Image | None, plane: Plane | None, *, keep_layers: bool = False) -> None:
        """Put the present draft aside and take up that of another plane; those of an image wait until it is back.

        The embedding of the plane is begun once the view rests. With `keep_layers` the layers of candidates stay for
        the next image.
        """
        self._asker.invalidate()
        if image is not self.image:
            if self.image is not None:
                self._drafts_of[self.image.unique_id] = self._drafts
            self._drafts = {} if image is None else self._drafts_of.pop(image.unique_id, {})
            if self.image is not None and not keep_layers:
                self.layers.clear()
            self.begun.drop()
        self.image, self.plane = image, plane
        self._show()
        self.turned.emit()
        self._embedder.leave_plane()
        self._rest.forget()
        key = self.key
        if key is not None and key in self._embedder.cache:
            self.prepare()
        elif key is not None:
            self._rest.stir()

    def forget_answers(self) -> None:
        """Drop all candidates and keep the prompts, because another model is to answer them."""
        self._asker.invalidate()
        self.begun.drop()
        for drafts in (self._drafts, *self._drafts_of.values()):
            drafts.update({plane: draft.unanswered() for plane, draft in drafts.items()})
        self._show()

    def forget_image(self, image: Image) -> None:
        """Drop all drafts of an image that has gone, or has other data now."""
        self._drafts_of.pop(image.unique_id, None)
        if image is self.image:
            self._drafts.clear()

    def hold(self) -> None:
        """Drop the answer that is under way; a window that is encoded for it is left at the next step."""
        was_encoding = self._asker.encoding is not None
        self._asker.invalidate()
        if was_encoding:
            self.failed.emit("Stopped. The next prompt asks again, together with those that are there.")

    def ready_steps(self, image: Image, plane: Plane) -> Iterator[None]:
        """Have the layers of candidates there, see `LayersAhead`."""
        yield from self.layers.ready_steps(image, plane)

    def close(self) -> None:
        """Stop for good."""
        self._asker.close()

    @property
    def embedding_state(self) -> EmbeddingState:
        """How far the embedding of the shown plane is; of a large one that of the window that is asked."""
        encoding = self._asker.encoding
        return self._embedder.state if encoding is None else EmbeddingState("working", encoding)

    @property
    def key(self) -> EmbeddingKey | None:
        """What the embedding of the shown plane depends on, as things are now."""
        if self.image is None or self.plane is None:
            return None
        return self._embedder.key(self.image.unique_id, self.plane, intensity_limits(self.image))

    @property
    def is_stale(self) -> bool:
        """Whether there is an embedding, but of other contrast than is shown now."""
        key = self.key
        return self._embedder.state.phase == "ready" and key is not None and self._embedder.get(key) is None

    def prepare(self) -> None:
        """Make the embedding of the shown plane, unless it is there."""
        key = self.key
        if key is not None:
            self._embedder.want(key, self._reader(key.plane))

    # ------------------------------------------------------------------- questions

    @property
    def prompts(self) -> Prompts:
        """The prompts of the object under work on the shown plane."""
        if self.plane is None:
            return Prompts()
        return replace(self._prompt_layers.read(self.plane), mask=self._draft.mask_prompt)

    def begin_with(self, mask_prompt: ObjectPrompt) -> None:
        """Take an existing object as mask prompt."""
        if self.plane is not None:
            self._drafts[self.plane] = Draft(mask_prompt=mask_prompt)
            self.ask()

    def draft(self, plane: Plane) -> Draft:
        """Return what has been asked and answered on a plane."""
        return self._drafts.get(plane, Draft())

    def put_draft(self, plane: Plane, draft: Draft) -> None:
        """Have this draft on a plane; its candidates are shown where the plane is."""
        self._drafts[plane] = draft
        if plane == self.plane:
            self._asker.invalidate()
            self._show()

    @property
    def mask_prompts(self) -> dict[Plane, ObjectPrompt]:
        """The objects in use as mask prompts, by plane."""
        return {plane: draft.mask_prompt for plane, draft in self._drafts.items() if draft.mask_prompt is not None}

    def drop_draft(self) -> None:
        """Forget what was asked and answered on the shown plane."""
        if self.plane is not None:
            self._drafts.pop(self.plane, None)

    def ask(self) -> None:
        """Ask about the prompts of the shown plane, unless they are answered; get the embedding first."""
        plane, key, prompts = self.plane, self.key, self.prompts
        draft = self._recalling(prompts)
        if plane is None or key is None or (prompts and prompts == draft.answered):
            return
        self._asker.invalidate()
        if not prompts:
            self.drop_draft()
            self._show()
            self.settled.emit()
            return
        embedding, predictor = self._embedder.get(key), self._embedder.predictor
        if embedding is None or predictor is None:
            self._embedder.want(key, self._reader(plane))
            if self._embedder.state.phase == "working":
                self.settled.emit()
            return
        again: tuple[Asked, ...] = ()
        if draft.recalled is not None:
            again, prompts = draft.recalled.asked, draft.recalled.prompts
        refine = self.logits_to_refine(prompts)
        read, limits = self._reader(plane), key.contrast_limits
        refines, earlier = (None, ()) if refine is None else (draft.selected, draft.asked)
        found = None if refine is None else draft.candidates[draft.selected].in_window
        asked = refines, earlier, RasterData.of(self.image), self._viewed(), again, found
        self._asker.ask(Question(plane, prompts, refine, predictor, embedding, read, limits, *asked))

    def _recalling(self, prompts: Prompts) -> Draft:
        """Return the draft of the shown plane; what it recalls is dropped where that is about other prompts."""
        draft = self._draft
        if self.plane is not None and draft.recalled is not None and not draft.recalled.serves(prompts):
            draft = self._drafts[self.plane] = replace(draft, recalled=None)
        return draft

    def logits_to_refine(self, prompts: Prompts) -> NDArray[np.float32] | None:
        """Return the (h, w) logits of the shown candidate where prompts only add to those that it answers."""
        draft = self._draft
        logits = draft.candidates[draft.selected].logits if prompts.extends(draft.answered) else None
        return logits if logits is not None and logits.size else None  # an accepted mask that is open again has none

    # --------------------------------------------------------------------- answers

    @property
    def answered(self) -> Prompts:
        """The prompts that the candidates answer."""
        return self._draft.answered or Prompts()

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The questions that led to the candidates."""
        return self._draft.asked

    @property
    def replayable(self) -> tuple[Asked, ...]:
        """Those questions, where replay can ask them."""
        return self._draft.replayable

    @property
    def recalled(self) -> Recalled | None:
        """What an earlier session asked about the shown plane, as long as it is not asked again."""
        return self._draft.recalled

    @property
    def answerer(self) -> Answerer:
        """What answers about the shown plane."""
        key = self.key
        return self._embedder.answerer(None if key is None else self._embedder.get(key))

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The masks on offer, best first."""
        return self._draft.candidates

    @property
    def selected(self) -> int:
        """Which of them is shown, counted from 0."""
        return self._draft.selected

    def select(self, index: int) -> None:
        """Show another one."""
        if self.plane is None or not 0 <= index < len(self.candidates):
            raise ValueError(f"there is no candidate {index}; there are {len(self.candidates)}, counted from 0")
        self._drafts[self.plane] = replace(self._draft, selected=index)
        self.layers.select(index)
        self.selected_changed.emit(index)
        self.under_work_changed.emit()

    # -------------------------------------------------------------------- internal

    @property
    def _draft(self) -> Draft:
        return self._drafts.get(self.plane, Draft()) if self.plane is not None else Draft()

    def _reader(self, plane: Plane) -> Callable[[], ArrayLike]:
        return partial(np.zeros, (0, 0)) if self.image is None else plane_reader(self.image, plane)

    def question_in_window(
        self, embedding: TiledEmbedding, prompts: Prompts
    ) -> tuple[ReadyWindow, dict[str, Any]] | None:
        """Return what prompts on the shown large plane would ask of a window, if that is encoded already."""
        refine, shown = self.logits_to_refine(prompts), self._draft
        found = None if refine is None else shown.candidates[shown.selected].in_window
        going_on = None if refine is None or found is None else (found, refine)
        return window_question(embedding, prompts, self._viewed(), going_on)

    def _viewed(self) -> float:
        """Return the longer side of what is seen of the plane, in its pixels."""
        if self.image is None or self.plane is None:
            return 0
        corners = self.plane.to_plane(view_corners(self._viewer, self.image))
        return float((corners.max(axis=0) - corners.min(axis=0)).max())

    def _answered(self, question: Question, candidates: tuple[Candidate, ...]) -> None:
        recalled = self._draft.recalled
        if recalled is not None and recalled.chosen < len(candidates):
            selected = recalled.chosen
        else:
            selected = choose_mask([np.count_nonzero(one.mask) for one in candidates], self.policy)
        self._drafts[question.plane] = replace(
            self._draft,
            answered=question.prompts,
            candidates=candidates,
            selected=selected,
            asked=question.asked(candidates),
            recalled=None,
        )
        self._show()
        self.settled.emit()
        self.under_work_changed.emit()
        if recalled is not None:
            self.ask()  # prompts that were not answered yet when the session was saved, or came since

    def _could_not_answer(self, error: Exception) -> None:
        if self.plane is not None and self._draft.recalled is not None:
            self._drafts[self.plane] = replace(self._draft, recalled=None)
            self.ask()  # all prompts at once, for the model does not answer as it did
            return
        self.failed.emit(str(error) or type(error).__name__)

    def _show(self) -> None:
        if self.image is not None and self.plane is not None and self.candidates:
            self.layers.show(self.image, self.plane, self.candidates, self.selected)
        else:
            self.layers.hide()
        self.candidates_changed.emit(self.candidates)
        self.selected_changed.emit(self.selected)
