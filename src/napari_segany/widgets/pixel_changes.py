"""Pixels of a Labels layer that were changed, as values: read from napari's paint events, put back, told by plane.

Knows napari's Labels layer, but no session and no Qt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_segany.widgets.geometry import Plane

Indices = NDArray[np.int64]


class UnknownPaintError(TypeError):
    """Napari told of painting in a form that is not known here."""


@dataclass(frozen=True, eq=False)
class PixelChange:
    """Pixels with what they were and what they became.

    Attributes
    ----------
    shape : tuple of int
        Of the layer's data.
    indices : numpy.ndarray
        (N,) int32 or int64, places in the flattened data, ascending, each once.
    before, after : numpy.ndarray
        (N,) labels.
    """

    shape: tuple[int, ...]
    indices: NDArray[Any]
    before: NDArray[Any]
    after: NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.indices.nbytes + self.before.nbytes + self.after.nbytes

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels that lost or got pixels, ascending, without the background."""
        found = np.union1d(self.before, self.after)
        return tuple(int(label) for label in found if label)

    def growth(self) -> dict[int, int]:
        """Return by how many pixels each label grew; negative where it shrank."""
        lost, got = (dict(zip(*_counted(values), strict=True)) for values in (self.before, self.after))
        return {label: got.get(label, 0) - lost.get(label, 0) for label in self.labels}

    def is_written(self, layer: Labels) -> bool:
        """Whether the pixels of the layer are already what they become."""
        return bool((np.asarray(layer.data[np.unravel_index(self.indices, self.shape)]) == self.after).all())

    def put_back(self, layer: Labels) -> PixelChange:
        """Give the pixels what they were before, unless somebody else changed them since; return the way back."""
        if layer.data.shape != self.shape:
            nothing = self.indices[:0]
            return PixelChange(self.shape, nothing, self.after[:0], self.before[:0])
        positions = np.unravel_index(self.indices, self.shape)
        own = np.asarray(layer.data[positions]) == self.after
        wanted = self.before[own]
        layer.data_setitem(tuple(axis[own] for axis in positions), wanted)
        return PixelChange(self.shape, self.indices[own], self.after[own], wanted)


def no_change(shape: tuple[int, ...]) -> PixelChange:
    """Return a change of no pixel, for what changes the table alone."""
    nothing = np.zeros(0, np.int32)
    return PixelChange(shape, nothing, nothing, nothing)


def side_by_side(changes: Sequence[PixelChange]) -> PixelChange | None:
    """Return changes of parts of the data that do not overlap as one, cheaply; None where they may overlap."""
    there = sorted((change for change in changes if len(change.indices)), key=lambda change: int(change.indices[0]))
    if any(one.indices[-1] >= other.indices[0] for one, other in pairwise(there)):
        return None
    if not there:
        return no_change(changes[0].shape)
    return PixelChange(
        there[0].shape,
        *(np.concatenate([getattr(change, name) for change in there]) for name in ("indices", "before", "after")),
    )


def painted_pixels(layer: Labels, atoms: Sequence[Any]) -> PixelChange:
    """Return what a stroke changes, from the value of the layer's `paint` event.

    Parameters
    ----------
    layer : Labels
        The layer. Its pixels are not read: napari tells of some strokes before it writes them.
    atoms : sequence
        The stroke in the order in which it was painted. Each atom is (indices, old values, new values) or
        (bounding box, mask in it or None for all of it, old values, new value).

    Raises
    ------
    UnknownPaintError
        For atoms of another form.
    """
    shape = layer.data.shape
    places = [_places(atom, shape) for atom in atoms]
    indices, before, after = (np.concatenate(values) for values in zip(*places, strict=True))
    indices, before, after = _first_and_last(indices, before, after)
    return PixelChange(shape, _small(indices, shape), before, after)


def joined(changes: Iterable[PixelChange]) -> PixelChange | None:
    """Return changes that followed each other as one; None where nothing is different in the end."""
    there = [change for change in changes if len(change.indices)]
    if not there:
        return None
    indices = np.concatenate([change.indices for change in there])
    before = np.concatenate([change.before for change in there])
    after = np.concatenate([change.after for change in there])
    indices, before, after = _first_and_last(indices, before, after)
    return PixelChange(there[0].shape, indices, before, after) if len(indices) else None


def _first_and_last(
    indices: NDArray[Any], before: NDArray[Any], after: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return each pixel once, with what was there first and came last, where these differ."""
    unique, first = np.unique(indices, return_index=True)
    last = len(indices) - 1 - np.unique(indices[::-1], return_index=True)[1]
    before, after = before[first], after[last]
    really = before != after
    return unique[really], before[really], after[really]


def plane_change(
    shape: tuple[int, ...], plane: Plane, before: NDArray[Any], after: NDArray[Any]
) -> PixelChange | None:
    """Return what is different between two (H, W) states of a plane of data of this shape; None if nothing is."""
    different = before != after
    if not different.any():
        return None
    indices = np.ravel_multi_index(plane.voxels(different), shape).astype(np.int64)
    order = np.argsort(indices, kind="stable")  # of planes whose axes are not the last ones
    return PixelChange(shape, _small(indices[order], shape), before[different][order], after[different][order].copy())


def label_change(data: NDArray[Any], label: int, becomes: int | NDArray[Any]) -> PixelChange | None:
    """Return the change that gives all pixels of a label another one (or one for each); None if it has none."""
    indices = np.flatnonzero(np.asarray(data).ravel() == label)
    if not len(indices):
        return None
    after = np.broadcast_to(np.asarray(becomes), indices.shape).copy()
    return PixelChange(data.shape, _small(indices, data.shape), np.full(indices.shape, label, data.dtype), after)


def changed_pixels(
    data: NDArray[Any], corner: Sequence[int], where: NDArray[np.bool_], wanted: NDArray[Any]
) -> PixelChange | None:
    """Return the change of the pixels that are set in a window of the data; None if nothing is different.

    Parameters
    ----------
    data : numpy.ndarray
        The layer's data, as they are.
    corner : sequence of int
        Where the window begins, on each axis.
    where : numpy.ndarray
        The window as bool: which of its pixels are concerned.
    wanted : numpy.ndarray
        What they become, of the same shape.
    """
    positions = tuple(axis + start for axis, start in zip(np.nonzero(where), corner, strict=True))
    before, after = data[positions], wanted[where]
    really = before != after
    if not really.any():
        return None
    indices = np.ravel_multi_index(tuple(axis[really] for axis in positions), data.shape).astype(np.int64)
    return PixelChange(data.shape, _small(indices, data.shape), before[really], after[really])


def _places(atom: Any, shape: tuple[int, ...]) -> tuple[Indices, NDArray[Any], NDArray[Any]]:
    """Return where an atom changes the flattened data, what was there and what comes."""
    if not isinstance(atom, tuple) or len(atom) not in (3, 4):
        raise UnknownPaintError(f"napari describes painting by {type(atom).__name__}, which is not known here")
    if len(atom) == 3:
        positions, old, new = atom
        flat = np.ravel_multi_index(tuple(np.asarray(axis).ravel() for axis in positions), shape)
    else:
        box, mask, old, new = atom
        edges = [part.indices(size) for part, size in zip(box, shape, strict=True)]
        sizes = tuple(stop - start for start, stop, _ in edges)
        inside = np.nonzero(np.ones(sizes, bool) if mask is None else np.asarray(mask).reshape(sizes))
        flat = np.ravel_multi_index(tuple(at + start for at, (start, _, _) in zip(inside, edges, strict=True)), shape)
    old, new = np.asarray(old).ravel(), np.asarray(new).ravel()
    return np.asarray(flat, dtype=np.int64), np.broadcast_to(old, flat.shape), np.broadcast_to(new, flat.shape)


def _small(indices: Indices, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the indices in four bytes each where that is enough."""
    return indices.astype(np.int32) if int(np.prod(shape, dtype=np.int64)) <= np.iinfo(np.int32).max else indices


def _counted(values: NDArray[Any]) -> tuple[list[int], list[int]]:
    labels, counts = np.unique(values, return_counts=True)
    return labels.tolist(), counts.tolist()
