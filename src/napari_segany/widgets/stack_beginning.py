"""A run through a stack as it is to begin: what it reads, who writes, how its objects are explained. Knows no Qt.

All of it is as things are chosen and shown at the beginning, whatever is chosen meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from napari.layers import Image

from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.propagation_values import Propagation
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.layers import intensity_limits, read_plane, spatial_shape
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.provenance_derived import A_CORRECTION, A_RASTER, STOPPED, CarriedThrough
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.session_objects import SessionObjects
from napari_segany.widgets.stack_carrying import NEW, Journey
from napari_segany.widgets.stack_choices import StackChoices
from napari_segany.widgets.stack_embeddings import slice_embeddings
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_prompts import Said
from napari_segany.widgets.stack_record import StackRecord
from napari_segany.widgets.stack_writer import StackWriter


class RunBeginning:
    """Makes what a run needs.

    Parameters
    ----------
    embedder, conversation, work, choices
        The parts of the session, and what is chosen of stacks.
    overlap : callable
        Returns what becomes of pixels of other objects.
    """

    def __init__(
        self,
        embedder: Embedder,
        conversation: Conversation,
        work: SessionObjects,
        choices: StackChoices,
        overlap: Callable[[], OverlapRule],
    ) -> None:
        self._embedder, self._conversation, self._work = embedder, conversation, work
        self._choices, self._overlap = choices, overlap

    def writer(
        self,
        line: StackLine,
        objects: ObjectsLayer,
        records: Mapping[int, StackRecord | None],
        said: Sequence[Said],
        corrects: int,
    ) -> StackWriter:
        """Return what writes into the layer of objects; `corrects` is the object that is corrected, 0 for none."""
        return StackWriter(
            objects,
            line,
            records,
            {one.place: one.prompts for one in said},
            speaks_of=corrects,
            model=self._embedder.model,
            overlap=self._overlap(),
            is_time=self._choices.is_time,
        )

    def explanation(
        self, journey: Journey, image: Image, said: Sequence[Said], writer: StackWriter, corrects: int
    ) -> Callable[[Propagation, bool], CarriedThrough]:
        """Return what tells, at the end of a run, how its objects came about; with what is chosen now."""
        begun = CarriedThrough(
            journey.line,
            Propagation((journey.line.length, *journey.shape), ()),
            self._choices.direction,
            journey.settings,
            NEW + 1,
            writer.labels,
            tuple(journey.records),
            corrects,
            {one.place: (one.asked, one.chosen) for one in said},
            self._conversation.answerer,
            intensity_limits(image),
            self._overlap(),
            A_CORRECTION if corrects else A_RASTER if RasterData.of(image) is not None else "",
        )

        def explained(found: Propagation, is_whole: bool) -> CarriedThrough:
            return replace(begun, found=found, why_pixels=begun.why_pixels or ("" if is_whole else STOPPED))

        return explained

    def journey(self, line: StackLine, image: Image, records: Mapping[int, StackRecord | None]) -> Journey:
        """Return what a run is about."""
        choices, layer = self._choices, self._work.layer
        data = None if layer is None or layer.layer is None else layer.layer.data
        direction = "both" if choices.direction == "between" else choices.direction
        return Journey(
            line,
            line.first.shape_in(spatial_shape(image)),
            self._embedder.predictor,
            slice_embeddings(self._embedder, image, line),
            replace(choices.settings, direction=direction, divisions=choices.is_time),
            choices.direction == "between",
            None if data is None else lambda place: read_plane(data, line.plane(place)),
            records,
        )
