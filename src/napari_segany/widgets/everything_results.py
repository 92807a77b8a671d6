"""The objects found in one image: filtered anew, numbered, edited and shown, without the model. Knows no Qt.

Drawing runs in the background, one plane at a time, the shown one first. A threshold that is moved on meanwhile does
not stop a drawing (a slider would never show anything), but is drawn next; an edit makes what is under way void.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Image
from psygnal import Signal

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.formats.painting import PaintingRule
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.everything_ahead import FilteringAhead
from napari_segany.widgets.everything_layers import EverythingLayer
from napari_segany.widgets.everything_objects import Key, Numbering, PlaneObjects, WordFit, keyed
from napari_segany.widgets.everything_table import FoundObject
from napari_segany.widgets.everything_work import Clock, PictureRequest, PlanePicture, picture_steps
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import spatial_shape
from napari_segany.widgets.progress_runner import Runner, Task

if TYPE_CHECKING:
    from napari_segany.engine.candidates import RawCandidates

_UNDO_STEPS = 50
_DESCRIBING_SHARE = 10  # many times what it takes to describe all objects passes before that is done again


class EverythingResults:
    """Objects of one image.

    Parameters
    ----------
    image : Image
        The image that they are found in.
    layers : EverythingLayer
        Shows them.
    runner : Runner
        Runs filtering and drawing.
    settings : AutomaticSettings
        Which candidates are kept.
    rule : str
        Which object shows where several overlap.
    candidate_bytes : int
        Bytes of candidates to keep; beyond it those of other slices are let go, and their objects stay as they are.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    word_fit : callable
        Says how well the objects of a plane fit what is looked for in words; `refit` takes it up.
    ahead : FilteringAhead
        Prepares further filterings while nothing else is to do.
    """

    changed = Signal()
    failed = Signal(str)

    def __init__(
        self,
        image: Image,
        layers: EverythingLayer,
        runner: Runner,
        settings: AutomaticSettings,
        rule: PaintingRule,
        candidate_bytes: int,
        clock: Clock = time.monotonic,
    ) -> None:
        self.layers = layers
        self.settings, self.rule = settings, rule
        self.shown_plane: Plane | None = None
        self.word_fit: Callable[[Plane], WordFit | None] = lambda plane: None
        self._image, self._runner = image, runner
        self._candidate_bytes = candidate_bytes
        self._planes: dict[Plane, PlaneObjects] = {}
        self._numbering = Numbering()
        self._parents: dict[int, int] = {}
        self._sizes: dict[Plane, int] = {}
        self._undo: list[tuple[Plane, PlaneObjects]] = []
        self._wanted: dict[Plane, bool] = {}
        self._task: Task | None = None
        self._drawing = self._pumping = False
        self._round = 0
        self._is_stale = False  # whether the layer shows planes that its table and kept masks do not tell of yet
        self._described_at, self._describing_s = clock(), 0.0
        self._clock = clock
        self.ahead = FilteringAhead(runner, lambda: self.waiting > 0, self._candidates, self._room, self._weigh)

    # ---------------------------------------------------------------- what there is

    @property
    def objects(self) -> dict[int, FoundObject]:
        """All objects by label, those of a plane in the order that they are painted in where nothing else decides."""
        found = {}
        for plane, labels in self._numbering.labels.items():
            for key, record in self._planes[plane].shown.items():
                label, fits = labels[key], self._planes[plane].score(key)
                found[label] = FoundObject(label, plane, record, self._parents.get(label, 0), fits)
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image without channels."""
        return spatial_shape(self._image)

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes that have been asked about, or opened."""
        return tuple(self._planes)

    @property
    def asked(self) -> AutomaticSettings | None:
        """What was asked of the shown plane, or of any other; None before the first run."""
        shown = [self._planes[self.shown_plane]] if self.shown_plane in self._planes else []
        for objects in [*shown, *self._planes.values()]:
            if objects.candidates is not None:
                return objects.candidates.settings
        return None

    @property
    def waiting(self) -> int:
        """How many planes are still to be drawn."""
        return len(self._wanted) + self._drawing

    @property
    def unfilterable(self) -> int:
        """How many planes have objects but no candidates, so that thresholds do not reach them."""
        return sum(objects.candidates is None for objects in self._planes.values())

    def on(self, plane: Plane) -> PlaneObjects:
        """Return everything that is known of a plane."""
        return self._planes.get(plane, PlaneObjects())

    def at(self, plane: Plane, row: float, col: float) -> list[int]:
        """Return the labels of all objects that cover a pixel, the smallest first."""
        row, col = round(row), round(col)
        covering = []
        shown = self.on(plane).shown
        for key, label in self._numbering.labels.get(plane, {}).items():
            record = shown[key]
            top, left, bottom, right = record.bbox
            inside = top <= row < bottom and left <= col < right
            if inside and bool(record.rle.window((row, col, row + 1, col + 1))[0, 0]):
                covering.append((record.area, label))
        return [label for _, label in sorted(covering)]

    # --------------------------------------------------------------------- changes

    def put(self, plane: Plane, objects: PlaneObjects) -> None:
        """Take new candidates or records of a plane, in place of what was there; other axes begin anew."""
        if any(other.axes != plane.axes for other in self._planes):
            self.clear()
        self._undo = [(other, before) for other, before in self._undo if other != plane]
        self._planes.pop(plane, None)
        self._planes[plane] = objects
        self._renumber(plane)
        self._void()
        self._draw([plane], filtered=True)

    def put_records(self, plane: Plane, records: Iterable[MaskRecord]) -> None:
        """Take records that were found before, as a file holds them."""
        self.put(plane, PlaneObjects(found=keyed(records)))

    def refilter(self, settings: AutomaticSettings) -> None:
        """Choose anew from all candidates that are kept."""
        self.settings = settings
        self._draw(
            [plane for plane, objects in self._planes.items() if objects.candidates is not None], filtered=True
        )

    def refit(self, planes: Iterable[Plane] | None = None) -> None:
        """Choose anew those that fit what is looked for in words, on some planes or on all."""
        self._draw([plane for plane in planes or self._planes if plane in self._planes])

    def paint_by(self, rule: PaintingRule) -> None:
        """Show another object where several overlap."""
        self.rule = rule
        self._draw(self._planes)

    def delete(self, labels: Collection[int]) -> None:
        """Take objects away; the rest keep their numbers."""
        for plane, keys in self._by_plane(labels).items():
            self._edit(plane, self._planes[plane].without(keys))

    def merge(self, labels: Collection[int]) -> int:
        """Make objects of one plane one and return its label, the lowest of theirs.

        Raises
        ------
        ValueError
            For objects of several planes, or fewer than two.
        """
        by_plane = self._by_plane(labels)
        if len(by_plane) > 1:
            raise ValueError("The selected objects lie on several slices; merge those of one slice.")
        for plane, keys in by_plane.items():
            merged, key = self._planes[plane].merged(keys)
            label = min(self._numbering.labels[plane][one] for one in keys)
            remaining = [one for one in self._numbering.labels[plane] if one not in keys]
            self._numbering = self._numbering.updated(plane, remaining).renamed(plane, key, label)
            self._edit(plane, merged)
            return label
        raise ValueError("Nothing is selected; merging needs two objects or more.")

    def undo(self) -> bool:
        """Take the last deletion or merger back; return whether there was one."""
        if not self._undo:
            return False
        plane, before = self._undo.pop()
        now = self._planes[plane]
        self._planes[plane] = replace(now, hidden=before.hidden, made=before.made)
        self._renumber(plane)
        self._void()
        self._draw([plane])
        return True

    @property
    def can_undo(self) -> bool:
        """Whether there is a deletion or merger to take back."""
        return bool(self._undo)

    def clear(self) -> None:
        """Drop everything."""
        self._stop()
        self._planes.clear()
        for kept in (self._undo, self._parents, self._sizes):
            kept.clear()
        self._numbering = Numbering()
        self.layers.clear()

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop drawing and let go of the layers; what is drawn stays, and the layer's table and masks are of that."""
        self._stop()
        if self._is_stale and self.layers.layer is not None:
            self._describe()
        self.layers.close(keep_layers=keep_layers)

    # -------------------------------------------------------------------- internal

    def _by_plane(self, labels: Collection[int]) -> dict[Plane, list[Key]]:
        found: dict[Plane, list[Key]] = {}
        for label in sorted(labels):
            place = self._numbering.find(label)
            if place is None:
                raise ValueError(f"there is no object {label}; the layer's features list those there are")
            found.setdefault(place[0], []).append(place[1])
        return found

    def _edit(self, plane: Plane, objects: PlaneObjects) -> None:
        self._undo = [*self._undo, (plane, self._planes[plane])][-_UNDO_STEPS:]
        self._planes[plane] = objects
        self._renumber(plane)
        self._void()
        self._draw([plane])

    def _renumber(self, plane: Plane) -> None:
        self._numbering = self._numbering.updated(plane, self._planes[plane].shown)

    def _void(self) -> None:
        """Let no drawing that was begun before count."""
        self._round += 1

    def _stop(self) -> None:
        self._void()
        self.ahead.make_way()
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()
        self._task, self._drawing = None, False

    def _draw(self, planes: Iterable[Plane], *, filtered: bool = False) -> None:
        for plane in planes:
            self._wanted[plane] = filtered or self._wanted.get(plane, False)
        self._pump()

    def _pump(self) -> None:
        """Draw what is wanted. A loop, for a runner that works at once comes back here for every plane."""
        if self._pumping:
            return
        self._pumping = True
        self.ahead.make_way()
        try:
            while self._wanted and not self._drawing:
                first = self.shown_plane if self.shown_plane in self._wanted else next(iter(self._wanted))
                self._begin(first)
        finally:
            self._pumping = False
        if not self.waiting:
            self.ahead.go_on()

    def _begin(self, plane: Plane) -> None:
        filtered = self._wanted.pop(plane)
        request = PictureRequest(
            plane,
            replace(self._planes[plane], fit=self.word_fit(plane)),
            plane.shape_in(self.shape),
            self.settings if filtered else None,
            self._numbering,
            self.rule,
        )
        this_round = self._round
        self._drawing = True
        task = self._runner.start(
            "Filtering masks",
            picture_steps(request),
            done=lambda picture: self._drawn(picture, this_round),
            failed=self._could_not_draw,
        )
        self._task = task if self._drawing else None

    def _drawn(self, picture: PlanePicture, this_round: int) -> None:
        self._drawing, self._task = False, None
        plane = picture.request.plane
        if this_round != self._round:
            if plane in self._planes:
                again = picture.request.settings is not None
                self._wanted[plane] = again or self._wanted.get(plane, False)
        else:
            self._adopt(plane, picture)
        self._pump()

    def _adopt(self, plane: Plane, picture: PlanePicture) -> None:
        self._planes[plane] = picture.objects
        self._numbering = picture.numbering
        self._parents.update(picture.parents)
        self.layers.write(plane, picture.labels)
        self._let_candidates_go(plane)
        self._is_stale = True
        if not self._wanted or self._clock() - self._described_at >= _DESCRIBING_SHARE * self._describing_s:
            self._describe()
        self.changed.emit()

    def _describe(self) -> None:
        """Bring the layer's table and masks up to date: a file may be written while other planes are drawn."""
        begin = self._clock()
        self.layers.describe(self.objects, self.rule)
        self._described_at = self._clock()
        self._describing_s, self._is_stale = self._described_at - begin, False

    def _candidates(self) -> dict[Plane, RawCandidates]:
        """Return all candidates that are there, those of the shown plane first."""
        planes = sorted(self._planes, key=lambda plane: plane != self.shown_plane)
        found = {plane: self._planes[plane].candidates for plane in planes}
        return {plane: candidates for plane, candidates in found.items() if candidates is not None}

    def _room(self, plane: Plane) -> int:
        """Return how many bytes the candidates of a plane may take without costing those of another."""
        return self._candidate_bytes - sum(size for other, size in self._sizes.items() if other != plane)

    def _weigh(self, plane: Plane) -> None:
        candidates = self.on(plane).candidates
        self._sizes[plane] = 0 if candidates is None else candidates.nbytes

    def _let_candidates_go(self, newest: Plane) -> None:
        self._weigh(newest)
        kept = self.shown_plane if self.shown_plane in self._planes else newest
        for plane in [plane for plane in self._planes if self._sizes.get(plane)]:
            if sum(self._sizes.values()) <= self._candidate_bytes:
                return
            if plane != kept and plane not in self._wanted:
                self._sizes[plane] = 0
                self._planes[plane] = replace(self._planes[plane], candidates=None)

    def _could_not_draw(self, error: Exception) -> None:
        self._drawing, self._task = False, None
        self.failed.emit(str(error) or type(error).__name__)
        self._pump()
