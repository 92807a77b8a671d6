"""One object for each point or box of a layer or a file, in one pass and as one step of the history. Knows no Qt.

`session.one_each` in napari's console::

    session.one_each.from_layer(viewer.layers["Points"])   # or a Shapes layer; wherever it lies
    session.one_each.from_file("boxes.csv")                # see `formats.prompt_table`; napari's own files too
    session.one_each.from_file("addresses.geojson")        # of a raster with a place on Earth; see `left_out`
    session.one_each.from_boxes([(10, 20, 40, 60)])        # and from_points, of the shown plane
    session.one_each.cancel()
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.progress import Progress
from napari_segany.formats.prompt_table import PromptTable, read_prompt_table
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Draft
from napari_segany.widgets.embedder import Embedder, EmbeddingState
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import intensity_limits, unwrap
from napari_segany.widgets.objects import NothingToAddError
from napari_segany.widgets.one_each_inputs import EachPrompt, counted, numbers_of, prompts_of_layer, prompts_of_table
from napari_segany.widgets.one_each_vectors import VECTOR_ENDINGS, prompts_of_vectors
from napari_segany.widgets.one_each_work import EachQuestion, Found, each_steps, plane_embeddings
from napari_segany.widgets.one_each_writer import Written, write_all
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.provenance import AcceptedEach, Answerer, EachOfPlane
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.session_objects import SessionObjects

_NAMED = 5
"""Features that are left out and named in the status; all are in `OneEach.left_out`."""


class OneEach:
    """Makes many prompts many objects.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers serve.
    runner : Runner
        Runs the work.
    embedder, conversation, prompt_layers, work
        The model, the plane and the policy, the session's own prompts, the accepted objects.
    say : callable
        Receives sentences for the user.
    overlap : callable
        Returns what becomes of pixels of other objects.

    Attributes
    ----------
    progress : Progress or None
        Of the work under way; None where there is none.
    left_out : tuple of str
        What the last vector file asks for outside of the image or where it has no data, a sentence for each feature.
    """

    changed = Signal()
    accepted = Signal(tuple)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        prompt_layers: PromptLayers,
        work: SessionObjects,
        say: Callable[[str | None], None],
        overlap: Callable[[], OverlapRule],
    ) -> None:
        self.progress: Progress | None = None
        self.left_out: tuple[str, ...] = ()
        self._viewer, self._runner, self._embedder = viewer, runner, embedder
        self._conversation, self._prompt_layers, self._work = conversation, prompt_layers, work
        self._say, self._overlap = say, overlap
        self._task: Task | None = None
        self._waiting: tuple[EachPrompt, Points | Shapes | None] | None = None
        self._image: Image | None = None
        conversation.turned.connect(self._turned)
        embedder.state_changed.connect(self._embedding_moved)

    # ------------------------------------------------------------------------- asking

    def from_layer(self, layer: Points | Shapes) -> None:
        """Make an object of each point, or of each shape's box, of a layer, on all slices on which it has some.

        The layer's own placement is respected. Of the session's own prompt layers the prompts go, as when a mask is
        accepted.
        """
        image, plane = self._place()
        layer = unwrap(layer)
        own = layer if layer in (self._prompt_layers.points, self._prompt_layers.boxes) else None
        self._begin(prompts_of_layer(image, plane, layer), own)

    def from_file(self, path: str | os.PathLike[str], *, layer: str | None = None, crs: str | None = None) -> None:
        """Make an object of each line of a CSV file, or each feature of a vector file.

        Positions in a CSV file are pixels of the image; those of a vector file lie on the map, in any reference
        system.

        Parameters
        ----------
        path : path
            The file.
        layer, crs : str, optional
            Which layer of a vector file, and its reference system ("EPSG:4326") where it does not tell one.
        """
        image, plane = self._place()
        path = Path(path).expanduser()
        if path.suffix.lower() in VECTOR_ENDINGS:
            self._begin(prompts_of_vectors(path, image, plane, layer=layer, crs=crs))
            return
        try:
            table = read_prompt_table(path)
        except OSError as error:
            raise ValueError(f"{path.name} cannot be read: {error.strerror or error}") from error
        self._begin(prompts_of_table(table, path.name, image, plane))

    def from_points(self, points: ArrayLike) -> None:
        """Make an object of each point, (N, 2) rows and columns of the shown plane."""
        image, plane = self._place()
        table = PromptTable(points=np.asarray(points, float).reshape(-1, 2))
        self._begin(prompts_of_table(table, "points", image, plane))

    def from_boxes(self, boxes: ArrayLike) -> None:
        """Make an object of each box, (N, 4) row_min, col_min, row_max, col_max of the shown plane."""
        image, plane = self._place()
        table = PromptTable(boxes=np.asarray(boxes, float).reshape(-1, 2, 2))
        self._begin(prompts_of_table(table, "boxes", image, plane))

    def attempt(self, what: str, argument: object) -> None:
        """Call `from_layer` or `from_file` for a button: what speaks against it is said, not raised."""
        try:
            getattr(self, what)(argument)
        except ValueError as error:
            self._say(_sentence(str(error)))

    def cancel(self) -> None:
        """Stop the work; nothing of it is kept."""
        task, self._task, self._waiting = self._task, None, None
        if task is not None:
            task.cancel()
        if self.progress is not None:
            self._become(None)
            self._say("Stopped; no object was made.")

    def close(self) -> None:
        """Stop for good."""
        self._conversation.turned.disconnect(self._turned)
        self._embedder.state_changed.disconnect(self._embedding_moved)
        task, self._task, self._waiting = self._task, None, None
        if task is not None:
            task.cancel()

    # ----------------------------------------------------------------------- internal

    def _place(self) -> tuple[Image, Plane]:
        image, plane = self._conversation.image, self._conversation.plane
        if image is None or plane is None:
            raise ValueError("There is no slice of an image to work on: choose an image, and the 2-D view")
        return image, plane

    def _begin(self, prompts: EachPrompt, own: Points | Shapes | None = None) -> None:
        if self.progress is not None:
            self.cancel()
        self.left_out = prompts.left_out
        if not len(prompts):
            left_out = f": all {counted(prompts.outside, prompts.kind)} lie outside of it" if prompts.outside else ""
            left_out = f": {_listed(prompts.left_out)}" if prompts.left_out else left_out
            raise ValueError(f"{prompts.name} has no {prompts.kind} on the image{left_out}")
        self._waiting = (prompts, own)
        self._image = self._conversation.image
        key = self._conversation.key
        if self._embedder.predictor is not None and key is not None and self._embedder.get(key) is not None:
            self._ask()
        else:  # the model may have to be loaded first
            self._become(Progress(0, len(prompts), "Waiting for the image embedding"))
            self._conversation.prepare()

    def _ask(self) -> None:
        waiting, self._waiting = self._waiting, None
        image, predictor = self._image, self._embedder.predictor
        if waiting is None or image is None or predictor is None:
            return
        prompts, own = waiting
        editor = self._work.editor
        question = EachQuestion(
            prompts,
            predictor,
            plane_embeddings(self._embedder, image),
            self._conversation.policy,
            editor.cleaning if editor.clean_accepted else None,
            RasterData.of(image),
        )
        self._become(Progress(0, len(prompts), "Asking the model"))
        task = self._runner.start(
            f"One object per {prompts.kind}",
            each_steps(question),
            done=partial(self._answered, question, own, self._embedder.answerer(None), intensity_limits(image)),
            failed=self._failed,
            report=self._become,
        )
        self._task = task if self.progress is not None else None

    def _answered(
        self,
        question: EachQuestion,
        own: Points | Shapes | None,
        answerer: Answerer,
        limits: tuple[float, float] | None,
        found: Found,
    ) -> None:
        self._task = None
        objects, prompts, overlap = self._work.layer, question.prompts, self._overlap()
        if objects is None:
            self._become(None)
            return
        try:
            with (
                self._work.recorder.step(f"one object per {prompts.kind}"),
                self._work.log.explaining() as explanations,
            ):
                written = write_all(
                    objects,
                    found,
                    model=answerer.model,
                    overlap=overlap,
                    source=prompts.name,
                    category=self._work.classes.current,
                )
                if written.labels and all(part.in_one_pass for part in found.values()):
                    parts = _parts(prompts, found, written, answerer)
                    explanations.append(AcceptedEach(parts, question.policy, limits, overlap, question.cleaning))
                if own is not None and written.labels:
                    self._drop(own, tuple(prompts.planes))
        except NothingToAddError as error:
            self._become(None)
            self._say(str(error))
            return
        self._become(None)
        self._say(_told(prompts, written))
        self.accepted.emit(written.labels)

    def _drop(self, layer: Points | Shapes, planes: tuple[Plane, ...]) -> None:
        """Remove prompts of the session itself that are objects now."""
        for plane in planes:
            if plane != self._conversation.plane:
                self._work.recorder.draft_will_change(plane)
            self._conversation.put_draft(plane, Draft())
            self._prompt_layers.clear(plane)

    def _failed(self, error: Exception) -> None:
        self._task = None
        self._become(None)
        self._say(_sentence(f"No object was made: {error}"))

    def _embedding_moved(self, state: EmbeddingState) -> None:
        if self._waiting is None:
            return
        if state.phase == "ready":
            self._ask()
        elif state.phase in ("failed", "none"):
            self._waiting = None
            self._become(None)
        else:
            self._become(Progress(0, len(self._waiting[0]), state.progress.note or "Waiting for the image embedding"))

    def _turned(self) -> None:
        """Stop when another image is worked on: its objects are not there any more to be written into."""
        if self.progress is not None and self._conversation.image is not self._image:
            self.cancel()

    def _become(self, progress: Progress | None) -> None:
        self.progress = progress
        self.changed.emit()


def _parts(prompts: EachPrompt, found: Found, written: Written, answerer: Answerer) -> tuple[EachOfPlane, ...]:
    def of(plane: Plane) -> Answerer:
        return replace(answerer, rounded=found[plane].rounded, precision=found[plane].precision)

    return tuple(
        EachOfPlane(plane, positions, written.numbers[plane], of(plane))
        for plane, positions in prompts.planes.items()
        if not isinstance(positions, tuple)
    )


def _told(prompts: EachPrompt, written: Written) -> str:
    """Return what came of it, in a sentence or two."""
    number, planes = len(written.labels), tuple(prompts.planes)
    where = numbers_of(planes)
    parts = [f"{number:,} object{'' if number == 1 else 's'} of {prompts}{where} of {prompts.name!r}"]
    if written.empty:
        parts.append(f"{written.empty:,} had no mask")
    if written.covered:
        lies = "lies" if written.covered == 1 else "lie"
        parts.append(f"{written.covered:,} {lies} wholly under other objects")
    if prompts.left_out:
        parts.append(f"left out: {_listed(prompts.left_out)}")
    elif prompts.outside:
        parts.append(f"{counted(prompts.outside, prompts.kind)} outside of the image or its slices were left out")
    return f"{'; '.join(parts)}. Ctrl-Z takes them back." if number else f"{'; '.join(parts)}."


def _listed(left_out: tuple[str, ...]) -> str:
    """Return the first sentences, and where the others are."""
    first = "; ".join(left_out[:_NAMED])
    more = len(left_out) - _NAMED
    return first if more <= 0 else f"{first}; and {more:,} more (session.one_each.left_out)"


def _sentence(text: str) -> str:
    text = text.rstrip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
