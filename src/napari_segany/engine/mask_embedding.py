"""Masks as vectors: what the image encoder sees in each of them. Knows tensors and records, no ranking.

Kirillov et al. 2023 (arXiv:2304.02643), appendix D.6: the image embedding averaged over a mask, of a crop around the
mask and of the crop's mirror image. Features of the whole image, which are mostly there already, serve as well. What
was tried, and how well each retrieves, is in docs/similar.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.image import checked_image, checked_limits, default_limits
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.record import Box, MaskRecord

View = Literal["image", "crop"]

AROUND_MARGIN = 0.25
"""What counts as a mask's surroundings, on each side, as a share of the longer side of its box."""

CROP_MARGIN = 0.5
"""What a crop shows around the mask, measured in the same way."""

_LEAST_MARGIN = 2  # pixels: specks have surroundings too
_MASKS_PER_STEP = 16

Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MaskEmbeddings:
    """Masks of one image as vectors, whose scalar products are their cosine similarities.

    Attributes
    ----------
    vectors : numpy.ndarray
        (N, D) float32, each of length 1; zeros for an empty mask.
    areas : numpy.ndarray
        (N,) int64, pixels of each mask.
    view : str
        "image": averaged from the features of the whole image; "crop": from crops around each mask.
    model_name : str
        Name of the model that made them; vectors of different models do not compare.
    """

    vectors: NDArray[np.float32]
    areas: NDArray[np.int64]
    view: View
    model_name: str

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.vectors)


def embed_masks(embedding: ImageEmbedding, records: Sequence[MaskRecord]) -> Steps[MaskEmbeddings]:
    """Describe masks by the features of the whole image: no encoder runs.

    The finest features that the model has are averaged over each mask, and over its surroundings: a part of a nucleus
    looks as the whole one does within, and not around.

    Parameters
    ----------
    embedding : ImageEmbedding
        The image.
    records : sequence of MaskRecord
        N masks of the size of the image.

    Yields
    ------
    Progress
        In masks.

    Returns
    -------
    MaskEmbeddings
        The vectors, in the order of the records.

    Raises
    ------
    ValueError
        For a mask of another size.
    """
    _check_sizes(records, embedding.image_shape)
    finest = _levels(embedding)[-1]
    vectors: list[Vector | None] = []
    for done, record in enumerate(records):
        if done % _MASKS_PER_STEP == 0:
            yield Progress(done, len(records), "Describing the masks")
        vectors.append(_within_and_around(embedding, finest, record) if record.area else None)
    yield Progress(len(records), len(records), "All masks are described")
    return _embeddings(vectors, records, "image", embedding.model_name)


def embed_mask_crops(
    predictor: Predictor,
    image: ArrayLike,
    records: Sequence[MaskRecord],
    *,
    contrast_limits: tuple[float, float] | None = None,
    margin: float = CROP_MARGIN,
) -> Steps[MaskEmbeddings]:
    """Describe masks as the paper does: by the embedding of a crop around each and of the crop's mirror image.

    The encoder runs twice for each mask: with a large model on a CPU, that is many seconds a mask. A model with finer
    features than the image embedding has them averaged too.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : array_like
        (H, W), (H, W, 3) or (H, W, 4) of any real type.
    records : sequence of MaskRecord
        N masks of the size of the image.
    contrast_limits : (float, float), optional
        Intensities that become black and white in all crops; those of the whole image by default.
    margin : float
        What a crop shows around the mask, on each side, as a share of the longer side of the mask's box.

    Yields
    ------
    Progress
        In masks; closing the generator stops before the encoder's next block.

    Returns
    -------
    MaskEmbeddings
        The vectors, in the order of the records.

    Raises
    ------
    ValueError
        For an array that is no image, limits that are not increasing, a mask of another size or a negative margin.
    NotEnoughMemoryError
        Where even the CPU has not enough memory.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"margin is {margin!r}; give a share of the mask's size of at least 0, for example 0.5")
    pixels = checked_image(image)
    limits = default_limits(pixels) if contrast_limits is None else checked_limits(contrast_limits)
    _check_sizes(records, (pixels.shape[0], pixels.shape[1]))
    vectors: list[Vector | None] = []
    for done, record in enumerate(records):
        here = Progress(done, len(records), "Describing the masks by crops around them")
        yield here
        if not record.area:
            vectors.append(None)
            continue
        steps = _crop_vector(predictor, pixels, record, limits, margin)
        vectors.append((yield from relabelled(steps, lambda _, here=here: here)))  # type: ignore[misc]
    yield Progress(len(records), len(records), "All masks are described")
    return _embeddings(vectors, records, "crop", predictor.name)


def cell_counts(
    mask: NDArray[np.bool_], corner: tuple[int, int], cells_per_pixel: tuple[float, float]
) -> tuple[tuple[int, int], NDArray[np.int32]]:
    """Count the pixels of a mask in each cell of another grid.

    A pixel counts where its centre lies, so that each counts once, and a mask smaller than a cell has a cell too.

    Parameters
    ----------
    mask : numpy.ndarray
        (R, C) bool, at least one pixel large: a part of an image.
    corner : (int, int)
        (row, col) of its first pixel in the image.
    cells_per_pixel : (float, float)
        Cells along the rows and columns of one pixel.

    Returns
    -------
    corner : (int, int)
        (row, col) of the first cell.
    counts : numpy.ndarray
        (r, c) int32 from that cell on.
    """
    rows, cols = (
        ((np.arange(start, start + count) + 0.5) * ratio).astype(np.int64)
        for start, count, ratio in zip(corner, mask.shape, cells_per_pixel, strict=True)
    )
    row_starts, col_starts = (np.flatnonzero(np.diff(cells, prepend=-1)) for cells in (rows, cols))
    sums = np.add.reduceat(mask, row_starts, axis=0, dtype=np.int32)
    sums = np.add.reduceat(sums, col_starts, axis=1)
    # Where pixels are larger than cells, the cells between their centres hold none.
    counts = np.zeros((rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1), np.int32)
    counts[np.ix_(rows[row_starts] - rows[0], cols[col_starts] - cols[0])] = sums
    return (int(rows[0]), int(cols[0])), counts


def box_with_margin(box: Box, margin: float, image_shape: tuple[int, int]) -> Box:
    """Return a box grown on each side by a share of its longer side, two pixels at least, within the image.

    Parameters
    ----------
    box : (int, int, int, int)
        (row_min, col_min, row_max, col_max), half-open.
    margin : float
        The share.
    image_shape : (int, int)
        (H, W).
    """
    top, left, bottom, right = box
    grown = max(_LEAST_MARGIN, round(margin * max(bottom - top, right - left)))
    rows, cols = image_shape
    return max(0, top - grown), max(0, left - grown), min(rows, bottom + grown), min(cols, right + grown)


def _within_and_around(embedding: ImageEmbedding, level: Tensor, record: MaskRecord) -> Vector:
    """Return what the features (C, h, w) are within a mask and in the rest of its box, both of the same weight."""
    box = box_with_margin(record.bbox, AROUND_MARGIN, embedding.image_shape)
    inside = record.rle.window(box)
    within = _average(embedding, level, inside, (box[0], box[1]))
    around = within if inside.all() else _average(embedding, level, ~inside, (box[0], box[1]))
    return np.concatenate([_direction(within), _direction(around)])


def _crop_vector(
    predictor: Predictor,
    image: NDArray[np.generic],
    record: MaskRecord,
    limits: tuple[float, float],
    margin: float,
) -> Steps[Vector]:
    """Return the mean of what a crop and its mirror image show within a mask, at all levels."""
    top, left, bottom, right = box_with_margin(record.bbox, margin, (image.shape[0], image.shape[1]))
    mask, crop = record.rle.window((top, left, bottom, right)), image[top:bottom, left:right]
    views = []
    for seen, shown in ((crop, mask), (crop[:, ::-1], mask[:, ::-1])):
        # Past the cache, which crops of single masks would flood.
        embedding = yield from predictor.compute_steps(seen, contrast_limits=limits)
        views.append([_average(embedding, level, shown, (0, 0)) for level in _levels(embedding)])
    return np.concatenate([_direction(own + mirrored) for own, mirrored in zip(*views, strict=True)])


def _levels(embedding: ImageEmbedding) -> list[Tensor]:
    """Return all features as (C, h, w), coarse to fine."""
    levels = [tensor[0] for tensor in (embedding.features, *embedding.high_resolution)]
    return sorted(levels, key=lambda level: level.shape[1] * level.shape[2])


@torch.inference_mode()
def _average(embedding: ImageEmbedding, level: Tensor, mask: NDArray[np.bool_], corner: tuple[int, int]) -> Vector:
    """Average features (C, h, w) over a mask that holds at least one pixel; memory of the mask's part of them."""
    inputs = [4 * side for side in embedding.logits_shape]  # with padding, as the features are
    sides = zip(embedding.input_shape, embedding.image_shape, level.shape[1:], inputs, strict=True)
    rows, cols = (cells / padded * resized / original for resized, original, cells, padded in sides)
    (row, col), counts = cell_counts(mask, corner, (rows, cols))
    part = level[:, row : row + counts.shape[0], col : col + counts.shape[1]].float()
    weights = torch.from_numpy(counts / counts.sum()).to(part)
    average: Vector = torch.einsum("chw,hw->c", part, weights).cpu().numpy()
    return average


def _direction(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


def _embeddings(
    vectors: Sequence[Vector | None], records: Sequence[MaskRecord], view: View, model_name: str
) -> MaskEmbeddings:
    channels = next((len(vector) for vector in vectors if vector is not None), 0)
    rows = np.zeros((len(vectors), channels), np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        if vector is not None:
            row[:] = _direction(vector)
    return MaskEmbeddings(rows, np.array([record.area for record in records], np.int64), view, model_name)


def _check_sizes(records: Sequence[MaskRecord], image_shape: tuple[int, int]) -> None:
    for record in records:
        if record.rle.size != image_shape:
            raise ValueError(
                f"a mask is of {record.rle.size} pixels and the image of {image_shape}; give masks of this image"
            )
