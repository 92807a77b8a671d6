"""The latent space of a model: which masks of other images are nearest to a mask (figure 17 of the SAM paper).

Kirillov et al. 2023 (arXiv:2304.02643), appendix D.6: masks are described by crops around them and their mirror
images, and compared by cosine similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.mask_embedding import embed_mask_crops
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.plots import new_figure
from napari_segany.formats.record import MaskRecord

_TILE = 96
_LEAST_AREA = 40


@dataclass(frozen=True, eq=False)
class LatentMask:
    """A mask in latent space.

    Attributes
    ----------
    dataset, image : str
        Where it is from.
    vector : numpy.ndarray
        (D,) float32 of length 1.
    tile : numpy.ndarray
        (96, 96, 3) float, 0 to 1: the mask with what is around it, which is dimmed.
    """

    dataset: str
    image: str
    vector: NDArray[np.float32]
    tile: NDArray[np.float64]


def latent_masks(
    samples: Sequence[Sample], predictor: Predictor, masks_per_image: int = 5, seed: int = 0
) -> Steps[tuple[list[LatentMask], tuple[str, ...]]]:
    """Describe some objects of every image.

    Parameters
    ----------
    samples : sequence of Sample
        The images.
    predictor : Predictor
        The model.
    masks_per_image : int
        Objects of each, at random; those of less than 40 pixels are left out.
    seed : int
        Of the choice.

    Yields
    ------
    Progress
        In images.

    Returns
    -------
    masks : list of LatentMask
        The masks.
    skipped : tuple of str
        One sentence for each image that cannot be read.
    """
    if masks_per_image < 1:
        raise ValueError(f"masks_per_image is {masks_per_image}; give 1 or more")
    rng = np.random.default_rng(seed)
    found: list[LatentMask] = []
    skipped: list[str] = []
    for done, sample in enumerate(samples):
        here = Progress(done, len(samples), f"{sample.dataset}/{sample.name}")
        yield here
        try:
            image, labels = sample.read()
        except (ValueError, OSError) as error:
            skipped.append(f"{here.note}: {error}")
            continue
        numbers, areas = np.unique(labels[labels != 0], return_counts=True)
        numbers = rng.permutation(numbers[areas >= _LEAST_AREA])[:masks_per_image]
        records = [MaskRecord.from_mask(labels == number) for number in numbers]
        if not records:
            continue
        steps = embed_mask_crops(predictor, image, records)
        vectors = (yield from relabelled(steps, lambda _, here=here: here)).vectors  # type: ignore[misc]
        found += [
            LatentMask(sample.dataset, sample.name, vector, mask_tile(image, record))
            for vector, record in zip(vectors, records, strict=True)
        ]
    return found, tuple(skipped)


def nearest_masks(masks: Sequence[LatentMask], query: int, count: int) -> tuple[list[int], list[float]]:
    """Return the masks of other images that are nearest to one, and their cosine similarities, nearest first."""
    similarity = np.stack([mask.vector for mask in masks]) @ masks[query].vector
    own = masks[query]
    others = np.array([(mask.dataset, mask.image) != (own.dataset, own.image) for mask in masks])
    order = [int(number) for number in np.argsort(-similarity, kind="stable") if others[number]][:count]
    return order, [float(similarity[number]) for number in order]


def queries_of(masks: Sequence[LatentMask], count: int, seed: int = 0) -> list[int]:
    """Return masks to ask about: at random, of one data set after the other in turn."""
    rng = np.random.default_rng(seed)
    names = sorted({mask.dataset for mask in masks})
    left = {
        name: list(rng.permutation([n for n, mask in enumerate(masks) if mask.dataset == name])) for name in names
    }
    queries: list[int] = []
    while len(queries) < count and any(left.values()):
        queries += [int(left[name].pop()) for name in names if left[name]]
    return queries[:count]


def same_dataset_share(masks: Sequence[LatentMask], count: int) -> tuple[float, float]:
    """Return how many of the nearest masks are of the query's data set, and how many would be by chance."""
    datasets = np.array([mask.dataset for mask in masks])
    images = np.array([f"{mask.dataset}/{mask.image}" for mask in masks])
    found = [np.mean(datasets[nearest_masks(masks, n, count)[0]] == datasets[n]) for n in range(len(masks))]
    chance = [np.mean(datasets[images != images[n]] == datasets[n]) for n in range(len(masks))]
    return float(np.mean(found)), float(np.mean(chance))


def plot_neighbours(masks: Sequence[LatentMask], queries: Sequence[int], count: int, path: Path) -> None:
    """Draw a row for each query: the mask, and the masks of other images that are nearest to it.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(1.1 * (count + 1), 1.25 * len(queries))
    axes = figure.subplots(len(queries), count + 1, squeeze=False)
    for row, query in zip(axes, queries, strict=True):
        numbers, similarities = nearest_masks(masks, query, count)
        titles = ["query", *(f"{value:.2f}" for value in similarities)]
        for one in row:
            one.set_axis_off()
        for one, number, title in zip(row, [query, *numbers], titles, strict=False):
            one.imshow(masks[number].tile)
            one.set_title(title, fontsize=7, pad=2)
    figure.savefig(path, dpi=100)


def mask_tile(image: NDArray[Any], record: MaskRecord) -> NDArray[np.float64]:
    """Return a mask with what is around it, (96, 96, 3) from 0 to 1; all but the mask is dimmed."""
    pixels = checked_image(image)
    low, high = default_limits(pixels)
    top, left, bottom, right = record.bbox
    reach = 0.75 * max(bottom - top, right - left)
    rows, cols = (top + bottom) / 2, (left + right) / 2
    box = [int(max(rows - reach, 0)), int(max(cols - reach, 0)), int(rows + reach) + 1, int(cols + reach) + 1]
    window = np.s_[box[0] : box[2], box[1] : box[3]]
    grey = np.clip((pixels[window].astype(float) - low) / (high - low), 0, 1)
    color = np.repeat(grey[..., None], 3, axis=-1) if grey.ndim == 2 else grey[..., :3]
    inside = record.mask[window]
    color = np.where(inside[..., None], color, 0.45 * color + 0.25)
    sides = np.array(color.shape[:2])
    return np.asarray(resize(color, (*np.maximum(1, np.round(_TILE * sides / sides.max())).astype(int), 3), order=1))
