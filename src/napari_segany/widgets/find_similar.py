"""Finding objects that look like chosen ones, and accepting them at once. Knows no Qt.

`session.similar` in the console::

    session.editor.select([1, 4, 7])      # or click: a mask on offer counts where nothing is selected
    session.similar.find()                # in the background; Segment everything's masks, else the model is asked
    session.similar.threshold = 0.85      # the preview follows
    session.similar.accept()              # -> their labels; one step of the history
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_segany.engine.progress import Progress
from napari_segany.engine.similar_search import (
    DescribedCandidates,
    SimilarAnswer,
    SimilarQuestion,
    loose_settings,
    similar_steps,
)
from napari_segany.engine.similar_selection import offered
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder, EmbeddingState
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.layers import full_resolution, read_plane
from napari_segany.widgets.object_table import PROMPTS, Row
from napari_segany.widgets.objects import NothingToAddError, numbered
from napari_segany.widgets.pixel_changes import plane_change
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.provenance import Answerer
from napari_segany.widgets.provenance_derived import A_RASTER, FoundSimilar
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.session_objects import SessionObjects
from napari_segany.widgets.similar_masks import layer_of_masks, masks_of, objects_on, taken_pixels
from napari_segany.widgets.similar_preview import SimilarPreview

Source = Literal["everything", "model"]
SOURCES: tuple[str, ...] = get_args(Source)

FIRST_THRESHOLD = 0.85
LEAST_IOU = 0.5

_NOTHING_CHOSEN = "Choose what to look for: point at an accepted object and press G, or click for a mask."


class FindSimilar:
    """Similar objects on the shown plane.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are looked through for masks, and which shows the preview.
    runner : Runner
        Runs the work.
    embedder, conversation : Embedder, Conversation
        Have the model and the embedding of the plane.
    work : SessionObjects
        Has the accepted objects.
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    source : str
        Which masks are compared: those of "everything", where that layer has any on the plane, or what the "model"
        finds with low thresholds.
    answer : SimilarAnswer or None
        What was found.
    progress : Progress or None
        Of the work under way; None where there is none.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        work: SessionObjects,
        say: Callable[[str | None], None],
    ) -> None:
        self.source: Source = "everything"
        self.answer: SimilarAnswer | None = None
        self.progress: Progress | None = None
        self._viewer, self._runner = viewer, runner
        self._embedder, self._conversation, self._work, self._say = embedder, conversation, work, say
        self._preview = SimilarPreview(viewer)
        self._threshold, self._least_iou = FIRST_THRESHOLD, LEAST_IOU
        self._plane: Plane | None = None
        self._labels: tuple[int, ...] = ()
        self._known: tuple[Any, DescribedCandidates] | None = None
        self._task: Task | None = None
        self._asked: tuple[Answerer, tuple[float, float] | None, bool] | None = None
        self._waits = False
        conversation.candidates_changed.connect(self._look_again)
        embedder.state_changed.connect(self._embedding_moved)

    # ----------------------------------------------------------------------- finding

    def find(self) -> None:
        """Rank the masks of the shown plane by how much they resemble the selected objects, or the mask on offer."""
        self.cancel()
        image, plane, key = self._conversation.image, self._conversation.plane, self._conversation.key
        if image is None or plane is None or key is None:
            self._say("There is no slice of an image to look on.")
            return
        chosen = self._chosen(plane)
        if not chosen:
            self._say(_NOTHING_CHOSEN)
            return
        embedding, predictor = self._embedder.get(key), self._embedder.predictor
        if embedding is None or predictor is None:
            self._waits = True
            self._become(Progress(0, 0, "Waiting for the image embedding"))
            self._conversation.prepare()
            return
        if isinstance(embedding, TiledEmbedding):
            self._say("This image is too large for it: similar objects are found in images up to 4,096 pixels wide.")
            return
        layer = layer_of_masks(self._viewer, image, plane) if self.source == "everything" else None
        candidates, masks = (None, "model") if layer is None else masks_of(layer, plane)
        about = (key, masks)
        known = self._known[1] if self._known is not None and self._known[0] == about else None
        question = SimilarQuestion(
            chosen,
            taken_pixels(None if self._work.layer is None else self._work.layer.layer, image, plane),
            self._least_iou,
            predictor,
            embedding,
            partial(read_plane, full_resolution(image), plane),
            candidates,
            None if candidates is not None else loose_settings(predictor.name),
            known,
        )
        self._asked = (self._embedder.answerer(embedding), key.contrast_limits, RasterData.of(image) is not None)
        self._become(Progress(0, 0, "Looking for similar objects"))
        task = self._runner.start(
            "Looking for similar objects",
            similar_steps(question),
            done=partial(self._answered, image, plane, about),
            failed=self._failed,
            report=self._become,
        )
        self._task = task if self.progress is not None else None

    def cancel(self) -> None:
        """Stop the work, and drop what was found."""
        task, self._task, self._waits = self._task, None, False
        if task is not None:
            task.cancel()
        self._drop()

    @property
    def has_everything(self) -> bool:
        """Whether a layer of Segment everything (or of a file of masks) has masks on the shown plane."""
        image, plane = self._conversation.image, self._conversation.plane
        return image is not None and plane is not None and layer_of_masks(self._viewer, image, plane) is not None

    # --------------------------------------------------------------------- choosing

    @property
    def threshold(self) -> float:
        """The similarity from which on masks are on offer; 1 is a perfect match. Set it, and the preview follows."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._threshold = float(value)
        self._show()

    @property
    def least_iou(self) -> float:
        """The predicted IoU from which on masks are on offer; setting it ranks the masks anew."""
        return self._least_iou

    @least_iou.setter
    def least_iou(self, value: float) -> None:
        self._least_iou = float(value)
        if self.answer is not None:
            self.find()

    @property
    def count(self) -> int:
        """How many masks are on offer at this threshold."""
        return 0 if self.answer is None else self.answer.found.above(self._threshold)

    @property
    def total(self) -> int:
        """How many masks were compared and do not overlap."""
        return 0 if self.answer is None else len(self.answer.found.numbers)

    def accept(self) -> tuple[int, ...]:
        """Make all masks on offer objects, as one step of the history, and return their labels.

        They get the class of the chosen objects where these have the same, else that of what is accepted next.
        """
        answer, plane, objects, count = self.answer, self._plane, self._work.layer, self.count
        if answer is None or plane is None or objects is None or not count:
            self._say("There is nothing to accept: find similar objects first, or lower the similarity.")
            return ()
        layer = objects.ready()
        present = np.asarray(layer.data[plane.slicer()])
        offer = offered(answer.found, self._threshold, present)
        try:
            labels = objects.free_labels(len(offer.left))
        except NothingToAddError as error:
            self._say(str(error))
            return ()
        change = plane_change(layer.data.shape, plane, present, offer.labelled(present, labels))
        if change is None:
            self._say("Other objects have taken the places of all these masks; find similar objects again.")
            return ()
        rows = {label: self._row(answer, rank, plane) for label, rank in zip(labels, offer.left, strict=True)}
        name, how = self._class_of_chosen(), self._explanation(answer, plane, present, labels)
        with (
            self._work.recorder.step(f"{len(labels)} similar objects"),
            self._work.log.explaining() as explanations,
        ):
            objects.write(change, rows)
            explanations.append(how)
            for label in labels:
                self._work.classes.accepted(label, name)
        self._drop()
        self._say(
            f"Accepted {numbered(labels) if len(labels) < 4 else f'{len(labels)} objects'}; Ctrl-Z takes them back."
        )
        return labels

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop the work, and unless the layers are to be left alone remove the preview."""
        self._conversation.candidates_changed.disconnect(self._look_again)
        self._embedder.state_changed.disconnect(self._embedding_moved)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._known = self.answer = None
        if not keep_layers:
            self._preview.close()

    # -------------------------------------------------------------------- internal

    def _chosen(self, plane: Plane) -> tuple[MaskRecord, ...]:
        """Return the selected objects as they lie on the plane, else the mask on offer."""
        layer = None if self._work.layer is None else self._work.layer.layer
        self._labels = self._work.editor.selection
        if layer is not None and self._labels:
            return objects_on(layer, self._labels, plane)
        on_offer = self._conversation.candidates[self._conversation.selected :][:1]
        return tuple(MaskRecord.from_mask(one.mask) for one in on_offer if one.mask.any())

    def _row(self, answer: SimilarAnswer, rank: int, plane: Plane) -> Row:
        record = answer.described.records[answer.found.numbers[rank - 1]]
        points = [list(point) for point in record.prompt.get("points") or ()]
        origin = {
            "model": answer.described.embeddings.model_name,
            "axes": list(plane.axes),
            "plane": list(plane.index),
            "points": points,
            "labels": [1] * len(points),
            "box": None,
            "mask": None,
            "similarity": round(float(answer.found.similarity[rank - 1]), 4),
            "similar_to": list(self._labels),
        }
        scores = {"predicted_iou": record.predicted_iou, "stability_score": record.stability_score}
        return {**{name: score for name, score in scores.items() if score is not None}, PROMPTS: json.dumps(origin)}

    def _explanation(
        self, answer: SimilarAnswer, plane: Plane, present: NDArray[Any], labels: tuple[int, ...]
    ) -> FoundSimilar:
        """Return how the objects come about that are accepted now."""
        answerer, limits, is_raster = self._asked or (self._embedder.answerer(None), None, False)
        question = answer.question
        why = A_RASTER if is_raster else ""
        if question.candidates is not None:
            why = why or "the masks of a layer were compared"
        elif not np.array_equal(question.taken, present != 0):
            why = why or "objects were changed between looking and accepting"
        return FoundSimilar(
            plane,
            question.chosen,
            self._labels,
            self._threshold,
            question.least_iou,
            "model" if question.candidates is None else "everything",
            question.settings,
            labels,
            answerer,
            limits,
            why,
        )

    def _class_of_chosen(self) -> str | None:
        objects = self._work.layer
        names = (
            {str(objects.row(label).get(CATEGORY, "")) for label in self._labels} if objects is not None else set()
        )
        return names.pop() or None if len(names) == 1 else None

    def _answered(self, image: Image, plane: Plane, about: Any, answer: SimilarAnswer) -> None:
        self._task = None
        self._known = (about, answer.described)
        self.progress, self.answer, self._plane = None, answer, plane
        if self._conversation.image is not image or self._conversation.plane != plane:
            self._drop()
            return
        self._preview.begin(image, plane, answer.found.ranks)
        self._show()
        self._say("Move the similarity until the right objects are marked, then accept them.")

    def _failed(self, error: Exception) -> None:
        self._task = None
        self._drop()
        self._say(f"Similar objects could not be found: {error}.".replace("..", "."))

    def _embedding_moved(self, state: EmbeddingState) -> None:
        if not self._waits:
            return
        if state.phase == "ready":
            self._waits = False
            self.find()
        elif state.phase in ("failed", "none"):
            self._waits = False
            self._drop()
        else:
            self._become(state.progress)

    def _look_again(self, candidates: Any = None) -> None:
        """Drop what was found on another plane."""
        if self.answer is not None and self._conversation.plane != self._plane:
            self._drop()

    def _show(self) -> None:
        if self.answer is not None:
            self._preview.show(self.count)
        self.changed.emit()

    def _drop(self) -> None:
        self.answer = self.progress = self._plane = None
        self._preview.hide()
        self.changed.emit()

    def _become(self, progress: Progress) -> None:
        self.progress = progress
        self.changed.emit()
