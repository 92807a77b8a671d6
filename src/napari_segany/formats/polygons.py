"""Masks as polygons and back. Knows numpy and scikit-image only; no file format.

Geometry. Vertices are (x, y) on the corners of pixels: pixel (row, col) is the square from (col, row) to
(col + 1, row + 1), so the polygon of a mask goes around its pixels and nothing is cut off or added. This is the
geometry of COCO, where the box of a mask of w columns is w wide.

A ring is filled by the even-odd rule: what lies behind two edges is outside again. So several loops can be joined
into one ring by bridges that are walked forth and back, and neither holes nor separate parts are lost.

`rasterise` fills as COCO's mask API does (Lin et al. 2014, doi:10.1007/978-3-319-10602-1_48): vertices are rounded
to a fifth of a pixel, edges are drawn on that finer grid, and a column of pixels is cut where an edge crosses its
middle. What `polygons_of` and `ring_of` return has its vertices on corners and is filled to the very mask that it
came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import approximate_polygon, label

from napari_segany.formats.rle import RunLengths

Ring = NDArray[np.float64]
"""(N, 2) float64 vertices (x, y) in pixels, without the first one repeated at the end."""

_FINER = 5  # COCO's grid has five steps to a pixel
_LONGEST = 10**7  # pixels; an outline is drawn in memory


def polygons_of(mask: ArrayLike | RunLengths, *, tolerance: float = 0.0) -> list[Ring]:
    """Return one ring for each 4-connected part of a mask; holes are joined to their part by bridges.

    Parameters
    ----------
    mask : array_like or RunLengths
        (H, W) bool.
    tolerance : float
        How far, in pixels, a simplified ring may be from the exact one; 0 keeps every corner and is exact.

    Returns
    -------
    list of numpy.ndarray
        Rings of (N, 2) float64, (x, y) in pixels; none for an empty mask.

    Raises
    ------
    ValueError
        For a mask that is not 2-D and bool, or a negative tolerance.
    """
    parts = _loops_by_part(_run_lengths(mask), tolerance)
    return [_joined(loops) for loops in parts]


def ring_of(mask: ArrayLike | RunLengths, *, tolerance: float = 0.0) -> Ring | None:
    """Return the whole mask as a single ring, parts and holes joined by bridges; None for an empty mask.

    Parameters and errors are those of `polygons_of`.
    """
    rings = polygons_of(mask, tolerance=tolerance)
    return _joined(rings) if rings else None


def has_holes(mask: ArrayLike | RunLengths) -> bool:
    """Tell whether a part of the mask encloses background (4-connected parts, so 8-connected background)."""
    rle = _run_lengths(mask)
    background = np.pad(~rle.window(rle.bbox), 1, constant_values=True)
    return int(label(background, connectivity=2).max()) > 1


def rasterise(rings: Sequence[ArrayLike], size: tuple[int, int]) -> RunLengths:
    """Fill rings as COCO's mask API does; a pixel belongs to the mask that is in any of them.

    No array of the image's size is made, so a large image costs no more than its polygons.

    Parameters
    ----------
    rings : sequence of array_like
        Each (N, 2), (x, y) in pixels, N at least 3.
    size : (int, int)
        (H, W) of the mask, in pixels.

    Raises
    ------
    ValueError
        For a ring of another shape, with coordinates that are not finite, or that does not fit to the image: it
        reaches far outside of it, or is longer than ten million pixels.
    """
    empty = RunLengths(np.array([int(size[0]) * int(size[1])]), size)  # checks the size
    rows, cols = empty.size
    starts, stops = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for ring in rings:
        crossings = np.sort(_crossings(_checked_ring(ring, empty.size), rows, cols))
        starts.append(crossings[0::2])
        stops.append(crossings[1::2])
    return _union(np.concatenate(starts), np.concatenate(stops), empty.size)


def _run_lengths(mask: ArrayLike | RunLengths) -> RunLengths:
    return mask if isinstance(mask, RunLengths) else RunLengths.from_mask(mask)


def _loops_by_part(rle: RunLengths, tolerance: float) -> list[list[Ring]]:
    """Return, for each part, its outer loop and then those of its holes."""
    if not tolerance >= 0:
        raise ValueError(f"the tolerance is {tolerance} pixels; give 0 or more")
    origin = np.array([rle.bbox[1], rle.bbox[0]])
    window = rle.window(rle.bbox)
    if window.size == 0:
        return []
    part_of = label(window, connectivity=1)
    parts: list[list[Ring]] = [[] for _ in range(int(part_of.max()))]
    for corners, (row, col) in _trace(window):
        loops = parts[part_of[row, col] - 1]
        is_outer = _signed_area(corners) > 0
        loops.insert(0 if is_outer else len(loops), _simplified(corners + origin, tolerance))
    return parts


def _trace(mask: NDArray[np.bool_]) -> Iterator[tuple[Ring, tuple[int, int]]]:
    """Walk around the mask with the object on the right; yield the corners (x, y) of each loop and a pixel on it.

    Every side of a pixel that faces background is an edge. Where two pixels touch in one corner, the walk stays at
    its pixel: parts that touch in corners only are separate.
    """
    padded = np.pad(mask, 1)
    rows, cols = np.nonzero(mask)
    edges = []
    for drow, dcol, begin, end in (
        (-1, 0, (0, 0), (1, 0)),  # the upper side goes right, from (x, y) to (x + 1, y)
        (0, 1, (1, 0), (1, 1)),
        (1, 0, (1, 1), (0, 1)),
        (0, -1, (0, 1), (0, 0)),
    ):
        faces = ~padded[rows + 1 + drow, cols + 1 + dcol]
        row, col = rows[faces], cols[faces]
        edges.append(np.stack([col + begin[0], row + begin[1], col + end[0], row + end[1], row, col], axis=1))
    table = np.concatenate(edges)
    following = _following(table, mask.shape[1]).tolist()
    is_walked = [False] * len(table)
    for first in range(len(table)):
        walk = []
        edge = first
        while not is_walked[edge]:
            is_walked[edge] = True
            walk.append(edge)
            edge = following[edge]
        if walk:
            yield _corners(table[walk, :2]), (int(table[first, 4]), int(table[first, 5]))


def _following(table: NDArray[np.int64], cols: int) -> NDArray[np.int64]:
    """Return, for each edge, the number of the one that goes on from its end: the same pixel's, if there is one."""
    wide = cols + 1
    begins, ends = table[:, 1] * wide + table[:, 0], table[:, 3] * wide + table[:, 2]
    pixels = table[:, 4] * wide + table[:, 5]
    order = np.lexsort([pixels, begins])
    sorted_begins = begins[order]
    first = np.searchsorted(sorted_begins, ends, side="left")
    last = np.searchsorted(sorted_begins, ends, side="right") - 1
    takes_last = (first < last) & (pixels[order[last]] == pixels)
    return order[np.where(takes_last, last, first)]


def _corners(vertices: NDArray[np.int64]) -> Ring:
    """Drop the vertices on straight lines."""
    arriving = vertices - np.roll(vertices, 1, axis=0)
    return vertices[(arriving != np.roll(arriving, -1, axis=0)).any(axis=1)].astype(np.float64)


def _signed_area(ring: Ring) -> float:
    """Return the area of a ring; positive for outer loops, negative for holes."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _simplified(ring: Ring, tolerance: float) -> Ring:
    if tolerance == 0:
        return ring
    closed = approximate_polygon(np.concatenate([ring, ring[:1]]), tolerance)
    return closed[:-1] if len(closed) > 3 else ring  # less than a triangle would be no polygon


def _joined(loops: Sequence[Ring]) -> Ring:
    """Join loops into one ring: each is entered and left over a bridge between two near vertices."""
    ring = loops[0]
    for loop in loops[1:]:
        here = _nearest(ring, loop[0])
        there = _nearest(loop, ring[here])
        walk = np.concatenate([loop[there:], loop[: there + 1]])
        ring = np.concatenate([ring[: here + 1], walk, ring[here:]])
    return ring


def _nearest(vertices: Ring, point: NDArray[np.float64]) -> int:
    return int(((vertices - point) ** 2).sum(axis=1).argmin())


def _checked_ring(ring: ArrayLike, size: tuple[int, int]) -> Ring:
    vertices = np.asarray(ring)
    if vertices.ndim != 2 or vertices.shape[1] != 2 or len(vertices) < 3 or vertices.dtype.kind not in "uif":
        raise ValueError(f"a polygon has the shape {vertices.shape}; expected three or more pairs (x, y) of numbers")
    vertices = vertices.astype(np.float64)
    if not np.isfinite(vertices).all():
        raise ValueError("a polygon has coordinates that are not finite numbers")
    rows, cols = size
    limit = 2 * (rows + cols) + 100
    if (np.abs(vertices) > limit).any():
        raise ValueError(f"a polygon reaches far outside of {rows} x {cols} pixels; does it belong to this image?")
    length = np.abs(vertices - np.roll(vertices, 1, axis=0)).max(axis=1).sum()
    if length > _LONGEST:
        raise ValueError(f"a polygon is {length:.0f} pixels long, which is no outline of an object")
    return vertices


def _crossings(ring: Ring, rows: int, cols: int) -> NDArray[np.int64]:
    """Return where the ring cuts columns of pixels, as positions in column-major order.

    On the fine grid the middle of column c lies between 5c + 2 and 5c + 3; there the mask changes at the first row
    whose middle is below the edge.
    """
    x, y = _drawn_edges((_FINER * ring + 0.5).astype(np.int64))
    left = np.minimum(x[1:], x[:-1])
    col, is_middle = (left - 2) // _FINER, (left - 2) % _FINER == 0
    cuts = (x[1:] != x[:-1]) & is_middle & (col >= 0) & (col < cols)
    upper = np.minimum(y[1:], y[:-1])[cuts]
    row = np.ceil(np.clip((upper + 0.5) / _FINER - 0.5, 0, rows)).astype(np.int64)
    return col[cuts] * rows + row


def _drawn_edges(vertices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all points (x, y) of the fine grid along a closed ring; an edge has the same ones in both directions."""
    ends = np.roll(vertices, -1, axis=0)
    reach = np.abs(ends - vertices)
    goes_along_x = reach[:, 0] >= reach[:, 1]
    steps = reach.max(axis=1)
    edge = np.repeat(np.arange(len(vertices)), steps + 1)
    along = np.where(goes_along_x, 0, 1)
    number = np.arange(len(vertices))
    is_backward = vertices[number, along] > ends[number, along]
    low = np.where(is_backward[:, None], ends, vertices)
    high = np.where(is_backward[:, None], vertices, ends)
    slope = (high - low)[number, 1 - along] / np.maximum(steps, 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(steps + 1) - steps - 1, steps + 1)
    step = np.where(is_backward[edge], steps[edge] - step, step)
    main = low[number, along][edge] + step
    across = (low[number, 1 - along][edge] + slope[edge] * step + 0.5).astype(np.int64)
    is_x = goes_along_x[edge]
    return np.where(is_x, main, across), np.where(is_x, across, main)


def _union(starts: NDArray[np.int64], stops: NDArray[np.int64], size: tuple[int, int]) -> RunLengths:
    """Return the run lengths of intervals [start, stop) of positions in column-major order."""
    positions = np.concatenate([starts, stops])
    order = np.argsort(positions, kind="stable")
    depth = np.cumsum(np.where(order < len(starts), 1, -1))
    positions = positions[order]
    is_last_here = np.append(positions[1:] != positions[:-1], True)[: len(positions)]
    inside = depth[is_last_here] > 0
    positions = positions[is_last_here]
    changes = positions[inside != np.concatenate([[False], inside[:-1]])[: len(inside)]]
    edges = np.concatenate([[0], changes, [size[0] * size[1]]])
    return RunLengths(np.diff(edges), size)
