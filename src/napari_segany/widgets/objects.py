"""The `objects` layer: accepted masks, with a row of features for each label. Knows no Qt and no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from psygnal import Signal

from napari_segany.engine.object_overlap import OverlapRule, writable_pixels
from napari_segany.widgets.accepted_row import accepted_row
from napari_segany.widgets.drafts import Candidate, ObjectPrompt, Prompts
from napari_segany.widgets.foreign_features import by_label
from napari_segany.widgets.geo_metadata import inherited_place
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layer_order import Level, insert_in_order
from napari_segany.widgets.layers import follow, spatial_shape
from napari_segany.widgets.object_changes import ObjectsChange
from napari_segany.widgets.object_table import AREA, INDEX, Row, counted, edited, labels_of, rows_of, with_rows
from napari_segany.widgets.pixel_changes import PixelChange, no_change, plane_change
from napari_segany.widgets.spare_objects import SpareObjects

OBJECTS_NAME = "objects"
OWNER_KEY = "napari_segany_image"
"""Key of the layer's metadata: the unique id of the image that the objects were found in."""

LARGEST_LABEL = 1_000_000
"""Of labels with a row: the table has a row for every number up to the highest."""

_COUNTED_AT_ONCE = 1 << 25
"""Pixels of a layer up to which all its objects are counted when it is taken up; beyond, each when it is changed."""


class NothingToAddError(ValueError):
    """The mask has no pixel that may be written; the message says why."""


@dataclass(frozen=True)
class Added:
    """The label given to a new object, how many pixels were written, how many left to others, and who lost all."""

    label: int
    pixels: int
    kept: int
    covered: tuple[int, ...] = ()

    def __str__(self) -> str:
        kept = f"; {self.kept:,} px stay with other objects" if self.kept else ""
        gone = f"; nothing is left of {numbered(self.covered)}, Ctrl-Z brings it back" if self.covered else ""
        return f"Object {self.label} accepted, {self.pixels:,} px{kept}{gone}."


class ObjectsLayer:
    """Accepted objects of one image.

    Emits `changed` with what undoes a change, `touched` with the pixels of every change, those of undo too, `stroked`
    with those of a stroke by hand, and `replaced` when somebody else gave the layer other data.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    image : Image
        The image that they are found in.
    spare : SpareObjects, optional
        Has a layer that waits to be that of the objects.

    Attributes
    ----------
    layer : Labels or None
        The layer; None until something is accepted.
    is_writing : bool
        Whether pixels are being changed by a method of this object.
    """

    taken_up = Signal(object)
    released = Signal(object)
    changed = Signal(ObjectsChange)
    touched = Signal(PixelChange)
    stroked = Signal(PixelChange)
    replaced = Signal(object)

    def __init__(self, viewer: ViewerModel, image: Image, spare: SpareObjects | None = None) -> None:
        self.layer: Labels | None = None
        self.is_writing = False
        self._viewer, self._image = viewer, image
        self._spare = SpareObjects(viewer) if spare is None else spare
        self._highest, self._all_counted = 0, False

    def add(
        self,
        plane: Plane,
        candidate: Candidate,
        prompts: Prompts,
        *,
        model: str,
        overlap: OverlapRule = "keep",
        overwrite: bool = False,
    ) -> Added:
        """Write a candidate with the next free label; Ctrl-Z in the layer undoes it.

        If the prompts began with an object of this very layer, the candidate is a better version of that: on this
        plane it takes its place, with its label.

        Parameters
        ----------
        plane : Plane
            Where the mask lies.
        candidate : Candidate
            The mask with its scores.
        prompts : Prompts
            What the object came from; kept as JSON text.
        model : str
            What made it; kept with the prompts.
        overlap : str
            What becomes of pixels of other objects, see `OverlapRule`.
        overwrite : bool
            Means `overlap="overwrite"`.

        Raises
        ------
        NothingToAddError
            If the mask is empty, or wholly covered by other objects and these may not be overwritten.
        """
        mask = candidate.mask
        if not mask.any():
            raise NothingToAddError("The mask is empty: there is nothing to accept.")
        layer = self.ready()
        present = np.asarray(layer.data[plane.slicer()])
        replaces = self.own_label(prompts.mask)
        writable = writable_pixels(mask, present, replaces, "overwrite" if overwrite else overlap)
        if not writable.any():
            raise NothingToAddError("Other objects cover the whole mask; choose another rule for overlaps.")
        label = replaces or self.free_labels(1)[0]
        wanted = present.astype(np.promote_types(present.dtype, np.min_scalar_type(label)))
        wanted[(present == replaces) & ~writable & (replaces > 0)] = 0
        wanted[writable] = label
        row = accepted_row(candidate, prompts, plane, model, self.row(label) if replaces else {})
        pixels = plane_change(layer.data.shape, plane, present, wanted)
        if pixels is None:  # an object that was opened again and accepted as it is
            rows = {label: counted(row, self.area(label))}
            changed = ObjectsChange(layer, no_change(layer.data.shape), rows, len(layer.features))
            self.changed.emit(self.put_back(changed))
            return Added(label, int(writable.sum()), int((mask & ~writable).sum()))
        covered = self.write(pixels, {label: row}, how="overwritten")
        return Added(label, int(writable.sum()), int((mask & ~writable).sum()), covered)

    def own_label(self, prompt: ObjectPrompt | None) -> int:
        """Return the label of a mask prompt that is an object of this layer, else 0."""
        if prompt is None or self.layer is None:
            return 0
        same = prompt.layer_id == self.layer.unique_id if prompt.layer_id else prompt.layer == self.layer.name
        return prompt.label if same else 0

    def free_labels(self, count: int) -> tuple[int, ...]:
        """Return the next numbers that no object has or had.

        Raises
        ------
        NothingToAddError
            If they are too high for the table.
        """
        layer = self.ready()
        first = max(self._highest, len(layer.features) - 1) + 1
        if first + count - 1 > LARGEST_LABEL:
            raise NothingToAddError(
                f"The layer {layer.name!r} has an object {first - 1:,}; its table goes up to "
                f"{LARGEST_LABEL:,}. Give its objects smaller numbers, or rename the layer to begin a new one."
            )
        return tuple(range(first, first + count))

    def reserve(self, label: int) -> None:
        """Take note that a number is an object's that has no pixel yet: nobody else gets it."""
        self._highest = max(self._highest, label)

    def write(self, pixels: PixelChange, rows: Mapping[int, Row] | None = None, how: str = "") -> tuple[int, ...]:
        """Change pixels and the rows of all objects concerned, as one step.

        Parameters
        ----------
        pixels : PixelChange
            The pixels.
        rows : Mapping, optional
            New rows by label; their area is counted here. Others keep theirs, but for the area.
        how : str
            What is noted with the prompts of those others: "brush", "merge" ...

        Returns
        -------
        tuple of int
            Labels of which no pixel is left.
        """
        layer = self.ready()
        self._widen(layer, int(pixels.after.max(initial=0)))
        before, length = self._rows_before(layer, pixels)
        with self._writing():
            layer.data_setitem(np.unravel_index(pixels.indices, pixels.shape), pixels.after)
        return self._settle(layer, pixels, before, length, rows or {}, how)

    def note(self, pixels: PixelChange, how: str) -> None:
        """Bring the table up to date after somebody else changed pixels, as napari's brush does."""
        if self.layer is not None and len(pixels.indices):
            before, length = self._rows_before(self.layer, pixels)
            self._settle(self.layer, pixels, before, length, {}, how)
            self.stroked.emit(pixels)

    def put_back(self, change: ObjectsChange) -> ObjectsChange:
        """Put a change back, and return the way back; a layer that was removed comes back first."""
        layer = change.layer
        if layer is not self.layer:
            self._take_up(layer)
        now, length = rows_of(layer.features, change.rows), len(layer.features)
        with self._writing():
            pixels = change.pixels.put_back(layer)
        rows = change.rows
        if len(pixels.indices) < len(change.pixels.indices):  # somebody else has changed some of them since
            rows = {label: counted(row or now[label], self.area(label)) for label, row in rows.items()}
        later = rows_of(layer.features, range(change.length, length))
        others = max((label for label, row in later.items() if row and label not in rows), default=0)
        layer.features = with_rows(layer.features, rows, max(change.length, others + 1))
        top = len(layer.features) - 1  # of a layer that is not counted, not all objects have a row
        self._highest = top if self._all_counted else max(self._highest, top)
        self.touched.emit(pixels)
        return ObjectsChange(layer, pixels, now, length)

    def _rows_before(self, layer: Labels, pixels: PixelChange) -> tuple[dict[int, Row], int]:
        return rows_of(layer.features, [label for label in pixels.labels if label <= LARGEST_LABEL]), len(
            layer.features
        )

    def _settle(
        self,
        layer: Labels,
        pixels: PixelChange,
        before: Mapping[int, Row],
        length: int,
        given: Mapping[int, Row],
        how: str,
    ) -> tuple[int, ...]:
        rows: dict[int, Row] = {}
        growth, written = pixels.growth(), pixels.is_written(layer)
        for label, row in before.items():
            known = row.get(AREA) if row or not self._all_counted else 0
            area = (
                self.area(label) + (0 if written else growth[label]) if known is None else int(known) + growth[label]
            )
            rows[label] = counted(given.get(label) or (edited(row, how) if how else row), area)
        layer.features = with_rows(layer.features, rows)
        self._highest = max(self._highest, *before) if before else self._highest
        self.changed.emit(ObjectsChange(layer, pixels, before, length))
        self.touched.emit(pixels)
        return tuple(label for label, row in rows.items() if not row)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        outer, self.is_writing = self.is_writing, True
        try:
            yield
        finally:
            self.is_writing = outer

    def _widen(self, layer: Labels, label: int) -> None:
        """Give the layer a type that holds the label; this is rare."""
        if label > np.iinfo(layer.data.dtype).max:
            with self._writing():
                layer.data = np.asarray(layer.data).astype(np.uint32)

    def row(self, label: int) -> Row:
        """Return the features of an object; {} for one that is not there."""
        return {} if self.layer is None else rows_of(self.layer.features, [label])[label]

    def area(self, label: int) -> int:
        """Return how many pixels an object has, counted in the whole layer."""
        return 0 if self.layer is None else int(np.count_nonzero(np.asarray(self.layer.data) == label))

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of all objects in the table, ascending."""
        if self.layer is None:
            return ()
        return tuple(labels_of(self.layer.features))

    def ready(self) -> Labels:
        """Return the layer, taken up or made where there was none."""
        return self._take_up(self._existing() or self._created()) if self.layer is None else self.layer

    def find(self) -> Labels | None:
        """Take up the layer that an earlier widget made for this image, if there is one."""
        if self.layer is None:
            owned = [layer for layer in self._fitting() if layer.metadata.get(OWNER_KEY) == self._image.unique_id]
            if owned:
                self._take_up(owned[0])
        return self.layer

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was this one."""
        if layer is not self.layer or layer is None:
            return False
        self._release()
        return True

    def follow(self) -> None:
        """Move the layer to where the image lies now."""
        if self.layer is not None:
            follow(self.layer, self._image)

    def close(self) -> None:
        """Leave the layer in the viewer."""
        self._release()

    def _take_up(self, layer: Labels) -> Labels:
        self._release()
        if layer not in self._viewer.layers:
            insert_in_order(self._viewer, layer, Level.OBJECTS, self._image)
        self.layer, table = layer, by_label(layer.features, LARGEST_LABEL)
        if table is not None and table is not layer.features:
            layer.features = table
        self._replaced()
        layer.events.labels_update.connect(self._painted)
        layer.events.data.connect(self._replaced)
        self.taken_up.emit(layer)
        return layer

    def _release(self) -> None:
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.labels_update.disconnect(self._painted)
            layer.events.data.disconnect(self._replaced)
            self.released.emit(layer)

    def _fitting(self) -> list[Labels]:
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not layer.multiscale and layer.data.shape == spatial_shape(self._image)
        ]

    def _existing(self) -> Labels | None:
        """Find the objects of an earlier widget, or a layer of that name that lies on the image."""
        fitting = self._fitting()
        for layer in fitting:
            if layer.metadata.get(OWNER_KEY) == self._image.unique_id:
                return layer
        for layer in fitting:
            free = OWNER_KEY not in layer.metadata and layer.name == OBJECTS_NAME
            free = free and by_label(layer.features, LARGEST_LABEL) is not None
            if free and np.allclose(layer.extent.world, self._image.extent.world):
                layer.metadata = {**layer.metadata, OWNER_KEY: self._image.unique_id}
                return layer
        return None

    def _created(self) -> Labels:
        known = {OWNER_KEY: self._image.unique_id, **inherited_place(self._image.metadata)}
        waiting = self._spare.take(self._image, OBJECTS_NAME, known)
        if waiting is not None:
            return waiting
        layer = self._spare.new(self._image, OBJECTS_NAME, known)
        insert_in_order(self._viewer, layer, Level.OBJECTS, self._image)
        return layer

    def _painted(self, event: Any) -> None:
        self._highest = max(self._highest, int(np.max(event.data, initial=0)))

    def _replaced(self, event: Any = None) -> None:
        """Count the objects of other data: those that are gone lose their rows."""
        if self.layer is None or self.is_writing:
            return
        if event is not None:
            self.replaced.emit(self.layer)
        data = np.asarray(self.layer.data)
        self._highest = int(np.max(data, initial=0))
        self._all_counted = (
            data.size <= _COUNTED_AT_ONCE and self._highest <= LARGEST_LABEL and data.min(initial=0) >= 0
        )
        if not self._all_counted:
            return
        counts = np.bincount(data.ravel(), minlength=max(len(self.layer.features), 1))
        there = {*labels_of(self.layer.features), *(1 + np.flatnonzero(counts[1:])).tolist()}
        every = rows_of(self.layer.features, sorted(there))
        rows = {label: counted(row, int(counts[label])) for label, row in every.items()}
        if rows != every or len(counts) != len(self.layer.features) or INDEX not in self.layer.features:
            self.layer.features = with_rows(self.layer.features, rows, len(counts))


def numbered(labels: tuple[int, ...]) -> str:
    """Return "object 3" or "objects 3, 4", for sentences."""
    return f"object{'s' if len(labels) != 1 else ''} {', '.join(str(label) for label in labels)}"
