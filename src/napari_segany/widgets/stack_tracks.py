"""The layer `tracks`: where the objects of `objects` that were carried through time are. Knows no Qt.

It is drawn from pixels and table alone, so that undo, brush strokes and deletions are followed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Tracks
from numpy.typing import NDArray

from napari_segany.widgets.layer_order import Level, insert_in_order
from napari_segany.widgets.layers import follow, placement, remove
from napari_segany.widgets.object_table import labels_of, origin_of, rows_of
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.stack_record import STACK, StackRecord

TRACKS_NAME = "tracks"

Centres = dict[int, NDArray[np.float64]]
"""Slice to (ndim,) data position of the centre of mass."""


class TracksLayer:
    """Keeps a Tracks layer in step with the objects of an image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    image : Image
        The image, for where the layer lies.
    objects : ObjectsLayer
        The objects.

    Attributes
    ----------
    layer : Tracks or None
        The layer; None while nothing was carried through time.
    """

    def __init__(self, viewer: ViewerModel, image: Image, objects: ObjectsLayer) -> None:
        self.layer: Tracks | None = None
        self._viewer, self._image, self._objects = viewer, image, objects
        self._centres: dict[int, Centres] = {}
        self._is_held = self._is_shown = False
        objects.touched.connect(self._touched)

    def close(self) -> None:
        """Leave the layer as it is."""
        self._objects.touched.disconnect(self._touched)

    def hold(self, held: bool) -> None:
        """Do not draw while a propagation writes; draw everything when it is over."""
        self._is_held = held
        if not held:
            self._centres, self._is_shown = {}, True
            self._draw(self._records())

    def forget(self, layer: object) -> None:
        """Take note that a layer is gone from the viewer; it comes back with the next propagation."""
        if layer is self.layer and layer is not None:
            self.layer, self._is_shown = None, False

    def follow(self) -> None:
        """Move the layer to where the image lies now."""
        if self.layer is not None:
            follow(self.layer, self._image)

    # -------------------------------------------------------------------- internal

    def _records(self) -> dict[int, StackRecord]:
        """Return the objects that were carried through time, by label."""
        layer = self._objects.layer
        if layer is None:
            return {}
        found = {}
        for label, row in rows_of(layer.features, labels_of(layer.features)).items():
            record = StackRecord.from_dict(origin_of(row).get(STACK)) if row else None
            if record is not None and record.is_time and record.plane.ndim == layer.ndim:
                found[label] = record
        return found

    def _touched(self, change: PixelChange) -> None:
        if self._is_held or not self._is_shown or not len(change.indices):
            return
        records = self._records()
        for label in set(change.labels) & set(self._centres) & set(records):
            touched = np.unique(np.unravel_index(change.indices, change.shape)[records[label].axis])
            self._centres[label] = {
                **{place: centre for place, centre in self._centres[label].items() if place not in touched},
                **self._measured(label, records[label], touched.tolist()),
            }
        self._draw(records)

    def _measured(self, label: int, record: StackRecord, places: Iterable[int]) -> Centres:
        data = self._objects.ready().data
        line = record.line(data.shape)
        centres: Centres = {}
        for place in places if line is not None else ():
            plane = line.plane(place) if line is not None else record.plane
            if 0 <= place < data.shape[record.axis]:
                rows, cols = np.nonzero(np.asarray(data[plane.slicer()]) == label)
                if len(rows):
                    centres[place] = plane.to_data([(rows.mean(), cols.mean())])[0]
        return centres

    def _draw(self, records: dict[int, StackRecord]) -> None:
        for label in set(records) - set(self._centres):
            self._centres[label] = self._measured(label, records[label], records[label].origins)
        self._centres = {label: self._centres[label] for label in sorted(records) if self._centres[label]}
        rows = [(label, *of[place]) for label, of in self._centres.items() for place in sorted(of)]
        there = set(self._centres)
        graph = {label: [records[label].parent] for label in there if records[label].parent in there}
        if not rows:
            gone, self.layer = self.layer, None
            remove(self._viewer, gone)
        elif self.layer is None:
            self.layer = Tracks(np.array(rows), graph=graph, name=TRACKS_NAME, **placement(self._image))
            insert_in_order(self._viewer, self.layer, Level.OBJECTS, self._image)
        else:
            self.layer.graph = {}
            self.layer.data = np.array(rows)
            self.layer.graph = graph
