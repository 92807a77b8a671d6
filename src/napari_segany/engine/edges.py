"""An edge map of an image from a model's masks, without training on edges.

Kirillov et al. 2023 (arXiv:2304.02643), appendix D.2: a coarse grid of points, all three masks of each, none filtered
by its scores; non-maximum suppression; Sobel on the unthresholded probabilities, kept on the outer boundary of each
mask; the largest of all; scaled to 0..1; thinned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import RawCandidates
from napari_segany.engine.edge_filters import Map, thinned_ridges
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.filtering import chosen
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled

POINTS_PER_SIDE = 16

_LEAST_LOGIT = 8.0  # logits of less than minus this are a probability of 0
_MASKS_A_STEP = 8


def edge_settings(points_per_side: int = POINTS_PER_SIDE, box_nms_thresh: float = 0.7) -> AutomaticSettings:
    """Return what is asked for edges: every mask counts, but those that repeat a better one."""
    return AutomaticSettings(
        points_per_side=points_per_side,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        stability_score_offset=_LEAST_LOGIT,
        box_nms_thresh=box_nms_thresh,
        max_mask_area_fraction=None,
    )


def edge_steps(
    predictor: Predictor,
    image: ArrayLike,
    settings: AutomaticSettings | None = None,
    *,
    contrast_limits: tuple[float, float] | None = None,
    embedding: ImageEmbedding | None = None,
    thin: bool = True,
) -> Steps[Map]:
    """Return the edge map of an image.

    Parameters
    ----------
    predictor : Predictor
        The model.
    image : array_like
        (H, W), (H, W, 3) or (H, W, 4) of any real type.
    settings : AutomaticSettings, optional
        Points, crops and suppression; those of the paper by default (`edge_settings`).
    contrast_limits : (float, float), optional
        Intensities that become black and white.
    embedding : ImageEmbedding, optional
        Of the image with these intensities, if it is there already.
    thin : bool
        Keep only the ridge of each edge, as an evaluation needs it.

    Yields
    ------
    Progress
        Points asked, then masks outlined.

    Returns
    -------
    numpy.ndarray
        (H, W) float32: 1 for the strongest edge of the image, 0 for none. All zeros where no mask was found.

    Raises
    ------
    ValueError
        For an array that is no image, or limits that are not increasing.
    NotEnoughMemoryError
        Where the device has not enough memory.
    """
    generator = AutomaticMaskGenerator(predictor, edge_settings() if settings is None else settings)
    candidates = yield from generator.candidate_steps(
        image, contrast_limits=contrast_limits, embedding=embedding, prepare=False
    )
    return (yield from relabelled(_drawn(candidates, thin=thin), lambda progress: progress))


def _drawn(candidates: RawCandidates, *, thin: bool) -> Steps[Map]:
    result = np.zeros(candidates.image_shape, np.float32)
    numbers = chosen(candidates, candidates.settings)
    for done, number in enumerate(numbers):
        if done % _MASKS_A_STEP == 0:
            yield Progress(done, len(numbers), f"Outlining mask {done + 1} of {len(numbers)}")
        _draw_outline(result, candidates, int(number))
    yield Progress(len(numbers), len(numbers), "Thinning the edges")
    if result.max() > 0:
        result /= result.max()
    return thinned_ridges(result) if thin else result


def _draw_outline(target: Map, candidates: RawCandidates, number: int) -> None:
    """Raise the edge map to the outline of one mask."""
    item = candidates.items[number]
    crop = candidates.crops[item.crop]
    logits, box = candidates.upsamplings[item.crop].pixels(item.logits)
    if logits.size == 0:
        return
    box = (box[0] + crop.box[0], box[1] + crop.box[1], box[2] + crop.box[0], box[3] + crop.box[1])
    edges, box = outline(logits - np.float32(candidates.mask_threshold), box, candidates.image_shape)
    here = target[box[0] : box[2], box[1] : box[3]]
    np.maximum(here, edges, out=here)


def outline(
    logits: NDArray[np.floating[Any]], box: tuple[int, int, int, int], image_shape: tuple[int, int]
) -> tuple[Map, tuple[int, int, int, int]]:
    """Return how steeply a mask's probability falls on the pixels just outside of it.

    Parameters
    ----------
    logits : numpy.ndarray
        (h, w) within the box; above 0 is the mask, and outside of the box there is none.
    box : (int, int, int, int)
        (row_min, col_min, row_max, col_max) in pixels of the image, half-open.
    image_shape : (int, int)
        (H, W).

    Returns
    -------
    edges : numpy.ndarray
        (h', w') float32, 0 to 1 and 0 off the outer boundary.
    box : (int, int, int, int)
        Where they lie: the box with a pixel of margin, within the image.
    """
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    margins = (min(1, box[0]), min(1, image_shape[0] - box[2])), (min(1, box[1]), min(1, image_shape[1] - box[3]))
    probability = np.pad(probability, margins)
    mask = np.pad(np.asarray(logits) > 0, margins)
    # "nearest": the edge of the image is none of the object's.
    slope = np.hypot(*(ndimage.sobel(probability, axis, mode="nearest") for axis in (0, 1)))
    outer = ndimage.binary_dilation(mask, np.ones((3, 3), bool)) & ~mask
    edges = np.where(outer, slope / (3 * np.sqrt(2)), 0).astype(np.float32)
    top, left = box[0] - margins[0][0], box[1] - margins[1][0]
    return edges, (top, left, top + edges.shape[0], left + edges.shape[1])
