"""How the layer `objects` came about, step by step, for sessions that can be replayed. Knows no Qt.

Every change of the layer's pixels is told here, those of undo too. A step that is undone is taken off the end,
and put back when it is done again; anything else is added.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_segany.engine.digests import new_hasher
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.labels import run_lengths_by_label, run_lengths_of_part
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_log import SavedLog, SavedStep
from napari_segany.formats.session_steps import PlaneIndex, PlaneMasks, SavedPixels
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.provenance import Accepted, AcceptedEach
from napari_segany.widgets.provenance_derived import CarriedThrough, FoundSimilar

Planes = dict[PlaneIndex, dict[int, RunLengths]]
Derived = CarriedThrough | FoundSimilar
Explanation = Accepted | AcceptedEach | Derived | SavedLog

_PIXELS_AT_A_TIME = 1 << 20


@dataclass(eq=False)
class _Entry:
    """A change of pixels, with what explains it; its pixels are encoded when they are first saved.

    `work` is what it is a part of, where that is done bit by bit.
    """

    key: tuple[str, str]
    pixels: PixelChange | None
    explanation: Explanation | None = None
    saved: tuple[SavedStep, ...] = ()
    work: object | None = None


class WorkLog:
    """The log of one image's objects."""

    def __init__(self) -> None:
        self._layer_id = ""
        self._digest = ""
        self._start: list[tuple[PlaneIndex, NDArray[np.integer]]] | Planes = {}
        self._entries: list[_Entry] = []
        self._undone: list[_Entry] = []
        self._work: object | None = None

    def __len__(self) -> int:
        return len(self._entries)

    # ------------------------------------------------------------------ the layer

    def take_up(self, layer: Labels) -> None:
        """Go on with a layer; what is in it that this log does not know becomes the start."""
        if layer.unique_id != self._layer_id or _digest(layer) != self._digest:
            self.begin_anew(layer)

    def leave(self, layer: Labels | None) -> None:
        """Take note how a layer is left, to see later whether others changed it."""
        self._digest = "" if layer is None else _digest(layer)

    def begin_anew(self, layer: Labels) -> None:
        """Begin with what is in the layer."""
        data = layer.data
        self._layer_id = layer.unique_id
        self._start = [
            (index, np.array(data[index])) for index in np.ndindex(*data.shape[:-2]) if np.any(data[index])
        ]
        self._entries, self._undone = [], []

    # ------------------------------------------------------------------- writing down

    def note(self, pixels: PixelChange) -> None:
        """Write a change down."""
        if not len(pixels.indices):
            return
        forth, back = _name(pixels, pixels.before, pixels.after), _name(pixels, pixels.after, pixels.before)
        if self._entries and self._entries[-1].key == (back, forth):
            self._undone.append(self._entries.pop())
        elif self._undone and self._undone[-1].key == (forth, back):
            self._entries.append(self._undone.pop())
        else:
            self._undone.clear()
            self._entries.append(_Entry((forth, back), pixels, work=self._work))

    @contextmanager
    def explaining(self) -> Iterator[list[Explanation]]:
        """Let what is appended to the list explain the change that happens meanwhile, if it is one and only one."""
        explanations: list[Explanation] = []
        before = self._entries[-1] if self._entries else None
        yield explanations
        last = self._entries[-1] if self._entries else None
        if explanations and last is not None and last is not before:
            last.explanation, last.saved = explanations[-1], ()

    @contextmanager
    def part_of(self, work: object) -> Iterator[None]:
        """Let the changes that happen meanwhile be parts of something that is done bit by bit."""
        self._work = work
        try:
            yield
        finally:
            self._work = None

    def draw_together(self, work: object, whole: PixelChange, explanation: Explanation) -> None:
        """Make the parts of what was done bit by bit one change, unless something else was changed meanwhile."""
        count = sum(entry.work is work for entry in self._entries)
        if count and len(whole.indices) and all(entry.work is work for entry in self._entries[-count:]):
            key = _name(whole, whole.before, whole.after), _name(whole, whole.after, whole.before)
            self._entries[-count:] = [_Entry(key, whole, explanation)]

    @property
    def planes(self) -> set[Plane]:
        """The planes that a model answered about."""
        planes = set()
        for entry in self._entries:
            if isinstance(entry.explanation, SavedLog):
                places = [place for answer in entry.explanation.answers for place in answer.places]
                planes |= {Plane(axes, index) for axes, index in places}
            elif entry.explanation is not None:
                planes.update(entry.explanation.planes)
        return planes

    # ------------------------------------------------------------------------- saving

    def saved_steps(self) -> Steps[SavedLog]:
        """Return the log as it is saved; to be run in the background, while it goes on being written.

        What is encoded is kept, and its pixels dropped.
        """
        entries = list(self._entries)
        begun = self._start
        if isinstance(begun, list):
            planes: Planes = {}
            for index, labels in begun:
                yield Progress(0, len(entries), "Saving the session")
                planes[index] = run_lengths_by_label(labels)
            if self._start is begun:  # not begun anew meanwhile, with another start
                self._start = planes
            begun = planes
        start: PlaneMasks = begun
        steps: list[SavedStep] = []
        for number, entry in enumerate(entries):
            yield Progress(number, len(entries), "Saving the session")
            if isinstance(entry.explanation, SavedLog):
                start, steps = entry.explanation.start, list(entry.explanation.steps)
                continue
            pixels = entry.pixels  # looked at first: another saving drops them once `saved` is there
            saved = entry.saved
            if not saved:
                saved = entry.saved = _encoded(entry.explanation, pixels)
                entry.pixels = None
            steps += saved
        return SavedLog(start, tuple(steps))


def _encoded(explanation: Explanation | None, pixels: PixelChange | None) -> tuple[SavedStep, ...]:
    if isinstance(explanation, Accepted | AcceptedEach):
        return explanation.saved()
    if pixels is None:
        raise RuntimeError("a change of pixels was dropped before it was encoded")
    became = pixels_by_plane(pixels)
    return (explanation.saved(became) if isinstance(explanation, Derived) else SavedPixels(became),)


def pixels_by_plane(pixels: PixelChange) -> Planes:
    """Return what pixels became as masks, by plane and label; 0 for those that were erased.

    It takes the memory of the rows that have such pixels, in the type of their labels, of one plane after another.
    """
    area, planes, begin = pixels.shape[-2] * pixels.shape[-1], {}, 0
    while begin < len(pixels.indices):
        number = int(pixels.indices[begin]) // area
        # A bound of another type would have a copy of all indices made.
        end = int(np.searchsorted(pixels.indices, pixels.indices.dtype.type((number + 1) * area)))
        places = np.unravel_index(number, pixels.shape[:-2]) if len(pixels.shape) > 2 else ()
        planes[tuple(int(place) for place in places)] = _on_a_plane(pixels, slice(begin, end), number * area)
        begin = end
    return planes


def _on_a_plane(pixels: PixelChange, some: slice, first: int) -> dict[int, RunLengths]:
    """Return what those pixels became that are of one plane, whose first one has the index `first`."""
    rows, cols = pixels.shape[-2:]
    indices, after = pixels.indices[some], pixels.after[some]
    top, bottom = ((int(indices[end]) - first) // cols for end in (0, -1))
    shape = (bottom + 1 - top, cols)
    became, told = np.zeros(shape, after.dtype), np.zeros(shape, np.bool_)
    for begin in range(0, len(indices), _PIXELS_AT_A_TIME):
        part = slice(begin, begin + _PIXELS_AT_A_TIME)
        places = indices[part] - (first + top * cols)
        became.ravel()[places], told.ravel()[places] = after[part], True
    return run_lengths_of_part(became, told, (top, 0), (rows, cols))


def _name(pixels: PixelChange, before: NDArray[np.generic], after: NDArray[np.generic]) -> str:
    """Return a digest of a change, with its direction."""
    hasher = new_hasher("xxh128")
    hasher.update(repr(pixels.shape).encode())
    for values in (pixels.indices, before, after):
        hasher.update(np.ascontiguousarray(values, np.int64))
    return str(hasher.hexdigest())


def _digest(layer: Labels) -> str:
    hasher = new_hasher("xxh128")
    hasher.update(np.ascontiguousarray(layer.data))
    return str(hasher.hexdigest())
