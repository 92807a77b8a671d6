"""From the masks of all tiles of a level to its objects: one for each, whole or left out. Knows no model.

Masks that agree where their tiles overlap are of one object. Where one of them is whole, that one is the object.
Where all are cut by edges of their tiles, their union is, if at every such edge another tile goes on with it; an
object that is still cut then is too large for the level, and left to a coarser one. So nothing is cut at an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.large.job import Place
from napari_segany.engine.large.matching import matches
from napari_segany.engine.large.tile_store import TileStore
from napari_segany.engine.progress import Progress, Steps

Box = tuple[int, int, int, int]

EDGE = 4
"""Pixels of a tile from an inner edge within which a mask counts as cut by it."""

_GOES_ON = 0.8  # part of a cut that another tile's mask must cover


@dataclass(frozen=True, eq=False)
class LevelObjects:
    """The objects of a level, in the order of their tiles.

    Attributes
    ----------
    places : tuple of Place
        The tiles of the level that are there.
    members : tuple of tuple of (int, int)
        For each object its masks, as (number of the tile, number in the tile): one where the object is whole in a
        tile, else all whose union it is.
    boxes : numpy.ndarray
        (N, 4) int64 in pixels of the level, half-open.
    areas : numpy.ndarray
        (N,) int64 in pixels of the level; of a union, the sum without what overlapping tiles share.
    predicted_iou, stability_score : numpy.ndarray
        (N,) float32; of a union, the lowest.
    """

    places: tuple[Place, ...]
    members: tuple[tuple[tuple[int, int], ...], ...]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.members)


def stitch_steps(store: TileStore, places: list[Place]) -> Steps[LevelObjects]:
    """Return the objects of a level.

    Parameters
    ----------
    store : TileStore
        Has the masks.
    places : list of Place
        The tiles of the level that are there, row by row; tiles that failed are not among them.

    Yields
    ------
    Progress
        Tiles compared.
    """
    nodes = yield from _node_steps(store, places)
    pairs = yield from _pair_steps(store, places, nodes)
    groups = _grouped(nodes, pairs)
    chosen = []
    for number, group in enumerate(groups):
        if number % 512 == 0:
            yield Progress(number, len(groups), "Stitching objects")
        members = _object_of(group, nodes, store, places)
        if members:
            chosen.append(members)
    return _objects(chosen, nodes, store, places)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """All masks of a level: tile (N,), number in the tile (N,), box (N, 4) in the level, cut at each side (N, 4)."""

    first: NDArray[np.int64]
    tile: NDArray[np.int64]
    number: NDArray[np.int64]
    boxes: NDArray[np.int64]
    cut: NDArray[np.bool_]
    iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    areas: NDArray[np.int64]
    depth: NDArray[np.int64]


def _node_steps(store: TileStore, places: list[Place]) -> Steps[_Nodes]:
    parts: list[tuple[NDArray[np.generic], ...]] = []
    counts = [0]
    for tile, place in enumerate(places):
        yield Progress(tile, len(places), "Reading the masks of tiles")
        masks, window = store.masks(place), store.window(place)
        inner = np.array(store.job.plan.inner_edges(window))
        gaps = np.abs(masks.boxes - np.array([0, 0, *window.shape]))
        boxes = masks.boxes.astype(np.int64) + np.array([*window.box[:2]] * 2)
        depth = np.where(inner, gaps, np.iinfo(np.int32).max).min(axis=1).astype(np.int64)
        tiles = np.full(len(masks), tile, np.int64)
        cut = (gaps <= EDGE) & inner
        scores = masks.predicted_iou, masks.stability_score
        parts.append((tiles, np.arange(len(masks)), boxes, cut, *scores, masks.areas, depth))
        counts.append(len(masks))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 8
    return _Nodes(np.cumsum(counts), *columns)


def _pair_steps(store: TileStore, places: list[Place], nodes: _Nodes) -> Steps[list[tuple[float, int, int]]]:
    """Return the agreement and the nodes of all pairs of masks of the same object."""
    tile_of = {(place.row, place.col): tile for tile, place in enumerate(places)}
    pairs = []
    for tile, place in enumerate(places):
        yield Progress(tile, len(places), "Comparing neighbouring tiles")
        for row, col in ((0, 1), (1, -1), (1, 0), (1, 1)):
            other = tile_of.get((place.row + row, place.col + col))
            if other is None:
                continue
            one, two = store.window(place).box, store.window(places[other]).box
            overlap = max(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), min(one[3], two[3])
            if overlap[0] >= overlap[2] or overlap[1] >= overlap[3]:
                continue
            found = matches(store.masks(place), store.masks(places[other]), (one[:2], two[:2]), overlap)
            first, second = int(nodes.first[tile]), int(nodes.first[other])
            pairs += [(agreement, first + mine, second + theirs) for mine, theirs, agreement in found]
    return pairs


def _grouped(nodes: _Nodes, pairs: list[tuple[float, int, int]]) -> list[list[int]]:
    """Join pairs, the surest first; two masks of one tile never come together."""
    group_of = list(range(len(nodes.tile)))
    groups = {node: [node] for node in group_of}
    for _, one, other in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        first, second = sorted((group_of[one], group_of[other]))
        if first == second:
            continue
        tiles = {int(nodes.tile[node]) for node in groups[first]}
        if any(int(nodes.tile[node]) in tiles for node in groups[second]):
            continue
        for node in groups[second]:
            group_of[node] = first
        groups[first] += groups.pop(second)
    return [sorted(groups[number]) for number in sorted(groups)]


def _object_of(group: list[int], nodes: _Nodes, store: TileStore, places: list[Place]) -> list[int]:
    """Return the masks that make the object: the whole one furthest from edges, or all; none if it is cut."""
    whole = [node for node in group if not nodes.cut[node].any()]
    if whole:
        return [max(whole, key=lambda node: (int(nodes.depth[node]), float(nodes.iou[node]), -node))]
    if len(group) == 1 or not all(_goes_on(node, group, nodes, store, places) for node in group):
        return []
    return group


def _goes_on(node: int, group: list[int], nodes: _Nodes, store: TileStore, places: list[Place]) -> bool:
    """Tell whether at every edge that cuts a mask another mask of the object covers the cut and reaches beyond it."""
    window = store.window(places[int(nodes.tile[node])]).box
    for side in np.flatnonzero(nodes.cut[node]).tolist():
        box = [int(value) for value in nodes.boxes[node]]
        axis, is_end = side % 2, side >= 2
        edge = window[side]
        box[axis], box[axis + 2] = (edge - EDGE - 1, edge) if is_end else (edge, edge + EDGE + 1)
        strip = box[0], box[1], box[2], box[3]
        mine = _window(node, strip, nodes, store, places).any(axis=axis)
        theirs = np.zeros_like(mine)
        for other in group:
            reach = store.window(places[int(nodes.tile[other])]).box
            beyond = reach[side] > edge + EDGE if is_end else reach[side] < edge - EDGE
            if other != node and beyond:
                theirs |= _window(other, strip, nodes, store, places).any(axis=axis)
        if np.count_nonzero(mine & theirs) < _GOES_ON * np.count_nonzero(mine):
            return False
    return True


def _window(node: int, box: Box, nodes: _Nodes, store: TileStore, places: list[Place]) -> NDArray[np.bool_]:
    place = places[int(nodes.tile[node])]
    top, left = store.window(place).box[:2]
    local = box[0] - top, box[1] - left, box[2] - top, box[3] - left
    return store.masks(place).window(int(nodes.number[node]), local)


def _objects(chosen: list[list[int]], nodes: _Nodes, store: TileStore, places: list[Place]) -> LevelObjects:
    boxes = np.zeros((len(chosen), 4), np.int64)
    areas = np.zeros(len(chosen), np.int64)
    for number, members in enumerate(chosen):
        own = nodes.boxes[members]
        boxes[number] = (*own[:, :2].min(axis=0), *own[:, 2:].max(axis=0))
        areas[number] = nodes.areas[members[0]]
        if len(members) > 1:
            box = _as_box(boxes[number])
            union = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
            for node in members:
                inner = _as_box(nodes.boxes[node])
                part = union[inner[0] - box[0] : inner[2] - box[0], inner[1] - box[1] : inner[3] - box[1]]
                part |= _window(node, inner, nodes, store, places)
            areas[number] = np.count_nonzero(union)
    lowest = [[nodes.iou[members].min(), nodes.stability[members].min()] for members in chosen]
    iou, stability = np.array(lowest, np.float32).reshape(-1, 2).T
    pairs = tuple(tuple((int(nodes.tile[node]), int(nodes.number[node])) for node in members) for members in chosen)
    return LevelObjects(tuple(places), pairs, boxes, areas, iou, stability)


def _as_box(values: NDArray[np.int64]) -> Box:
    top, left, bottom, right = (int(value) for value in values)
    return top, left, bottom, right
