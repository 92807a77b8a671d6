"""Prompts on one image, answered the quick way where there is one. Knows no pixels and no files.

`Sam.decode` is the definition, for training and every case. On a processor, without mask prompts and for one image,
`fast_decoder.py` gives the same answers sooner; what all prompts share is computed when an `ImageDecoder` is made.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor

from napari_segany.model.fast_decoder import Reading, read_prompts
from napari_segany.model.features import ImageFeatures
from napari_segany.model.mask_decoder import MaskDecoder, mask_choice
from napari_segany.model.mask_drawing import draw_masks
from napari_segany.model.prompt_encoder import PromptEncoder
from napari_segany.model.sam import LOGITS_STRIDE, Sam, check_prompts
from napari_segany.model.shared_image import SharedImage, share_image
from napari_segany.model.side_by_side import side_by_side

NOT_DRAWN = -1e4
"""Logit where no mask is drawn: beyond the image, in the padding of the model's input."""

_CELL_STRIDE = 4  # logits along the side of a cell
_PROMPTS_AT_A_TIME = 8  # of one thread


class ImageDecoder:
    """The mask decoder, ready for prompts on one image. For inference only: no gradients pass.

    Parameters
    ----------
    sam : Sam
        The model; make a new decoder when its weights have changed.
    features : ImageFeatures
        Of one image, on the model's device.
    """

    def __init__(self, sam: Sam, features: ImageFeatures) -> None:
        self.sam, self.features = sam, features
        self._quick = _quick_image(sam, features)
        with torch.inference_mode():
            self._shared = sam.share(features) if isinstance(sam, Sam) else None

    @property
    def prompts_at_a_time(self) -> int | None:
        """How many prompts of one call are quickest, and keep every thread at work; None where none is quickest."""
        return None if self._quick is None else _PROMPTS_AT_A_TIME * torch.get_num_threads()

    @torch.inference_mode()
    def decode(
        self,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
        text: Tensor | None = None,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts as `Sam.decode` does, with the same parameters and errors.

        Returns
        -------
        logits : Tensor
            (B, C, 4h, 4w), C = 3 or 1.
        iou : Tensor
            (B, C) predicted IoU.
        """
        if self._quick is None or masks is not None:
            return self._answer(
                points=points, labels=labels, boxes=boxes, masks=masks, text=text, multimask=multimask
            )
        quick, chosen = self._quick, mask_choice(multimask=multimask)

        def answered(prompts: Tensor) -> list[tuple[Tensor, Tensor]]:
            readings = read_prompts(quick, prompts)
            return [(draw_masks(quick, reading, chosen), reading.iou[chosen]) for reading in readings]

        answers = side_by_side(answered, groups(self._tokens(points, labels, boxes, text)))
        logits, scores = zip(*chain.from_iterable(answers), strict=True)
        return torch.stack(logits), torch.stack(scores)

    @torch.inference_mode()
    def decode_likely(
        self,
        points: Tensor,
        labels: Tensor,
        *,
        least_iou: float,
        input_shape: tuple[int, int],
        multimask: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answer points with C masks each, and draw only masks that are expected to be good.

        Parameters
        ----------
        points : Tensor
            (B, N, 2), x, y in pixels of the model's input.
        labels : Tensor
            (B, N).
        least_iou : float
            Masks whose predicted IoU is not above it are not drawn; -inf draws all.
        input_shape : tuple of int
            (rows, cols) of the image within the model's input: what no pixel of the image needs is not drawn.
        multimask : bool
            Three masks for each point (C = 3), else one.

        Returns
        -------
        logits : Tensor
            (M, 4h, 4w) of the M good masks, in the order of `good`; `NOT_DRAWN` beyond the image.
        iou : Tensor
            (B, C) predicted IoU.
        good : Tensor
            (B, C) bool.
        """
        if self._quick is None:
            logits, iou = self._answer(points=points, labels=labels, multimask=multimask)
            good = iou > least_iou
            return logits[good], iou, good
        quick, choice = self._quick, mask_choice(multimask=multimask)
        region = _needed_cells(quick.grid, input_shape)

        def drawn(reading: Reading) -> tuple[Tensor, Tensor]:
            good = torch.zeros_like(reading.iou, dtype=torch.bool)
            good[choice] = reading.iou[choice] > least_iou
            whole = quick.upscaled.new_full((int(good.sum()), *self._logits_shape()), NOT_DRAWN)
            if len(whole):
                part = draw_masks(quick, reading, good.nonzero()[:, 0], region)
                whole[:, : part.shape[1], : part.shape[2]] = part
            return whole, reading.iou[choice]

        def answered(prompts: Tensor) -> list[tuple[Tensor, Tensor]]:
            return [drawn(reading) for reading in read_prompts(quick, prompts)]

        answers = side_by_side(answered, groups(self._tokens(points, labels, None)))
        parts, scores = zip(*chain.from_iterable(answers), strict=True)
        iou = torch.stack(scores)
        return torch.cat(parts), iou, iou > least_iou

    def _answer(self, **prompts: Any) -> tuple[Tensor, Tensor]:
        """Answer by the definition, with what was computed once for the image where the decoder has such a thing."""
        if self._shared is not None:
            prompts["shared"] = self._shared
        return self.sam.decode(self.features, **prompts)

    def _tokens(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, text: Tensor | None = None
    ) -> Tensor:
        """Return the tokens (B, tokens, 256) of prompts."""
        check_prompts(points, labels, boxes, None, text)
        given = None if points is None or labels is None else (points, labels)
        grid = (self.features.embedding.shape[2], self.features.embedding.shape[3])
        return self.sam.prompt_encoder.tokens(given, boxes, None, text=text, grid=grid)

    def _logits_shape(self) -> tuple[int, int]:
        return _CELL_STRIDE * self.features.embedding.shape[2], _CELL_STRIDE * self.features.embedding.shape[3]


@torch.inference_mode()
def _quick_image(sam: Sam, features: ImageFeatures) -> SharedImage | None:
    """Return what prompts share, or None where `Sam.decode` has to answer."""
    # Unmeasured on other devices, where a few large products may well be the quicker way.
    if features.embedding.device.type != "cpu" or len(features.embedding) != 1 or not isinstance(sam, Sam):
        return None
    if not isinstance(sam.mask_decoder, MaskDecoder) or not isinstance(sam.prompt_encoder, PromptEncoder):
        return None
    grid = (features.embedding.shape[2], features.embedding.shape[3])
    image = features.embedding + sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)
    return share_image(sam.mask_decoder, image, sam.prompt_encoder.get_dense_pe(grid))


def groups(tokens: Tensor) -> tuple[Tensor, ...]:
    """Return prompts (B, tokens, 256) in groups: at least one for each thread, or few prompts together for all."""
    threads = torch.get_num_threads()
    of_a_thread = len(tokens) // threads or _PROMPTS_AT_A_TIME
    return tokens.split(min(_PROMPTS_AT_A_TIME, of_a_thread))


def _needed_cells(grid: tuple[int, int], input_shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (rows, cols) of cells whose logits some pixel of the image is interpolated from."""
    rows, cols = (
        # The last pixel lies between two logits, of which the second counts too.
        min(cells, -(-(int(max((pixels - 0.5) / LOGITS_STRIDE - 0.5, 0)) + 2) // _CELL_STRIDE))
        for cells, pixels in zip(grid, input_shape, strict=True)
    )
    return rows, cols
