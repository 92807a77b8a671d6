"""Masks by words: how well the crop of each mask fits what is looked for, by CLIP. Knows no user interface.

Radford et al. 2021 (arXiv:2103.00020), by the library transformers, which the extra `text` brings. SAM's own text
prompts (Kirillov et al. 2023, arXiv:2304.02643, section 7.5) have no public weights; this works with those of CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.clip import PictureEncoder, Vectors
from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.object_pictures import square_picture
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.text_query import TextQuery
from napari_segany.formats.record import MaskRecord

_GROWN = 1.5  # side of the crop by the longer side of the mask's box
_MASKS_A_STEP = 16


def text_scores(
    clip: PictureEncoder,
    image: ArrayLike,
    records: Sequence[MaskRecord],
    query: TextQuery,
    *,
    contrast_limits: tuple[float, float] | None = None,
) -> Steps[NDArray[np.float64]]:
    """Return how probable it is that each mask is what is looked for, rather than something else.

    Each mask is seen twice, with and without what is around it; both count alike. The probabilities of several words
    add up.

    Parameters
    ----------
    clip : PictureEncoder
        The model.
    image : array_like
        (H, W), (H, W, 3) or (H, W, 4) of any real type.
    records : sequence of MaskRecord
        N masks of its size.
    query : TextQuery
        What is looked for.
    contrast_limits : (float, float), optional
        Intensities that become black and white.

    Yields
    ------
    Progress
        In masks.

    Returns
    -------
    numpy.ndarray
        (N,) float64, 0 to 1.
    """
    texts = clip.words(query.texts)
    pixels = eight_bits(image, contrast_limits)
    vectors = yield from picture_vector_steps(clip, pixels, records, f"Looking for {query.words[0]}")
    return word_probabilities(vectors, texts, len(query.words), clip.temperature)


def picture_vector_steps(
    clip: PictureEncoder, pixels: NDArray[np.uint8], records: Sequence[MaskRecord], note: str
) -> Steps[Vectors]:
    """Return what masks look like, whatever is looked for: (N, D) vectors of length 1, with progress in masks.

    Parameters
    ----------
    clip : PictureEncoder
        The model.
    pixels : numpy.ndarray
        (H, W, 3), as `eight_bits` returns it.
    records : sequence of MaskRecord
        N masks of its size.
    note : str
        What the progress says.
    """
    vectors = []
    for start in range(0, len(records), _MASKS_A_STEP):
        yield Progress(start, len(records), note)
        part = records[start : start + _MASKS_A_STEP]
        crops = [crop for record in part for crop in mask_crops(pixels, record)]
        both = clip.pictures(crops).reshape(len(part), 2, -1).mean(axis=1)
        vectors.append(both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12))
    yield Progress(len(records), len(records), "All masks are compared")
    return np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)


def word_probabilities(vectors: Vectors, texts: Vectors, words: int, temperature: float) -> NDArray[np.float64]:
    """Return how probable it is that each mask is what is looked for, rather than something else.

    Parameters
    ----------
    vectors : numpy.ndarray
        (N, D), of masks.
    texts : numpy.ndarray
        (T, D), of what is looked for and then of everything else.
    words : int
        How many of the texts say what is looked for.
    temperature : float
        Factor of the similarities.

    Returns
    -------
    numpy.ndarray
        (N,) float64, 0 to 1.
    """
    if not len(vectors):
        return np.zeros(0)
    logits = temperature * (vectors.astype(np.float64) @ texts.T)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = weights[:, :words].sum(axis=1) / weights.sum(axis=1)
    return probabilities


def found_by_text(
    clip: PictureEncoder,
    image: ArrayLike,
    records: Sequence[MaskRecord],
    query: TextQuery,
    *,
    contrast_limits: tuple[float, float] | None = None,
) -> Steps[list[MaskRecord]]:
    """Return the masks that reach the threshold, the most probable first; parameters are those of `text_scores`."""
    scores = yield from text_scores(clip, image, records, query, contrast_limits=contrast_limits)
    order = np.argsort(-scores, kind="stable")
    return [records[number] for number in order if scores[number] >= query.threshold]


def mask_crops(pixels: NDArray[np.uint8], record: MaskRecord) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the square around a mask, with what is around it and with black instead, (S, S, 3) each."""
    whole, inside = square_picture(pixels, record.bbox, record.rle.window, _GROWN)
    return whole, np.where(inside[..., None], whole, np.uint8(0))


def eight_bits(image: ArrayLike, contrast_limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return an image as CLIP sees it, (H, W, 3) of eight bits."""
    pixels = checked_image(image)
    low, high = default_limits(pixels) if contrast_limits is None else contrast_limits
    scaled = np.clip(np.nan_to_num((pixels.astype(np.float64) - low) / max(high - low, 1e-12)), 0, 1)
    scaled = np.repeat(scaled[..., None], 3, axis=-1) if scaled.ndim == 2 else scaled[..., :3]
    return np.round(255 * scaled).astype(np.uint8)
