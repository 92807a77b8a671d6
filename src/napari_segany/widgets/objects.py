"""The `objects` layer: accepted masks, with a row of features for each label. Knows no Qt and no model.

Row k of the features belongs to label k (row 0 to the background), as napari's features table has it, and the column
`index` says the same, as its status bar has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from numpy.typing import NDArray

from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import follow, insert_below, placement, spatial_shape

OBJECTS_NAME = "objects"
OWNER_KEY = "napari_segany_image"
"""Key of the layer's metadata: the unique id of the image that the objects were found in."""


class NothingToAddError(ValueError):
    """The mask has no pixel that may be written; the message says why."""


@dataclass(frozen=True)
class Added:
    """The label given to a new object, how many pixels were written and how many left to other objects."""

    label: int
    pixels: int
    kept: int

    def __str__(self) -> str:
        kept = f"; {self.kept:,} px stay with other objects" if self.kept else ""
        return f"Object {self.label} accepted, {self.pixels:,} px{kept}."


class ObjectsLayer:
    """Accepted objects of one image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    image : Image
        The image that they are found in.
    """

    def __init__(self, viewer: ViewerModel, image: Image) -> None:
        self.layer: Labels | None = None
        self._viewer = viewer
        self._image = image
        self._highest = 0

    def add(
        self,
        plane: Plane,
        candidate: Candidate,
        prompts: Prompts,
        *,
        model: str,
        overwrite: bool = False,
        below: Layer | None = None,
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
        overwrite : bool
            Take pixels from objects that are there already. Otherwise only background is written.
        below : Layer, optional
            Under which layer a new `objects` layer goes.

        Raises
        ------
        NothingToAddError
            If the mask is empty, or wholly covered by other objects and these may not be overwritten.
        """
        mask = candidate.mask
        if not mask.any():
            raise NothingToAddError("The mask is empty: there is nothing to accept.")
        layer = self._ready(below)
        present = np.asarray(layer.data[plane.slicer()])
        replaces = prompts.mask.label if prompts.mask is not None and prompts.mask.layer == layer.name else 0
        old = present == replaces if replaces else np.zeros_like(mask)
        writable = mask if overwrite else mask & ((present == 0) | old)
        if not writable.any():
            raise NothingToAddError("Other objects cover the whole mask; allow overwriting to accept it.")
        label = replaces or max(self._highest, len(layer.features) - 1) + 1
        self._widen(layer, label)
        with layer.block_history():
            _set(layer, plane, old & ~writable, 0)
            _set(layer, plane, writable, label)
        self._highest = max(self._highest, label)
        origin = {"model": model, "plane": list(plane.index), **prompts.to_dict()}
        row = {
            "predicted_iou": candidate.predicted_iou,
            "stability_score": candidate.stability_score,
            "prompts": json.dumps(origin),
        }
        layer.features = with_row(layer.features, label, row)
        return Added(label, int(writable.sum()), int((mask & ~writable).sum()))

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
        """Leave the layer in the viewer and stop listening to it."""
        self._release()

    def _release(self) -> None:
        if self.layer is not None:
            self.layer.events.labels_update.disconnect(self._painted)
            self.layer.events.data.disconnect(self._replaced)
        self.layer = None

    def _ready(self, below: Layer | None) -> Labels:
        if self.layer is None:
            self.layer = self._existing() or self._created(below)
            self._replaced()
            self.layer.events.labels_update.connect(self._painted)
            self.layer.events.data.connect(self._replaced)
        return self.layer

    def _existing(self) -> Labels | None:
        """Find the objects of an earlier widget, or a layer of that name that lies on the image."""
        fitting = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not layer.multiscale and layer.data.shape == spatial_shape(self._image)
        ]
        for layer in fitting:
            if layer.metadata.get(OWNER_KEY) == self._image.unique_id:
                return layer
        for layer in fitting:
            free = OWNER_KEY not in layer.metadata and layer.name == OBJECTS_NAME
            if free and np.allclose(layer.extent.world, self._image.extent.world):
                layer.metadata = {**layer.metadata, OWNER_KEY: self._image.unique_id}
                return layer
        return None

    def _created(self, below: Layer | None) -> Labels:
        layer = Labels(
            np.zeros(spatial_shape(self._image), dtype=np.uint16),
            name=OBJECTS_NAME,
            opacity=0.6,
            metadata={OWNER_KEY: self._image.unique_id},
            **placement(self._image),
        )
        insert_below(self._viewer, layer, below)
        return layer

    def _painted(self, event: Any) -> None:
        self._highest = max(self._highest, int(np.max(event.data, initial=0)))

    def _replaced(self, event: Any = None) -> None:
        if self.layer is not None:
            self._highest = int(np.max(self.layer.data, initial=0))

    def _widen(self, layer: Labels, label: int) -> None:
        """Give the layer a type that holds the label; this is rare and ends napari's undo history."""
        if label > np.iinfo(layer.data.dtype).max:
            layer.data = np.asarray(layer.data).astype(np.uint32)


def _set(layer: Labels, plane: Plane, where: NDArray[np.bool_], label: int) -> None:
    if where.any():
        layer.data_setitem(plane.voxels(where), label)


def with_row(features: pd.DataFrame, label: int, values: Mapping[str, Any]) -> pd.DataFrame:
    """Return dense features, row k for label k, with the row of one label set; columns of others are kept."""
    table = features.reindex(range(max(label + 1, len(features))))
    table["index"] = np.arange(len(table))
    for name, value in values.items():
        if name not in table:
            table[name] = pd.Series([None] * len(table), dtype=object if isinstance(value, str) else float)
        table.loc[label, name] = value
    if "prompts" in table:
        table["prompts"] = table["prompts"].astype(object).where(table["prompts"].notna(), "")
    return table
