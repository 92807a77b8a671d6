"""Who made each accepted object of an image and how long it took: by clicks, by strokes, by both. Knows no Qt.

Prompting tells of its clicks and of what is accepted, the layer `objects` of its strokes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from napari_segany.engine.data_engine.clock import ObjectClock, StrokeClock
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.formats.labels import run_lengths_by_label
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.layers import full_resolution
from napari_segany.widgets.object_table import AREA, Row, origin_of, rows_of
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.session import PromptSession

_HANDS = ("paint", "erase", "fill", "polygon")


@dataclass(frozen=True)
class Effort:
    """What an object took.

    Attributes
    ----------
    seconds : float
        A person's.
    clicks : int
        Clicks, boxes and strokes.
    model, weights : str
        What answered the clicks; "" for an object that was painted.
    """

    seconds: float = 0.0
    clicks: int = 0
    model: str = ""
    weights: str = ""


@dataclass(frozen=True)
class AcceptedMasks:
    """The objects of an image, as they go into its record.

    Attributes
    ----------
    masks : tuple of EngineMask
        Those made first first.
    given_way : tuple of EngineMask
        Masks of the record of which a person made some of these.
    """

    masks: tuple[EngineMask, ...] = ()
    given_way: tuple[EngineMask, ...] = ()


@dataclass(frozen=True, eq=False)
class ObjectsThen:
    """The objects of an image as they were at a time, to be encoded in another thread.

    Attributes
    ----------
    layer_id : str
        The unique id of their layer.
    data : numpy.ndarray
        (H, W) labels.
    features : pandas.DataFrame
        Their rows.
    known, from_filled : Mapping
        What they took, and what was corrected to make them, by label.
    model : str
        What answers.
    weights : callable
        Returns the hash of its weights.
    """

    layer_id: str
    data: NDArray[Any]
    features: pd.DataFrame
    known: Mapping[int, Effort]
    from_filled: Mapping[int, EngineMask]
    model: str
    weights: Callable[[], str]

    def encoded(self) -> AcceptedMasks:
        """Return the masks with what they took; ValueError for data that are no plane of labels."""
        found = run_lengths_by_label(self.data)
        labels = sorted(found, key=partial(_rank, list(self.known)))
        rows = rows_of(self.features, labels)
        return AcceptedMasks(
            tuple(self._mask(found[label], label, rows[label]) for label in labels),
            tuple(mask for label, mask in self.from_filled.items() if label in found),
        )

    def _mask(self, mask: RunLengths, label: int, row: Row) -> EngineMask:
        told = origin_of(row)
        effort = self.known.get(label)
        if effort is None:  # not accepted one by one: found as similar to others, or restored
            effort = _untimed(told, self.model, self.weights, clicks=1)
        record = MaskRecord.from_mask(
            mask,
            predicted_iou=row.get("predicted_iou"),
            stability_score=row.get("stability_score"),
            prompt={name: told[name] for name in ("points", "labels", "box") if told.get(name)},
        )
        return EngineMask(
            record, Origin("assisted", round(effort.seconds, 2), effort.clicks, effort.model, effort.weights)
        )


class Efforts:
    """Follows the work on the objects of the image that is prompted on.

    Parameters
    ----------
    prompting : PromptSession
        What the person clicks with.
    clock, strokes : ObjectClock, StrokeClock
        Measure the time of clicks and of strokes.
    weights : callable
        Returns the hash of the weights that answer the clicks.
    filled_mask : callable
        Returns the mask of the record that a layer shows, by the layer's unique id and the label.

    Attributes
    ----------
    changed : Signal
        Emitted when objects, or what is known of them, may be others than before.
    """

    changed = Signal()

    def __init__(
        self,
        prompting: PromptSession,
        clock: ObjectClock,
        strokes: StrokeClock,
        weights: Callable[[], str],
        filled_mask: Callable[[str, int], EngineMask | None],
    ) -> None:
        self._filled_mask = filled_mask
        self._prompting, self._clock, self._strokes, self._weights = prompting, clock, strokes, weights
        self._objects: ObjectsLayer | None = None
        self._known: dict[int, Effort] = {}
        self._prompts, self._last = 0, (0.0, 1)
        self._opened: int | None = None
        self._filled: EngineMask | None = None  # what the prompts began with, if it was filled in
        self._from_filled: dict[int, EngineMask] = {}
        prompting.prompts_changed.connect(self._prompted)
        prompting.accepted.connect(self._accepted)

    @property
    def hint(self) -> str:
        """What to tell the person now; "" for nothing."""
        return self._clock.hint or self._strokes.hint

    def turn_to(self, objects: ObjectsLayer | None) -> None:
        """Follow the work on other objects, of which nothing is known yet."""
        if self._objects is not None:
            self._objects.stroked.disconnect(self._stroked)
            self._objects.taken_up.disconnect(self._listen)
            self._objects.released.disconnect(self._leave)
            self._objects.touched.disconnect(self._changed)
            self._objects.replaced.disconnect(self._changed)
            self._leave(self._objects.layer)
        self._objects = objects
        self._known.clear()
        self._from_filled.clear()
        self._clock.reset()
        self._strokes.reset()
        self._opened = self._filled = None
        if objects is not None:
            objects.stroked.connect(self._stroked)
            objects.taken_up.connect(self._listen)
            objects.released.connect(self._leave)
            objects.touched.connect(self._changed)
            objects.replaced.connect(self._changed)
            self._listen(objects.layer)

    @property
    def layer(self) -> Labels | None:
        """The layer of the objects; None where there is none, or none any more."""
        return None if self._objects is None else self._objects.find()

    def masks(self) -> list[EngineMask]:
        """Return the objects with what they took, those made first first."""
        then = self.now()
        return [] if then is None else list(then.encoded().masks)

    def now(self) -> ObjectsThen | None:
        """Return the objects as they are now, as values of their own; None without a layer."""
        layer = self.layer
        if layer is None:
            return None
        known, from_filled = dict(self._known), dict(self._from_filled)
        data, features = np.array(full_resolution(layer)), layer.features.copy()
        return ObjectsThen(layer.unique_id, data, features, known, from_filled, self._prompting.model, self._weights)

    def _prompted(self, prompts: Prompts) -> None:
        count = len(prompts.points) + (prompts.box is not None)
        for _ in range(count - self._prompts):
            self._strokes.reset()
            self._clock.click()
        if count == 0 and self._clock.clicks:
            self._last = self._clock.finish()  # accepted, which is told next, or dropped
        layer = None if self._objects is None else self._objects.layer
        if prompts.mask is not None and layer is not None and prompts.mask.layer_id == layer.unique_id:
            self._opened = prompts.mask.label
        if prompts:  # without any, they were accepted, which is told next, or dropped
            began = prompts.mask
            self._filled = None if began is None else self._filled_mask(began.layer_id, began.label)
        self._prompts = count

    def _accepted(self, label: int) -> None:
        seconds, clicks = self._clock.finish() if self._clock.clicks else self._last
        earlier = self._known.pop(label, Effort()) if label == self._opened else Effort()
        self._known[label] = Effort(
            earlier.seconds + seconds, earlier.clicks + clicks, self._prompting.model, self._weights()
        )
        self._from_filled.pop(label, None)
        if self._filled is not None:
            self._from_filled[label] = self._filled
        self._prompts, self._last, self._opened, self._filled = 0, (0.0, 1), None, None
        self.changed.emit()

    def _changed(self, change: object) -> None:
        self.changed.emit()

    def _stroked(self, change: PixelChange) -> None:
        if self._objects is None or not len(change.indices):
            return
        label = _label_of(change)
        row = self._objects.row(label)
        is_new = change.growth().get(label) == row.get(AREA)  # an earlier object of this number was undone
        if is_new:
            self._from_filled.pop(label, None)
            effort = Effort()
        else:
            told = origin_of(row)
            effort = self._known.get(label) or _untimed(told, self._prompting.model, self._weights)
        seconds = effort.seconds + self._strokes.stroke(label)
        self._known[label] = replace(effort, seconds=seconds, clicks=effort.clicks + 1)
        self.changed.emit()

    def _listen(self, layer: Labels | None) -> None:
        if layer is not None and self._pressed not in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.append(self._pressed)

    def _leave(self, layer: Labels | None) -> None:
        if layer is not None and self._pressed in layer.mouse_drag_callbacks:
            layer.mouse_drag_callbacks.remove(self._pressed)

    def _pressed(self, layer: Labels, event: Any) -> None:
        if str(layer.mode) in _HANDS:
            self._strokes.press()


def _untimed(told: Mapping[str, Any], model: str, weights: Callable[[], str], clicks: int = 0) -> Effort:
    """Return what the table tells of an object that was made before anybody looked; `model` answers now."""
    by = str(told.get("model") or "")
    return Effort(0.0, clicks, by, weights() if by == model else "")


def _label_of(change: PixelChange) -> int:
    """Return the object that a stroke is about: the one that was painted, or of which most was erased."""
    values = change.after[change.after != 0]
    values = values if len(values) else change.before
    numbers, counts = np.unique(values, return_counts=True)
    return int(numbers[counts.argmax()])


def _rank(order: list[int], label: int) -> tuple[int, int]:
    return (order.index(label) if label in order else len(order), label)
