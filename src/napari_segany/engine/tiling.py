"""How a large image is cut into windows: sizes, overlap, levels of reduction. Numbers only: no pixels, no model.

A level k sees the image reduced by 2**k, so that windows of one size in pixels hold objects of any size. The windows
of a level are a regular grid with an overlap; whatever is smaller than the overlap is whole in at least one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Box = tuple[int, int, int, int]
Extent = tuple[float, float, float, float]

LARGE_SIDE = 4096
"""Images with a longer side than this are worked on in windows; smaller ones as a whole."""

WHOLE_PIXELS = 8192 * 8192
"""Images with more pixels than this are never worked on as a whole by themselves, whatever is asked for."""

SHOWN_SIDE = 256
"""Pixels of a side at which an object with its surroundings is read to be shown small; four times a thumbnail's."""

_OBJECTS_IN_A_WINDOW = 8  # how often the typical object should fit along a window's side
_LEAST_MARGIN = 12  # pixels around an object that is shown small


@dataclass(frozen=True)
class TilingSettings:
    """What a user may say about windows; everything has a good default.

    Attributes
    ----------
    side : int or None
        Pixels along a window's side; None for what the model takes.
    overlap : float
        Overlap of neighbouring windows, as a fraction of their side.
    object_size : float, "auto" or None
        Usual diameter of the objects, in pixels of the image: finer levels than they need are left out, and small
        ones get smaller windows. "auto" measures it in a few windows before the others are chosen. None looks at
        all levels.

    Raises
    ------
    ValueError
        For a value out of its range.
    """

    side: int | None = None
    overlap: float = 0.25
    object_size: float | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        if self.side is not None and self.side < 64:
            raise ValueError(f"the tiles are {self.side} pixels wide; give at least 64")
        if not (math.isfinite(self.overlap) and 0.1 <= self.overlap <= 0.5):
            raise ValueError(f"the overlap of tiles is {self.overlap:g}; give a fraction of their side, 0.1 to 0.5")
        size = self.object_size
        if isinstance(size, str) and size != "auto":
            raise ValueError(f"the size of objects is {size!r}; give a number of pixels or auto")
        if isinstance(size, (int, float)) and not (math.isfinite(size) and size > 0):
            raise ValueError(f"the size of objects is {size:g}; give a positive number of pixels")


@dataclass(frozen=True, order=True)
class Window:
    """A part of an image at a reduction.

    Attributes
    ----------
    level : int
        The image is reduced by 2**level.
    box : tuple of int
        (row_min, col_min, row_max, col_max) in pixels of the reduced image, half-open.
    """

    level: int
    box: Box

    @property
    def factor(self) -> int:
        """Pixels of the image along the side of a reduced one."""
        return 1 << self.level

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) in reduced pixels."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @property
    def origin(self) -> tuple[int, int]:
        """(row, col) of its first pixel in the image."""
        return self.box[0] * self.factor, self.box[1] * self.factor

    @property
    def image_box(self) -> Box:
        """The box in pixels of the image; it may end after the image where the reduction does not divide its size."""
        top, left, bottom, right = (side * self.factor for side in self.box)
        return top, left, bottom, right

    def to_window(self, row: float, col: float) -> tuple[float, float]:
        """Return where a position of the image lies, in pixels of the window."""
        return (row + 0.5) / self.factor - 0.5 - self.box[0], (col + 0.5) / self.factor - 0.5 - self.box[1]


@dataclass(frozen=True)
class TilePlan:
    """The windows of an image.

    Attributes
    ----------
    image_shape : tuple of int
        (H, W), in pixels.
    side : int
        Side of a window, in pixels of its level.
    overlap : int
        Overlap of neighbouring windows, in the same pixels.
    first_level : int
        The finest level that is looked at.
    """

    image_shape: tuple[int, int]
    side: int
    overlap: int
    first_level: int = 0

    @property
    def last_level(self) -> int:
        """The level at which one window holds the whole image."""
        ratio = max(self.image_shape) / self.side
        return max(self.first_level, math.ceil(math.log2(ratio)) if ratio > 1 else 0)

    @property
    def levels(self) -> range:
        """All levels, finest first."""
        return range(self.first_level, self.last_level + 1)

    def reduced_shape(self, level: int) -> tuple[int, int]:
        """Return (rows, cols) of the image at a level."""
        rows, cols = (math.ceil(side / (1 << level)) for side in self.image_shape)
        return rows, cols

    def grid_shape(self, level: int) -> tuple[int, int]:
        """Return how many windows a level has along rows and columns."""
        rows, cols = (self._count(side) for side in self.reduced_shape(level))
        return rows, cols

    def window(self, level: int, row: int, col: int) -> Window:
        """Return one window of the grid."""
        shape = self.reduced_shape(level)
        step = self.side - self.overlap
        top, left = (
            min(place * step, max(0, side - self.side))  # the last one is moved back to end with the image
            for side, place in zip(shape, (row, col), strict=True)
        )
        return Window(level, (top, left, min(top + self.side, shape[0]), min(left + self.side, shape[1])))

    def allows(self, window: Window) -> bool:
        """Tell whether a window lies within the image, at a level of the plan, and is no larger than others."""
        if window.level not in self.levels:
            return False
        limits = zip(window.box[:2], window.box[2:], self.reduced_shape(window.level), strict=True)
        return all(0 <= first < last <= side and last - first <= self.side for first, last, side in limits)

    def windows(self, level: int) -> Iterator[tuple[int, int, Window]]:
        """Return the row, the column and the window of all places of a level's grid, row by row."""
        rows, cols = self.grid_shape(level)
        for row in range(rows):
            for col in range(cols):
                yield row, col, self.window(level, row, col)

    def around(self, extent: Extent, level: int) -> list[Window]:
        """Return the windows of a level's grid at and next to the middle of an extent in pixels of the image."""
        step = self.side - self.overlap
        rows, cols = self.grid_shape(level)
        place = [(extent[axis] + extent[axis + 2]) / 2 / (1 << level) / step for axis in range(2)]
        return [
            self.window(level, row, col)
            for row in range(max(0, int(place[0]) - 1), min(rows, int(place[0]) + 2))
            for col in range(max(0, int(place[1]) - 1), min(cols, int(place[1]) + 2))
        ]

    def in_view(self, view: Extent, level: int) -> list[Window]:
        """Return the windows of a level's grid whose `answering_part` is seen, the nearest to the middle first.

        Parameters
        ----------
        view : (float, float, float, float)
            What is seen, (row_min, col_min, row_max, col_max) in pixels of the image; it may leave the image.
        level : int
            The level.
        """
        step = (self.side - self.overlap) << level
        rows, cols = (  # a window covers two steps at most, and the last one may begin a step earlier
            range(max(0, int(view[axis] // step) - 2), min(count, int(view[axis + 2] // step) + 2))
            for axis, count in enumerate(self.grid_shape(level))
        )
        near = [self.window(level, row, col) for row in rows for col in cols]
        found = [window for window in near if self._is_seen(window, view)]
        return sorted(found, key=lambda window: math.dist(_middle(window.image_box), _middle(view)))

    def answering_part(self, window: Window) -> Box:
        """Return the box of the image where a click is answered from a window that is ready.

        Up to half an overlap from its edges, so that the parts of all windows of the grid cover the image.
        """
        edges, inset = self.inner_edges(window), self.overlap // 2
        top, left, bottom, right = (
            (side + (inset if axis < 2 else -inset) * is_inner) * window.factor
            for axis, (side, is_inner) in enumerate(zip(window.box, edges, strict=True))
        )
        return top, left, min(bottom, self.image_shape[0]), min(right, self.image_shape[1])

    def level_for(self, size: float) -> int:
        """Return the finest level at which something of this size, in pixels of the image, fills half a window."""
        ratio = 2 * size / self.side
        level = math.ceil(math.log2(ratio)) if ratio > 1 else 0
        return min(max(level, self.first_level), self.last_level)

    def level_for_view(self, size: float) -> int:
        """Return the level for a click in a view of `size` pixels of the image: what is looked at is not tiny."""
        ratio = size / (2 * self.side)
        level = math.floor(math.log2(ratio)) if ratio > 1 else 0
        return min(max(level, self.first_level), self.last_level)

    def centred(self, level: int, extent: Extent) -> Window:
        """Return a window around an extent (row_min, col_min, row_max, col_max) in pixels of the image.

        It is moved to a multiple of an eighth of its side, so that the next click nearby finds the same one.
        """
        shape, step = self.reduced_shape(level), max(1, self.side // 8)
        box = []
        for axis in range(2):
            middle = (extent[axis] + extent[axis + 2]) / 2 / (1 << level)
            start = round((middle - self.side / 2) / step) * step
            start = min(max(start, 0), max(0, shape[axis] - self.side))
            box.append((start, min(start + self.side, shape[axis])))
        return Window(level, (box[0][0], box[1][0], box[0][1], box[1][1]))

    def margin(self, window: Window, extent: Extent) -> float:
        """Return how far an extent stays from the window's edges that are none of the image, in reduced pixels.

        Negative where it leaves the window; infinite where all edges are those of the image.
        """
        shape = self.reduced_shape(window.level)
        first, last = window.to_window(extent[0], extent[1]), window.to_window(extent[2], extent[3])
        margins = [math.inf]
        for axis in range(2):
            if window.box[axis] > 0:
                margins.append(first[axis] + 0.5)
            if window.box[axis + 2] < shape[axis]:
                margins.append(window.shape[axis] - 0.5 - last[axis])
        return min(margins)

    def inner_edges(self, window: Window) -> tuple[bool, bool, bool, bool]:
        """Tell which edges of a window (top, left, bottom, right) are no edges of the image."""
        rows, cols = self.reduced_shape(window.level)
        return window.box[0] > 0, window.box[1] > 0, window.box[2] < rows, window.box[3] < cols

    def _is_seen(self, window: Window, view: Extent) -> bool:
        part = self.answering_part(window)
        return all(part[axis] < view[axis + 2] and view[axis] < part[axis + 2] for axis in range(2))

    def _count(self, side: int) -> int:
        """Return how many windows there are along an axis."""
        return 1 if side <= self.side else math.ceil((side - self.overlap) / (self.side - self.overlap))


def tile_plan(image_shape: tuple[int, int], model_side: int, settings: TilingSettings | None = None) -> TilePlan:
    """Choose windows for an image.

    Parameters
    ----------
    image_shape : (int, int)
        (H, W), in pixels.
    model_side : int
        Longer side of an image as the model sees it.
    settings : TilingSettings, optional
        What the user says.
    """
    settings = settings or TilingSettings()
    side, first = settings.side or model_side, 0
    if isinstance(settings.object_size, (int, float)):
        wanted = _OBJECTS_IN_A_WINDOW * settings.object_size
        while side << first < wanted / 2:
            first += 1
        if settings.side is None:
            while side > wanted * 2 and side > 256:
                side //= 2
    plan = TilePlan(image_shape, side, int(settings.overlap * side), 0)
    return TilePlan(image_shape, side, plan.overlap, min(first, plan.last_level))


def shown_window(box: Box, image_shape: tuple[int, int]) -> Window:
    """Return the window that shows a box with half of its longer side around it, as coarse as a thumbnail allows.

    Parameters
    ----------
    box : (int, int, int, int)
        (row_min, col_min, row_max, col_max) in pixels of the image, half-open.
    image_shape : (int, int)
        (H, W), in pixels.

    Returns
    -------
    Window
        With at most `SHOWN_SIDE` pixels of a side; at full resolution where the object is small.
    """
    top, left, bottom, right = box
    margin = max(_LEAST_MARGIN, max(bottom - top, right - left) // 2)
    first = max(0, top - margin), max(0, left - margin)
    last = min(image_shape[0], bottom + margin), min(image_shape[1], right + margin)
    level = 0
    while True:
        factor = 1 << level
        row_min, col_min = (side // factor for side in first)
        row_max, col_max = (math.ceil(side / factor) for side in last)
        if max(row_max - row_min, col_max - col_min) <= SHOWN_SIDE:
            return Window(level, (row_min, col_min, row_max, col_max))
        level += 1


def _middle(box: Extent) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def is_large(image_shape: tuple[int, int]) -> bool:
    """Tell whether an image of (H, W) pixels is to be worked on in windows."""
    return max(image_shape) > LARGE_SIDE


def model_side(predictor: object) -> int:
    """Return the longer side of images as a predictor's model sees them; 1024, SAM's, where it has none."""
    config = getattr(getattr(predictor, "sam", None), "config", None)
    return int(getattr(config, "image_size", 1024))
