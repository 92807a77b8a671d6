"""What the masks of data sets are like: how many, how large, how concave, and where (SAM's figures 5 and 6).

Kirillov et al. 2023 (arXiv:2304.02643), section 5. Concavity depends on size, so data sets are also compared by masks
of the same sizes. Knows no models and no images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.mask_sources import MaskImage, data_set_names
from napari_segany.formats.rle import RunLengths

SIZE_EDGES = np.linspace(0, 1, 21)
"""Bins of relative mask size in which data sets are matched."""

COUNT_BINS = {"to 10": 10, "11-50": 50, "51-100": 100, "101-200": 200, "more": np.inf}
"""Bins of masks per image by the highest number in each; the first has images without masks too."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MaskStatistics:
    """Numbers of the masks of one data set.

    Attributes
    ----------
    images : tuple of str
        I names.
    masks_per_image : numpy.ndarray
        (I,) int64.
    image_of : numpy.ndarray
        (M,) int64, the number of each mask's image.
    areas : numpy.ndarray
        (M,) int64, in pixels.
    relative_sizes : numpy.ndarray
        (M,) square root of the mask's area over the image's, above 0 to 1.
    concavities : numpy.ndarray
        (M,) 1 minus the mask's area over that of its convex hull; 0 for a convex one.
    centers : numpy.ndarray
        (M, 2) mean position (row, col) of the mask's pixels, as fractions of the image, 0 to 1.
    """

    images: tuple[str, ...]
    masks_per_image: NDArray[np.int64]
    image_of: NDArray[np.int64]
    areas: NDArray[np.int64]
    relative_sizes: Floats
    concavities: Floats
    centers: Floats


def statistics_steps(
    images: Sequence[MaskImage],
) -> Steps[tuple[dict[str, MaskStatistics], tuple[str, ...]]]:
    """Measure the masks of images.

    Yields
    ------
    Progress
        In images.

    Returns
    -------
    statistics : dict of str to MaskStatistics
        By the data set's name, with its folder before it where others have the same.
    skipped : tuple of str
        One sentence for each image that cannot be read.
    """
    found: dict[str, list[tuple[str, list[_Mask]]]] = {}
    skipped: list[str] = []
    names = data_set_names(images)
    for done, image in enumerate(images):
        name = names[image.home]
        yield Progress(done, len(images), f"{name}/{image.name}")
        try:
            size, masks = image.read_masks()
        except (ValueError, OSError) as error:
            skipped.append(f"{name}/{image.name}: {error}")
            continue
        found.setdefault(name, []).append((image.name, [_measured(mask, size) for mask in masks]))
    yield Progress(len(images), len(images), "All masks are measured")
    return {name: _collected(own) for name, own in found.items()}, tuple(skipped)


def concavity(mask: RunLengths) -> float:
    """Return 1 minus the mask's pixels over those within the convex hull of their centres; 0 for an empty mask.

    The hull's corners are pixels, so its pixels are counted by Pick's theorem: area + boundary points / 2 + 1.
    """
    if mask.area == 0:
        return 0.0
    hull = convex_hull(_ends_of_columns(mask))
    steps = np.roll(hull, -1, axis=0) - hull
    twice_area = abs(int(np.sum(hull[:, 0] * np.roll(hull[:, 1], -1) - np.roll(hull[:, 0], -1) * hull[:, 1])))
    boundary = int(np.gcd(np.abs(steps[:, 0]), np.abs(steps[:, 1])).sum())
    return 1 - mask.area / ((twice_area + boundary) / 2 + 1)


def convex_hull(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the corners of the convex hull of points (N, 2), in order; one or two where they lie on a line.

    Andrew 1979 (doi:10.1016/0020-0190(79)90072-3).
    """
    ordered = [(int(row), int(col)) for row, col in np.unique(points, axis=0)]
    if len(ordered) < 3:
        return np.array(ordered, np.int64)
    chains = [_chain(ordered), _chain(ordered[::-1])]
    return np.array(chains[0][:-1] + chains[1][:-1], np.int64)


def matched_by_size(statistics: Mapping[str, MaskStatistics], seed: int = 0) -> dict[str, NDArray[np.intp]]:
    """Choose masks so that all data sets have the same sizes: from each bin as many of each as the poorest has.

    Parameters
    ----------
    statistics : mapping of str to MaskStatistics
        The data sets.
    seed : int
        Of the choice.

    Returns
    -------
    dict of str to numpy.ndarray
        (K,) numbers of the chosen masks of each, K the same for all and 0 where no size is common to all.
    """
    rng = np.random.default_rng(seed)
    bins = {name: np.digitize(own.relative_sizes, SIZE_EDGES[1:-1]) for name, own in statistics.items()}
    counts = [np.bincount(own, minlength=len(SIZE_EDGES) - 1) for own in bins.values()]
    common = np.min(counts, axis=0) if counts else np.zeros(0, int)
    return {
        name: np.concatenate(
            [np.zeros(0, np.intp)]
            + [
                rng.choice(np.flatnonzero(own == number), count, False)
                for number, count in enumerate(common)
                if count
            ]
        )
        for name, own in bins.items()
    }


def image_shares(statistics: MaskStatistics) -> Floats:
    """Return the share of the images in each of `COUNT_BINS`: 1 in all, where there are images."""
    numbers = np.searchsorted(list(COUNT_BINS.values()), statistics.masks_per_image)
    return np.bincount(numbers, minlength=len(COUNT_BINS)) / max(len(statistics.images), 1)


def center_map(statistics: MaskStatistics, cells: int = 16) -> Floats:
    """Return (cells, cells) shares of the masks whose centre lies in each cell of the image."""
    rows, cols = statistics.centers.reshape(-1, 2).T
    counts = np.histogram2d(rows, cols, bins=cells, range=((0, 1), (0, 1)))[0]
    return counts / max(len(rows), 1)


_Mask = tuple[int, float, float, float, float]


def _measured(mask: RunLengths, size: tuple[int, int]) -> _Mask:
    """Return area, relative size, concavity, and the centre (row, col) as fractions."""
    box = mask.bbox
    rows, cols = np.nonzero(mask.window(box))
    center = (rows.mean() + box[0] + 0.5) / size[0], (cols.mean() + box[1] + 0.5) / size[1]
    return mask.area, float(np.sqrt(mask.area / (size[0] * size[1]))), concavity(mask), *map(float, center)  # type: ignore[return-value]


def _collected(images: Sequence[tuple[str, list[_Mask]]]) -> MaskStatistics:
    counts = np.array([len(masks) for _, masks in images], np.int64)
    table = np.array([mask for _, masks in images for mask in masks], float).reshape(-1, 5)
    return MaskStatistics(
        tuple(name for name, _ in images),
        counts,
        np.repeat(np.arange(len(counts)), counts),
        table[:, 0].astype(np.int64),
        table[:, 1],
        table[:, 2],
        table[:, 3:],
    )


def _ends_of_columns(mask: RunLengths) -> NDArray[np.int64]:
    """Return (N, 2) the first and last pixels (row, col) of every column that the mask has."""
    top, left, bottom, right = mask.bbox
    inside = mask.window((top, left, bottom, right))
    cols = np.flatnonzero(inside.any(axis=0))
    first, last = inside[:, cols].argmax(axis=0), bottom - top - 1 - inside[::-1, cols].argmax(axis=0)
    return np.stack([np.concatenate([first, last]) + top, np.concatenate([cols, cols]) + left], axis=1)


def _chain(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the points in order that turn one way only."""
    chain: list[tuple[int, int]] = []
    for row, col in points:
        while len(chain) > 1:
            (before_row, before_col), (last_row, last_col) = chain[-2:]
            turn = (last_row - before_row) * (col - before_col) - (last_col - before_col) * (row - before_row)
            if turn > 0:
                break
            chain.pop()
        chain.append((row, col))
    return chain
