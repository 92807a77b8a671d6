"""Masks for everything in an image: a grid of points is asked, and the good, distinct answers are kept.

Kirillov et al. 2023 (arXiv:2304.02643), section 5 and appendix B. Asking (`candidate_steps`, slow) and choosing
(`refilter`, quick) are apart, so that a threshold can be changed without the model. Knows no user interface.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import Candidate, RawCandidates
from napari_segany.engine.crops import Crop, crops_of, points_of
from napari_segany.engine.device import NotEnoughMemoryError, is_out_of_memory
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.filtering import passes, prepare_steps, record_steps
from napari_segany.engine.image import checked_image, checked_limits, default_limits
from napari_segany.engine.mask_statistics import statistics_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.region import allowed_pixels
from napari_segany.engine.upsampling import Upsampling
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.model import ImageDecoder, ImageFeatures

# Image tokens times points that a CPU decodes in one call: one point of a model of 1024 pixels, four of one of 512,
# so that closing is quick. Larger calls are not faster there.
_CPU_TOKENS = 64 * 64


@dataclass(frozen=True)
class AutomaticProgress(Progress):
    """One step of segmenting everything; `done` and `total` count points.

    Attributes
    ----------
    crop, crops : int
        The part of the image at work, from 1, and the number of parts.
    masks : int
        Masks so far that pass the thresholds; overlapping ones are told apart at the end.
    """

    crop: int = 0
    crops: int = 0
    masks: int = 0

    @property
    def may_be_skipped(self) -> bool:
        """Always: a later step tells all of it. Docks that draw every step take longer than the model."""
        return True


class AutomaticMaskGenerator:
    """Segments everything in an image.

    Parameters
    ----------
    predictor : Predictor
        The model.
    settings : AutomaticSettings, optional
        All settings at once; those given by name change it.
    single_mask : bool
        Take one mask for each point instead of three: SAM without its answer to ambiguity (section 7.3's ablation).
    **changes
        Any field of `AutomaticSettings`, under SAM's own names: `points_per_side`, `pred_iou_thresh`, ...

    Raises
    ------
    ValueError
        For a setting that does not exist or is out of its range.
    """

    def __init__(
        self,
        predictor: Predictor,
        settings: AutomaticSettings | None = None,
        *,
        single_mask: bool = False,
        **changes: Any,
    ) -> None:
        self.predictor, self.single_mask = predictor, single_mask
        self.settings = (AutomaticSettings() if settings is None else settings).replaced(**changes)

    def generate(
        self,
        image: ArrayLike,
        *,
        contrast_limits: tuple[float, float] | None = None,
        region: ArrayLike | None = None,
    ) -> list[MaskRecord]:
        """Return a record for everything in the image; see `run`."""
        return drain(self.run(image, contrast_limits=contrast_limits, region=region))

    def run(
        self,
        image: ArrayLike,
        *,
        contrast_limits: tuple[float, float] | None = None,
        region: ArrayLike | None = None,
        embedding: ImageEmbedding | None = None,
    ) -> Steps[list[MaskRecord]]:
        """Segment everything step by step; closing the generator stops before the next call of the model.

        Parameters
        ----------
        image : array_like
            (H, W), (H, W, 3) or (H, W, 4) of any real type.
        contrast_limits : (float, float), optional
            Intensities that become black and white, the same for the image and all its crops.
        region : array_like, optional
            (H, W) bool mask, (N, 2) polygon (row, col) or (4,) box (row_min, col_min, row_max, col_max): points
            outside are not asked, and pixels outside are not labelled. Neither are pixels that are not finite.
        embedding : ImageEmbedding, optional
            The embedding of the whole image, if it is there, with these contrast limits.

        Yields
        ------
        AutomaticProgress or Progress
            Points asked; at the end, masks written.

        Returns
        -------
        list of MaskRecord
            Best first within a crop; the whole image before its crops where there are none.

        Raises
        ------
        ValueError
            For an array that is no image, limits that are not increasing, or a region without pixels or points.
        NotEnoughMemoryError
            Where the device has not enough memory.
        """
        candidates = yield from self._asked(image, contrast_limits, region, embedding, discard=True)
        return (yield from record_steps(candidates, self.settings))

    def candidate_steps(
        self,
        image: ArrayLike,
        *,
        contrast_limits: tuple[float, float] | None = None,
        region: ArrayLike | None = None,
        embedding: ImageEmbedding | None = None,
        prepare: bool = True,
    ) -> Steps[RawCandidates]:
        """Ask all points and return every answer, to be filtered with `refilter`; otherwise as `run`.

        `embedding`, of the whole image with the same intensities, spares encoding it again; its crops are encoded.
        `prepare` writes the masks at once, so that no later filtering has to.
        """
        asked = self._asked(image, contrast_limits, region, embedding, discard=False, prepare=prepare)
        return (yield from asked)

    def _asked(
        self,
        image: ArrayLike,
        contrast_limits: tuple[float, float] | None,
        region: ArrayLike | None,
        embedding: ImageEmbedding | None,
        *,
        discard: bool,
        prepare: bool = False,
    ) -> Steps[RawCandidates]:
        pixels = checked_image(image)
        limits = default_limits(pixels) if contrast_limits is None else checked_limits(contrast_limits)
        if embedding is not None:
            self._check(embedding, (pixels.shape[0], pixels.shape[1]), limits)
        yield Progress(0, 0, "Reading the region")
        allowed = allowed_pixels(pixels, region)
        crops, points = self._questions((pixels.shape[0], pixels.shape[1]), allowed)
        if region is not None and not crops:
            raise ValueError(
                f"no point of the grid ({self.settings.points_per_side} along each side) lies in the region; "
                "raise points_per_side or give a larger region"
            )
        collected = _Collection(self, pixels, limits, crops, points, discard, embedding)
        for number in range(len(crops)):
            yield from collected.crop_steps(number)
        candidates = collected.candidates(None if allowed is None else RunLengths.from_mask(allowed))
        if prepare:
            last = len(crops) - 1
            yield from relabelled(prepare_steps(candidates), lambda inner: collected.progress(last, inner.note))
        return candidates

    def _check(self, embedding: ImageEmbedding, image_shape: tuple[int, int], limits: tuple[float, float]) -> None:
        given = embedding.model_name, embedding.image_shape, embedding.contrast_limits
        needed = self.predictor.name, image_shape, limits
        if given != needed:
            raise ValueError(
                f"the embedding is of model, shape and contrast limits {given}, and {needed} is needed; "
                "encode this image with this predictor and these limits"
            )

    def _questions(
        self, image_shape: tuple[int, int], allowed: NDArray[np.bool_] | None
    ) -> tuple[tuple[Crop, ...], tuple[NDArray[np.float64], ...]]:
        """Return the crops that hold points, and their points."""
        settings = self.settings
        crops = crops_of(image_shape, settings.crop_n_layers, settings.crop_overlap_ratio)
        pairs = [(crop, points_of(crop, settings, allowed)) for crop in crops]
        pairs = [(crop, points) for crop, points in pairs if len(points)]
        return tuple(crop for crop, _ in pairs), tuple(points for _, points in pairs)


def refilter(candidates: RawCandidates, settings: AutomaticSettings) -> list[MaskRecord]:
    """Choose from what the model answered, without the model.

    Parameters
    ----------
    candidates : RawCandidates
        What `AutomaticMaskGenerator.candidate_steps` returned.
    settings : AutomaticSettings
        Any thresholds, limits and ranking.

    Raises
    ------
    ValueError
        For settings that need other questions: other points, crops or another `stability_score_offset`.
    """
    return drain(record_steps(candidates, settings))


class _Collection:
    """The candidates of one image while they are asked."""

    def __init__(
        self,
        generator: AutomaticMaskGenerator,
        image: NDArray[np.generic],
        limits: tuple[float, float],
        crops: Sequence[Crop],
        points: Sequence[NDArray[np.float64]],
        discard: bool,
        embedding: ImageEmbedding | None,
    ) -> None:
        self.embedding = embedding
        self.predictor, self.settings = generator.predictor, generator.settings
        self.image, self.limits = image, limits
        self.crops, self.points, self.discard = tuple(crops), points, discard
        self.multimask = not generator.single_mask
        self.total = sum(len(of_crop) for of_crop in points)
        self.done = 0
        self.passing = 0
        self.items: list[Candidate] = []
        self.upsamplings: list[Upsampling] = []

    @property
    def threshold(self) -> float:
        """Logits above it are the object."""
        return self.predictor.sam.mask_threshold

    def candidates(self, allowed: RunLengths | None) -> RawCandidates:
        """Return what was collected."""
        return self._of(tuple(self.items), allowed)

    def crop_steps(self, number: int) -> Steps[None]:
        """Encode one crop and ask its points."""
        crop, points = self.crops[number], self.points[number]
        top, left, bottom, right = crop.box
        part = self.image[top:bottom, left:right]
        embedding = self.embedding if crop.layer == 0 else None
        if embedding is None:
            steps = self.predictor.encode_steps(part, contrast_limits=self.limits)
            embedding = yield from relabelled(steps, lambda inner: self.progress(number, inner.note))
        self.upsamplings.append(Upsampling(embedding.logits_shape, embedding.input_shape, crop.shape))
        here = embedding.to(self.predictor.device)
        decoder = ImageDecoder(self.predictor.sam, ImageFeatures(here.features, here.high_resolution))
        for batch in _batches(points, self._batch_size(embedding, decoder)):
            yield self.progress(number, "Asking the points")
            logits, iou = _decoded(decoder, embedding, batch, self._least_iou(), self.multimask)
            yield from self._collect(number, logits, iou, batch)
            self.done += len(batch)
        yield self.progress(number, "All points are asked")

    def progress(self, number: int, note: str) -> AutomaticProgress:
        """Return how far the work is."""
        of_crops = f", crop {number + 1} of {len(self.crops)}" if len(self.crops) > 1 else ""
        text = f"{note}{of_crops}, {self.passing} masks so far"
        return AutomaticProgress(self.done, self.total, text, number + 1, len(self.crops), self.passing)

    def _batch_size(self, embedding: ImageEmbedding, decoder: ImageDecoder) -> int:
        if self.predictor.device.type != "cpu":
            return self.settings.points_per_batch
        if decoder.prompts_at_a_time is not None:
            return min(self.settings.points_per_batch, decoder.prompts_at_a_time)
        rows, cols = embedding.features.shape[-2:]
        return max(1, min(self.settings.points_per_batch, _CPU_TOKENS // (rows * cols)))

    def _least_iou(self) -> float:
        """Return the predicted IoU up to which masks need not be drawn."""
        threshold = self.settings.pred_iou_thresh
        return threshold if self.discard and threshold > 0 else -math.inf

    def _collect(
        self,
        number: int,
        logits: Sequence[NDArray[np.float32]],
        scores: Sequence[NDArray[np.float32]],
        points: NDArray[np.float64],
    ) -> Steps[None]:
        """Keep the answers to points (B, 2), each (C, h, w) logits and (C,) predicted IoU of those not discarded."""
        upsampling, offset = self.upsamplings[number], self.settings.stability_score_offset
        yield self.progress(number, "Measuring the masks")
        windows = [upsampling.window(low, self.threshold - offset) for answer in logits for low in answer]
        parts = statistics_steps(upsampling, windows, self.threshold, offset)
        statistics = yield from relabelled(parts, lambda _: self.progress(number, "Measuring the masks"))
        positions = points + self.crops[number].box[:2]
        asked = [tuple(point) for point, of_point in zip(positions.tolist(), scores, strict=True) for _ in of_point]
        answers = zip(asked, np.concatenate(scores).tolist(), statistics, windows, strict=True)
        found = [Candidate(number, *answer) for answer in answers]
        good = passes(self._of(tuple(found)), self.settings)
        self.passing += int(np.count_nonzero(good))
        self.items += [item for item, passed in zip(found, good, strict=True) if passed or not self.discard]

    def _of(self, items: tuple[Candidate, ...], allowed: RunLengths | None = None) -> RawCandidates:
        shape = (self.image.shape[0], self.image.shape[1])
        return RawCandidates(
            shape, self.settings, self.crops, tuple(self.upsamplings), items, self.threshold, allowed
        )


def _batches(points: NDArray[np.float64], size: int) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _decoded(
    decoder: ImageDecoder,
    embedding: ImageEmbedding,
    points: NDArray[np.float64],
    least_iou: float,
    multimask: bool,
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return for single points (B, 2) low-resolution logits (C, h, w) and predicted IoU (C,) above `least_iou`."""
    prompt = Prompt.checked(points[:, None], image_shape=embedding.image_shape)
    device = decoder.features.embedding.device
    try:
        logits, iou, good = decoder.decode_likely(
            torch.tensor(prompt.model_points(embedding.input_shape), device=device),
            torch.tensor(prompt.labels, device=device),
            least_iou=least_iou,
            input_shape=embedding.input_shape,
            multimask=multimask,
        )
        counts = good.sum(dim=1).tolist()
        masks, scores = logits.float().cpu().split(counts), iou[good].float().cpu().split(counts)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise NotEnoughMemoryError(
            f"there is not enough memory on {device.type.upper()} for {len(points)} points at once; "
            "lower points_per_batch or use a smaller model"
        ) from error
    return [part.numpy() for part in masks], [part.numpy() for part in scores]
