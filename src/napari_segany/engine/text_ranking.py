"""Masks by words: how well the crop of each mask fits what is looked for, by CLIP. Knows no user interface.

Radford et al. 2021 (arXiv:2103.00020), by the library transformers, which the extra `text` brings. SAM's own text
prompts (Kirillov et al. 2023, arXiv:2304.02643, section 7.5) have no public weights; this works with those of CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.text_query import DEFAULT_CLIP, TextQuery
from napari_segany.formats.record import MaskRecord

_GROWN = 1.5  # side of the crop by the longer side of the mask's box
_MASKS_A_STEP = 16

Vectors = NDArray[np.float32]


class TextModelError(ValueError):
    """CLIP cannot be used; the message says why and what to do."""


class Clip:
    """A CLIP that turns words and pictures into vectors of one space.

    Parameters
    ----------
    model : str
        A folder, or the name of a public model, which is fetched once.
    device : torch.device or str
        Where it computes.

    Raises
    ------
    TextModelError
        Where transformers is not installed, or the model is neither here nor can be fetched.
    """

    def __init__(self, model: str = DEFAULT_CLIP, device: torch.device | str = "cpu") -> None:
        try:
            from transformers import AutoTokenizer, CLIPModel
            from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
        except ImportError as error:
            raise TextModelError(
                'words need the library transformers; `pip install "napari-segany[text]"` brings it'
            ) from error
        try:
            self._clip: Any = CLIPModel.from_pretrained(model).eval().to(device)
            self._tokens: Any = AutoTokenizer.from_pretrained(model)
            self._pixels: Any = CLIPImageProcessorPil.from_pretrained(model)
        except (OSError, ValueError, RuntimeError) as error:
            raise TextModelError(
                f"the CLIP model {model!r} is no folder with a CLIP, and could not be fetched; on a computer with a "
                f"network `huggingface-cli download {DEFAULT_CLIP} --local-dir clip` makes a folder to give instead"
            ) from error
        self._device = device

    @property
    def temperature(self) -> float:
        """The factor of similarities before they become probabilities."""
        return float(self._clip.logit_scale.detach().exp())

    @torch.inference_mode()
    def words(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D) vectors of length 1 of N texts."""
        tokens = self._tokens(list(texts), padding=True, truncation=True, return_tensors="pt")
        ids, mask = tokens["input_ids"].to(self._device), tokens["attention_mask"].to(self._device)
        return _of_length_one(self._clip.get_text_features(input_ids=ids, attention_mask=mask))

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Return (N, D) vectors of length 1 of N pictures (H, W, 3) of eight bits."""
        pixels = self._pixels(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        return _of_length_one(self._clip.get_image_features(pixel_values=pixels))


@lru_cache(maxsize=1)
def loaded_clip(model: str) -> Clip:
    """Return a CLIP on the processor, read once in each process; errors are those of `Clip`."""
    return Clip(model)


def text_scores(
    clip: Clip,
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
    clip : Clip
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
    pixels = eight_bits(image, contrast_limits)
    texts = clip.words([*query.words, *query.background])
    scores: list[NDArray[np.float64]] = []
    for start in range(0, len(records), _MASKS_A_STEP):
        yield Progress(start, len(records), f"Looking for {query.words[0]}")
        part = records[start : start + _MASKS_A_STEP]
        crops = [crop for record in part for crop in mask_crops(pixels, record)]
        vectors = clip.pictures(crops).reshape(len(part), 2, -1).mean(axis=1)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        logits = clip.temperature * (vectors.astype(np.float64) @ texts.T)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores.append(weights[:, : len(query.words)].sum(axis=1) / weights.sum(axis=1))
    yield Progress(len(records), len(records), "All masks are compared")
    return np.concatenate(scores) if scores else np.zeros(0)


def found_by_text(
    clip: Clip,
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
    top, left, bottom, right = record.bbox
    side = max(round(_GROWN * max(bottom - top, right - left)), 2)
    first = (top + bottom - side) // 2, (left + right - side) // 2
    whole, alone = (np.zeros((side, side, 3), np.uint8) for _ in range(2))
    rows = slice(max(first[0], 0), min(first[0] + side, pixels.shape[0]))
    cols = slice(max(first[1], 0), min(first[1] + side, pixels.shape[1]))
    place = slice(rows.start - first[0], rows.stop - first[0]), slice(cols.start - first[1], cols.stop - first[1])
    inside = record.rle.window((rows.start, cols.start, rows.stop, cols.stop))
    whole[place] = pixels[rows, cols]
    alone[place] = np.where(inside[..., None], pixels[rows, cols], 0)
    return whole, alone


def eight_bits(image: ArrayLike, contrast_limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return an image as CLIP sees it, (H, W, 3) of eight bits."""
    pixels = checked_image(image)
    low, high = default_limits(pixels) if contrast_limits is None else contrast_limits
    scaled = np.clip(np.nan_to_num((pixels.astype(np.float64) - low) / max(high - low, 1e-12)), 0, 1)
    scaled = np.repeat(scaled[..., None], 3, axis=-1) if scaled.ndim == 2 else scaled[..., :3]
    return np.round(255 * scaled).astype(np.uint8)


def _of_length_one(features: Any) -> Vectors:
    """Return projected features, (N, D) with rows of length 1; newer versions of the library wrap them."""
    tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return np.asarray(torch.nn.functional.normalize(tensor.float(), dim=-1).cpu().numpy())
