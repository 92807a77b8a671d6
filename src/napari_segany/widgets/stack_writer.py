"""Writes what was carried through a stack into the layer `objects`, slice by slice, with rows of its table. No Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.propagation_painting import changed_window, painted_window
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.object_changes import ObjectsChange
from napari_segany.widgets.object_table import AREA, PROMPTS, Row, origin_of, rows_of, with_rows
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import changed_pixels, no_change
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_record import STACK, StackRecord

if TYPE_CHECKING:
    from napari_segany.engine.propagation_values import Propagation, SliceMask
    from napari_segany.widgets.stack_carrying import Carried


class StackWriter:
    """Gives the objects of one run their labels, pixels and rows.

    Parameters
    ----------
    objects : ObjectsLayer
        Where they go.
    line : StackLine
        The stack.
    records : Mapping
        Label to what the table told before, of the objects of the run that were there already.
    said : Mapping
        Slice to the prompts of this run.
    speaks_of : int
        The object that the prompts are of; 0 for a new one.
    model : str
        What answers; kept with the prompts.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.
    is_time : bool
        Whether the slices are time points.

    Attributes
    ----------
    labels : dict
        The engine's numbers of objects to their labels.
    """

    def __init__(
        self,
        objects: ObjectsLayer,
        line: StackLine,
        records: Mapping[int, StackRecord | None],
        said: Mapping[int, Prompts],
        *,
        speaks_of: int,
        model: str,
        overlap: OverlapRule,
        is_time: bool,
    ) -> None:
        self.labels: dict[int, int] = {label: label for label in records}
        self._objects, self._line, self._records, self._said = objects, line, dict(records), said
        self._speaks_of, self._model, self._overlap, self._is_time = speaks_of, model, overlap, is_time
        self._earlier = {label: objects.row(label) for label in records}

    def write(self, found: Propagation, place: int) -> None:
        """Write one slice; call it within a step of the history."""
        layer = self._objects.ready()
        masks = found.slices.get(place, ())
        self._give_labels(found, masks)
        shape = self._line.first.shape_in(layer.data.shape)
        window = changed_window(masks, shape, self._overlap, were_there=bool(self._records))
        if window is None:
            return
        plane = self._line.plane(place)
        edges = dict(zip(plane.axes, ((window[0], window[2]), (window[1], window[3])), strict=True))
        fixed = dict(zip(plane.hidden, plane.index, strict=True))
        cut = tuple(
            slice(*edges[axis]) if axis in edges else slice(fixed[axis], fixed[axis] + 1)
            for axis in range(plane.ndim)
        )
        present = np.asarray(layer.data[cut])
        flat = present.reshape(window[2] - window[0], -1)
        wanted = painted_window(flat, masks, window, self.labels, self._overlap).reshape(present.shape)
        corner = [part.start for part in cut]
        pixels = changed_pixels(layer.data, corner, np.ones(present.shape, bool), wanted)
        rows = {self.labels[mask.object_id]: self._row(found, mask.object_id) for mask in masks}
        if pixels is not None:
            self._objects.write(pixels, rows, how="overwritten")
        self._note({label: row for label, row in rows.items() if pixels is None or label not in pixels.labels})

    def finish(self, carried: Carried) -> None:
        """Take away what the objects had on slices that they are no longer on; call it within a step."""
        found = carried.found
        there = {(self.labels.get(mask.object_id), place) for place, masks in found.slices.items() for mask in masks}
        gone = {place for label, places in carried.before.items() for place in places if (label, place) not in there}
        for place in sorted(gone):
            self.write(found, place)
        self._note({self.labels[one]: self._row(found, one, whole=True) for one in found.object_ids})

    # ----------------------------------------------------------------------- pixels

    def _give_labels(self, found: Propagation, masks: tuple[SliceMask, ...]) -> None:
        new = [mask.object_id for mask in masks if mask.object_id not in self.labels]
        for one, label in zip(new, self._objects.free_labels(len(new)) if new else (), strict=True):
            self.labels[one] = label
            self._objects.reserve(label)  # nothing of it may be written on this slice
            self._earlier[label] = self._inherited(found, one)

    def _inherited(self, found: Propagation, object_id: int) -> Row:
        """Return what a child has of its parent: a class that people gave it, and the like."""
        parents = [division.parent for division in found.divisions if object_id in division.children]
        row = self._earlier.get(self.labels.get(parents[0], 0), {}) if parents else {}
        return {name: cell for name, cell in row.items() if name not in (AREA, PROMPTS)}

    # ------------------------------------------------------------------------- rows

    def _row(self, found: Propagation, object_id: int, *, whole: bool = False) -> Row:
        label = self.labels[object_id]
        masks = list(found.masks_of(object_id))
        scores = {
            name: [score for mask in masks if (score := getattr(mask.record, name)) is not None]
            for name in ("predicted_iou", "stability_score")
        }
        earlier = self._earlier[label]
        return {
            **earlier,
            **{name: float(np.mean(values)) for name, values in scores.items() if values},
            PROMPTS: json.dumps(self._origin(found, object_id, masks, whole=whole)),
        }

    def _origin(self, found: Propagation, object_id: int, masks: list[SliceMask], *, whole: bool) -> dict[str, Any]:
        label = self.labels[object_id]
        record = self._records.get(label) or StackRecord(self._line.axis, self._line.first)
        own = self._said if label == self._speaks_of or (not self._speaks_of and label not in self._records) else {}
        division = next((one for one in found.divisions if object_id in one.children), None)
        if division is not None:
            own = own if self._speaks_of == label else {}
            record = replace(record, parent=self.labels.get(division.parent, 0), born=division.slice_index)
        origins = {mask.slice_index: mask.origin for mask in masks}
        record = replace(
            record,
            prompts={**record.prompts, **{place: prompts.to_dict() for place, prompts in own.items()}},
            origins=origins if whole else {**record.origins, **origins},
            is_time=self._is_time or record.is_time,
        )
        before = origin_of(self._earlier[label])
        first = min(own, default=min(origins, default=0))
        made = {
            "model": self._model,
            "axes": list(self._line.first.axes),
            "plane": list(self._line.plane(first).index),
            **own.get(first, Prompts()).to_dict(),
        }
        return {**made, **before, STACK: record.to_dict()}

    def _note(self, rows: Mapping[int, Row]) -> None:
        """Set rows of objects whose pixels stay as they are."""
        layer = self._objects.ready()
        there = {label: row for label, row in rows.items() if self._objects.row(label)}
        rows = {label: {**row, AREA: self._objects.row(label)[AREA]} for label, row in there.items()}
        before, length = rows_of(layer.features, rows), len(layer.features)
        if rows and any(dict(before[label]) != row for label, row in rows.items()):
            layer.features = with_rows(layer.features, rows)
            self._objects.changed.emit(ObjectsChange(layer, no_change(layer.data.shape), before, length))
