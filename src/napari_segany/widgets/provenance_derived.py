"""How objects came about that began from others: carried through a stack, or looking alike. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_derived import SavedCarried, SavedSimilar, SavedSlicePrompt
from napari_segany.formats.session_steps import PlaneMasks, SavedQuestion
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.provenance import Answerer, Asked
from napari_segany.widgets.stack_line import StackLine

if TYPE_CHECKING:
    from napari_segany.engine.prompts import Prompt
    from napari_segany.engine.propagation_values import Propagation, SlicePrompt

STOPPED = "it was stopped on the way"
A_CORRECTION = "it corrects what was carried before"
A_RASTER = "bands of a raster are not read again"


@dataclass(frozen=True, eq=False)
class CarriedThrough:
    """Objects that were carried through a stack.

    Attributes
    ----------
    line : StackLine
        The stack.
    found : Propagation
        All masks, and what was said of the objects.
    direction : str
        Where people wanted to go.
    settings : PropagationSettings
        What the engine got.
    new_ids_from : int
        Least number of an object that came about by division.
    labels : Mapping
        The engine's numbers of objects to their labels.
    carried : tuple of int
        Labels that were there before.
    corrects : int
        The object that was corrected; 0 where none was.
    asked : Mapping
        Of slices on which people chose a mask: the questions, and which candidate of the last answer.
    answerer : Answerer
        What answered.
    contrast_limits : tuple of float, optional
        What the embeddings were computed with.
    overlap : str
        What became of pixels of others.
    why_pixels : str
        Why the same question does not give the same pixels again; "" where it does.
    """

    line: StackLine
    found: Propagation
    direction: str
    settings: PropagationSettings
    new_ids_from: int
    labels: Mapping[int, int]
    carried: tuple[int, ...]
    corrects: int
    asked: Mapping[int, tuple[tuple[Asked, ...], int]]
    answerer: Answerer
    contrast_limits: tuple[float, float] | None
    overlap: OverlapRule
    why_pixels: str = ""

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The slices that the model looked at, where it is asked about them again."""
        if self.why_pixels:
            return ()
        first, last = self._looked_at
        return tuple(self.line.plane(place) for place in range(first, last + 1))

    def saved(self, pixels: PlaneMasks) -> SavedCarried:
        """Return it as it is saved, with the pixels that came of it."""
        first, last = self._looked_at
        there = set(self.found.object_ids)
        return SavedCarried(
            axes=self.line.first.axes,
            index=self.line.first.index,
            axis=self.line.axis,
            first=first,
            last=last,
            direction=self.direction,
            settings=asdict(self.settings),
            prompts=tuple(self._saved_prompt(one) for one in self.found.prompts),
            labels={number: label for number, label in self.labels.items() if number in there},
            carried=self.carried,
            corrects=self.corrects,
            new_ids_from=self.new_ids_from,
            contrast_limits=self.contrast_limits,
            **asdict(self.answerer),
            overlap=self.overlap,
            planes=pixels,
            why_pixels=self.why_pixels,
        )

    @property
    def _looked_at(self) -> tuple[int, int]:
        """The first and the last slice that was asked about, those before which objects ended among them."""
        found = self.found
        places = [
            *found.slices,
            *(one.slice_index for one in found.prompts),
            *(one.slice_index for one in found.ends),
        ]
        inside = [place for place in places if 0 <= place < self.line.length]
        return min(inside, default=0), max(inside, default=0)

    def _saved_prompt(self, prompt: SlicePrompt) -> SavedSlicePrompt:
        number, place = prompt.object_id, prompt.slice_index
        is_of_now = number not in self.carried or number == self.corrects
        questions, chosen = self.asked.get(place, ((), 0)) if is_of_now else ((), 0)
        is_object = prompt.accepted is not None and not is_of_now
        return SavedSlicePrompt(
            object_id=number,
            place=place,
            said=None if prompt.prompt is None else _saved(prompt.prompt),
            questions=tuple(one.saved() for one in questions) if prompt.accepted is not None else (),
            chosen=chosen,
            mask=None if is_object or questions else prompt.accepted,
            is_object=is_object,
        )


@dataclass(frozen=True, eq=False)
class FoundSimilar:
    """Masks of a plane that look like chosen ones, accepted together.

    Attributes
    ----------
    plane : Plane
        Where.
    chosen : tuple of MaskRecord
        What they resemble.
    similar_to : tuple of int
        The labels of these.
    threshold, least_iou : float
        The similarity and the predicted IoU from which on masks were accepted.
    source : str
        Which masks were compared: "model" or "everything".
    settings : AutomaticSettings or None
        What the model found them with.
    labels : tuple of int
        The new objects, most similar first.
    answerer, contrast_limits, why_pixels
        As in `CarriedThrough`.
    """

    plane: Plane
    chosen: tuple[MaskRecord, ...]
    similar_to: tuple[int, ...]
    threshold: float
    least_iou: float
    source: str
    settings: AutomaticSettings | None
    labels: tuple[int, ...]
    answerer: Answerer
    contrast_limits: tuple[float, float] | None
    why_pixels: str = ""

    @property
    def planes(self) -> tuple[Plane, ...]:
        """What it is about, where the model is asked again."""
        return () if self.why_pixels else (self.plane,)

    def saved(self, pixels: PlaneMasks) -> SavedSimilar:
        """Return it as it is saved, with the pixels that came of it."""
        return SavedSimilar(
            axes=self.plane.axes,
            index=self.plane.index,
            chosen=tuple(one.rle for one in self.chosen),
            similar_to=self.similar_to,
            threshold=self.threshold,
            least_iou=self.least_iou,
            source=self.source,
            settings={} if self.settings is None else asdict(self.settings),
            labels=self.labels,
            contrast_limits=self.contrast_limits,
            **asdict(self.answerer),
            planes=pixels,
            why_pixels=self.why_pixels,
        )


def _saved(prompt: Prompt) -> SavedQuestion:
    points = () if prompt.points is None else tuple((row, col) for row, col in prompt.points.tolist())
    edges = None if prompt.box is None else prompt.box.tolist()
    return SavedQuestion(
        points=points,
        labels=() if prompt.labels is None else tuple(prompt.labels.tolist()),
        box=None if edges is None else (edges[0], edges[1], edges[2], edges[3]),
        mask=None if prompt.mask is None else RunLengths.from_mask(np.asarray(prompt.mask, bool)),
    )
