"""Stacks that are drawn, with all that is true about them: objects that move, grow, divide, vanish, touch.

Every object is an ellipse per slice, in a cell of its own of a grid, so that what happens to one says nothing about
another. Knows numpy and scipy, no models and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

KINDS = ("moving", "growing", "dividing", "vanishing", "touching")

_CELL = 64  # pixels along the side of a cell
_GROUND = 35.0
_NOISE = 6.0
_BLUR = 0.8


@dataclass(frozen=True)
class Ellipse:
    """One object on one slice: centre, half axes and the turn of the first one, in pixels and radians."""

    row: float
    col: float
    half_rows: float
    half_cols: float
    turn: float = 0.0


Life = Mapping[int, Ellipse]
"""An object's ellipse on every slice that it is on."""


@dataclass(frozen=True, eq=False)
class DrawnStack:
    """A stack and its truth.

    Attributes
    ----------
    image : numpy.ndarray
        (Z, H, W) uint8.
    labels : numpy.ndarray
        (Z, H, W) uint32: the object of each pixel, 0 none; the same number on all slices.
    kinds : Mapping
        What happens to each object, one of `KINDS`; objects that are only there to tempt have none.
    parents : Mapping
        Child to the object that it came from.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint32]
    kinds: Mapping[int, str]
    parents: Mapping[int, int]

    @property
    def roots(self) -> tuple[int, ...]:
        """Objects to be prompted: those of a kind that came from no other."""
        return tuple(number for number in self.kinds if number not in self.parents)

    def slices_of(self, number: int) -> tuple[int, ...]:
        """Return the slices that an object is on, ascending."""
        return tuple(np.flatnonzero((self.labels == number).any(axis=(1, 2))).tolist())


def draw_stack(seed: int, *, slices: int = 24, cells: int = 4) -> DrawnStack:
    """Draw a stack of cells x cells scenes, of all kinds in turn.

    Parameters
    ----------
    seed : int
        The same seed gives the same stack.
    slices : int
        Number of slices, 8 at least.
    cells : int
        Scenes along each side; each has 64 pixels.

    Raises
    ------
    ValueError
        For fewer slices or cells than something can happen in.
    """
    if slices < 8 or cells < 1:
        raise ValueError(
            f"a stack of {slices} slices and {cells} cells is too small; give 8 slices and 1 cell or more"
        )
    rng = np.random.default_rng(seed)
    kinds = [KINDS[index % len(KINDS)] for index in range(cells * cells)]
    lives: list[Life] = []
    kind_of: dict[int, str] = {}
    parents: dict[int, int] = {}
    for place, kind in zip(rng.permutation(cells * cells).tolist(), kinds, strict=True):
        corner = np.array(divmod(place, cells)) * _CELL
        scene, came_from, tempting = _SCENES[kind](slices, rng)
        first = len(lives) + 1
        for index, life in enumerate(scene):
            lives.append({at: _moved(ellipse, corner) for at, ellipse in life.items()})
            if index not in tempting:
                kind_of[first + index] = kind
        parents |= {first + child: first + parent for child, parent in came_from.items()}
    side = cells * _CELL
    labels = np.zeros((slices, side, side), np.uint32)
    for number, life in enumerate(lives, start=1):
        for at, ellipse in life.items():
            _fill(labels[at], ellipse, number)
    image = _picture(labels, len(lives), rng)
    return DrawnStack(image, labels, MappingProxyType(kind_of), MappingProxyType(parents))


# A scene: lives, children to parents, and those that only tempt, all by their place in the scene.
Scene = tuple[list[Life], dict[int, int], frozenset[int]]


def _moving(slices: int, rng: np.random.Generator) -> Scene:
    angle, (rows, cols) = rng.uniform(0, 2 * np.pi), rng.uniform(8, 12, 2)
    reach = rng.uniform(12, 16)
    ways = np.linspace(-reach, reach, slices)
    turn = rng.uniform(0, np.pi)
    return (
        [
            {
                at: Ellipse(32 + way * np.sin(angle), 32 + way * np.cos(angle), rows, cols, turn + 0.03 * at)
                for at, way in enumerate(ways)
            }
        ],
        {},
        frozenset(),
    )


def _growing(slices: int, rng: np.random.Generator) -> Scene:
    sizes = np.linspace(rng.uniform(5, 7), rng.uniform(17, 22), slices)
    if rng.random() < 0.5:
        sizes = sizes[::-1]
    stretch = rng.uniform(0.8, 1.2)
    return [{at: Ellipse(32, 32, size, size * stretch) for at, size in enumerate(sizes)}], {}, frozenset()


def _dividing(slices: int, rng: np.random.Generator) -> Scene:
    """Draw an ellipse that becomes longer and parts into two of half its area."""
    when = int(slices * rng.uniform(0.4, 0.6))
    angle, size = rng.uniform(0, np.pi), rng.uniform(9, 11)
    mother: dict[int, Ellipse] = {}
    for at in range(when):
        stretch = 1 + 0.7 * (at / max(1, when - 1)) ** 2
        mother[at] = Ellipse(32, 32, size * stretch, size / np.sqrt(stretch), angle)
    daughters: list[dict[int, Ellipse]] = [{}, {}]
    for at in range(when, slices):
        # Just apart at first (more than their half axes and the blur), then on their ways.
        distance = 0.75 * size + 2.5 + min(8.0, 0.8 * (at - when))
        for sign, life in zip((1, -1), daughters, strict=True):
            shift = sign * distance * np.array([np.cos(angle), np.sin(angle)])
            life[at] = Ellipse(32 + shift[0], 32 + shift[1], 0.75 * size, 0.75 * size, angle)
    return [mother, *daughters], {1: 0, 2: 0}, frozenset()


def _vanishing(slices: int, rng: np.random.Generator) -> Scene:
    """Draw an object that becomes smaller and is gone, and one that appears beside its place soon after."""
    gone = int(slices * rng.uniform(0.5, 0.7))
    size = rng.uniform(9, 13)
    sizes = {at: size * (1 - 0.75 * (at / gone) ** 3) for at in range(gone)}
    life = {at: Ellipse(30, 30, half, half) for at, half in sizes.items()}
    shift = rng.uniform(9, 13)
    other = {at: Ellipse(30 + shift, 30 + shift, size, 0.9 * size) for at in range(gone + 1, slices)}
    return [life, other], {}, frozenset({1})


def _touching(slices: int, rng: np.random.Generator) -> Scene:
    """Draw two objects that touch all the time and go along together."""
    size, angle = rng.uniform(8, 10, 2), rng.uniform(0, np.pi)
    lives: list[dict[int, Ellipse]] = [{}, {}]
    for at in range(slices):
        middle = 32 + 6 * np.sin(2 * np.pi * at / slices + angle)
        for sign, half, life in zip((-1, 1), size, lives, strict=True):
            turned = angle + 0.02 * at
            row, col = middle + sign * half * np.sin(turned), 32 + sign * half * np.cos(turned)
            life[at] = Ellipse(row, col, half, half)
    return list(lives), {}, frozenset()


_SCENES: Mapping[str, Callable[[int, np.random.Generator], Scene]] = MappingProxyType(
    {
        "moving": _moving,
        "growing": _growing,
        "dividing": _dividing,
        "vanishing": _vanishing,
        "touching": _touching,
    }
)


def _moved(ellipse: Ellipse, corner: NDArray[np.int64]) -> Ellipse:
    row, col = corner.tolist()
    return Ellipse(ellipse.row + row, ellipse.col + col, ellipse.half_rows, ellipse.half_cols, ellipse.turn)


def _fill(labels: NDArray[np.uint32], ellipse: Ellipse, number: int) -> None:
    """Draw an ellipse where nothing is yet."""
    reach = int(np.ceil(max(ellipse.half_rows, ellipse.half_cols))) + 1
    top, left = max(0, int(ellipse.row) - reach), max(0, int(ellipse.col) - reach)
    window = labels[top : int(ellipse.row) + reach + 1, left : int(ellipse.col) + reach + 1]
    rows, cols = np.indices(window.shape, float)
    rows, cols = rows + top - ellipse.row, cols + left - ellipse.col
    along = rows * np.cos(ellipse.turn) + cols * np.sin(ellipse.turn)
    across = cols * np.cos(ellipse.turn) - rows * np.sin(ellipse.turn)
    inside = (along / ellipse.half_rows) ** 2 + (across / ellipse.half_cols) ** 2 <= 1
    window[inside & (window == 0)] = number


def _picture(labels: NDArray[np.uint32], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return grey levels: a level for each object, dimmer at its rim, a blur, and noise of its own on each slice."""
    levels = np.concatenate([[_GROUND], rng.uniform(90, 200, count)])
    image = np.empty(labels.shape, np.uint8)
    for at, own in enumerate(labels):
        # The rim of every object is dimmer: without it two that touch would be one to anybody.
        depth = ndimage.distance_transform_edt(_apart(own))
        shade = np.where(own > 0, 0.55 + 0.45 * np.minimum(depth / 4, 1), 1.0)
        grey = ndimage.gaussian_filter(levels[own] * shade, _BLUR) + rng.normal(0, _NOISE, own.shape)
        image[at] = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return image


def _apart(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return the pixels of objects that have no other label among their four neighbours."""
    padded = np.pad(labels, 1)
    centre = padded[1:-1, 1:-1]
    same = centre > 0
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        same &= neighbour == centre
    return same
