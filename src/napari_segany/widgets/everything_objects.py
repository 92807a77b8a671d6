"""What was found on one plane, what the user made of it, and the numbers that objects have. Knows no napari, no Qt.

An object keeps its number (and so its colour) while thresholds change, for as long as it passes them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.widgets.geometry import Plane

if TYPE_CHECKING:  # the engine's candidates are not needed to hold them
    from napari_segany.engine.candidates import RawCandidates

Key = tuple[Any, ...]
"""What an object is recognised by on its plane, whatever the thresholds."""

MADE = "made"


@dataclass(frozen=True, eq=False)
class WordFit:
    """How well objects fit words.

    Attributes
    ----------
    scores : mapping of key to float
        Probability that an object is what is looked for, 0 to 1; of those that have been compared.
    threshold : float
        Least probability of those that are kept. Objects that have not been compared yet stay.
    """

    scores: Mapping[Key, float]
    threshold: float

    def keeps(self, key: Key) -> bool:
        """Return whether an object stays."""
        return self.scores.get(key, 1.0) >= self.threshold


@dataclass(frozen=True, eq=False)
class PlaneObjects:
    """The objects of one plane.

    Attributes
    ----------
    candidates : RawCandidates or None
        Every answer of the model, to filter again; None where there are none (any more).
    found : mapping of key to MaskRecord
        What the last filtering kept, best first.
    hidden : frozenset of keys
        Objects that the user deleted or merged into another one.
    made : mapping of key to MaskRecord
        Objects that the user made by merging; no threshold touches them.
    fit : WordFit or None
        How well those found fit what is looked for in words; None where nothing is.
    """

    candidates: RawCandidates | None = None
    found: Mapping[Key, MaskRecord] = field(default_factory=dict)
    hidden: frozenset[Key] = frozenset()
    made: Mapping[Key, MaskRecord] = field(default_factory=dict)
    fit: WordFit | None = None

    @property
    def shown(self) -> dict[Key, MaskRecord]:
        """The objects that there are for the user."""
        found = {key: record for key, record in self.found.items() if key not in self.hidden}
        if self.fit is not None:
            found = {key: record for key, record in found.items() if self.fit.keeps(key)}
        return found | dict(self.made)

    def score(self, key: Key) -> float | None:
        """Return how probable it is that an object is what is looked for; None where that is not known."""
        return None if self.fit is None else self.fit.scores.get(key)

    def refiltered(self, records: Iterable[MaskRecord]) -> PlaneObjects:
        """Return the plane with other records found; what the user did stays."""
        return replace(self, found=keyed(records))

    def without(self, keys: Collection[Key]) -> PlaneObjects:
        """Return the plane without some objects."""
        return replace(
            self,
            hidden=self.hidden | set(keys),
            made={key: record for key, record in self.made.items() if key not in keys},
        )

    def merged(self, keys: Collection[Key]) -> tuple[PlaneObjects, Key]:
        """Return the plane with some objects made one, and the key of that.

        Raises
        ------
        ValueError
            For fewer than two objects.
        """
        if len(keys) < 2:
            raise ValueError(f"{len(keys)} objects are selected; merging needs two or more on one slice")
        shown = self.shown
        record = united([shown[key] for key in keys])
        key = (MADE, *sorted(keys, key=repr))
        rest = self.without(keys)
        return replace(rest, made={**rest.made, key: record}), key


def keyed(records: Iterable[MaskRecord]) -> dict[Key, MaskRecord]:
    """Return records by what they are recognised by: the question, and which of its answers."""
    found: dict[Key, MaskRecord] = {}
    for record in records:
        points = tuple(tuple(point) for point in record.prompt.get("points") or ())
        key: Key = (record.crop_box, points, record.predicted_iou)
        if not points or key in found:
            key = (*key, record.rle)
        found[key] = record
    return found


def united(records: Iterable[MaskRecord]) -> MaskRecord:
    """Return one record that covers several of one image; it has their points, and no scores: no model made it."""
    parts = list(records)
    boxes = np.array([part.bbox for part in parts])
    top, left = (int(edge) for edge in boxes[:, :2].min(axis=0))
    bottom, right = (int(edge) for edge in boxes[:, 2:].max(axis=0))
    mask = np.zeros(parts[0].rle.size, bool)
    for part in parts:
        row_min, col_min, row_max, col_max = part.bbox
        mask[row_min:row_max, col_min:col_max] |= part.rle.window(part.bbox)
    points = [list(point) for part in parts for point in part.prompt.get("points") or ()]
    prompt = {"points": points, "labels": [1] * len(points)} if points else {}
    return MaskRecord.from_mask(RunLengths.from_mask(mask), prompt=prompt, crop_box=(top, left, bottom, right))


@dataclass(frozen=True, eq=False)
class Numbering:
    """The labels of all objects on all planes; a value that changes by being replaced.

    Attributes
    ----------
    labels : mapping of Plane to mapping of key to int
        Each object's label, from 1.
    free : frozenset of int
        Labels up to the highest that no object has.
    top : int
        The highest label.
    """

    labels: Mapping[Plane, Mapping[Key, int]] = field(default_factory=dict)
    free: frozenset[int] = frozenset()
    top: int = 0

    def updated(self, plane: Plane, keys: Iterable[Key]) -> Numbering:
        """Return the numbering with these objects on a plane: those that stay keep theirs, new ones fill the gaps."""
        before = self.labels.get(plane, {})
        wanted = list(keys)
        kept = {key: before[key] for key in wanted if key in before}
        free = self.free | (set(before.values()) - set(kept.values()))
        new = [key for key in wanted if key not in kept]
        gaps = sorted(free)[: len(new)]
        numbers = gaps + list(range(self.top + 1, self.top + 1 + len(new) - len(gaps)))
        kept.update(zip(new, numbers, strict=True))
        return self._trimmed({**self.labels, plane: kept}, free - set(gaps), max(self.top, *numbers, 0))

    def renamed(self, plane: Plane, key: Key, label: int) -> Numbering:
        """Return the numbering with a free label given to an object that has none yet."""
        of_plane = {**self.labels.get(plane, {}), key: label}
        free = (self.free | set(range(self.top + 1, label))) - {label}
        return self._trimmed({**self.labels, plane: of_plane}, free, max(self.top, label))

    def find(self, label: int) -> tuple[Plane, Key] | None:
        """Return which object has a label."""
        for plane, labels in self.labels.items():
            for key, one in labels.items():
                if one == label:
                    return plane, key
        return None

    @staticmethod
    def _trimmed(labels: Mapping[Plane, Mapping[Key, int]], free: frozenset[int], top: int) -> Numbering:
        while top in free:
            free = free - {top}
            top -= 1
        return Numbering(labels, free, top)
