"""How well masks agree with those of float32: the same image, points and weights, token by token.

For `gpu_use.py`, which asks it of a GPU, and `bfloat16_quality.py`, which asks it of the processor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.prompts import Prompt
from napari_segany.model import Sam

_POINTS_DOWN, _POINTS_ACROSS = 5, 8

Answers = tuple[Tensor, Tensor]
"""Masks (points, 3, H, W) and predicted IoU (points, 3)."""


def read_picture(path: Path) -> np.ndarray:
    """Return the pixels of a picture; those of more than 8 bits as float32."""
    from PIL import Image

    with Image.open(path) as file:
        pixels = np.asarray(file if file.mode in ("L", "RGB", "I", "I;16") else file.convert("RGB"))
    return pixels.astype(np.float32) if pixels.dtype.kind == "i" else pixels


@torch.inference_mode()
def masks_of(asked: Predictor, image: np.ndarray, autocast: torch.autocast | None = None) -> Answers:
    """Return what a model answers to a grid of clicks, three masks to each, in its decoder's precision or another."""
    height, width = image.shape[:2]
    rows = (np.arange(_POINTS_DOWN) + 0.5) * height / _POINTS_DOWN - 0.5
    cols = (np.arange(_POINTS_ACROSS) + 0.5) * width / _POINTS_ACROSS - 0.5
    points = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    embedding = asked.encode(image)
    prompt = Prompt.checked(points, image_shape=(height, width), logits_shape=embedding.logits_shape)
    places = torch.tensor(prompt.model_points(embedding.input_shape), device=asked.device)
    decoder = asked.decoder(embedding)
    with autocast or torch.autocast(asked.device.type, enabled=False):
        logits, iou = decoder.decode(points=places, labels=places.new_ones(places.shape[:2]), multimask=True)
    drawn = [_drawn(asked.sam, part, embedding) for part in logits.float()]
    return torch.cat(drawn), iou.float()


def _drawn(sam: Sam, logits: Tensor, embedding: ImageEmbedding) -> Tensor:
    """Return the masks (1, 3, H, W) of one point at the size of the image."""
    return sam.upscale(logits[None], embedding.input_shape, embedding.image_shape) > sam.mask_threshold


def agreement(found: list[Answers], expected: list[Answers]) -> dict[str, float]:
    """Return the IoU of masks with those expected: mean, fifth percentile and lowest, of all and of the best ones."""
    ious, best, same = [], [], []
    for (masks, scores), (wanted, wanted_scores) in zip(found, expected, strict=True):
        both = (masks & wanted).sum((2, 3))
        either = (masks | wanted).sum((2, 3))
        iou = torch.where(either > 0, both / either.clamp(min=1), 1.0)
        choice, wanted_choice = scores.argmax(1), wanted_scores.argmax(1)
        ious.append(iou.flatten().cpu())
        best.append(iou.gather(1, wanted_choice[:, None])[:, 0].cpu())
        same.append((choice == wanted_choice).float().cpu())
    every, chosen = torch.cat(ious), torch.cat(best)
    return {
        "images": len(found),
        "masks": len(every),
        "mean_iou": float(every.mean()),
        "fifth_percentile": float(every.quantile(0.05)),
        "lowest": float(every.min()),
        "mean_iou_of_best": float(chosen.mean()),
        "fifth_percentile_of_best": float(chosen.quantile(0.05)),
        "lowest_of_best": float(chosen.min()),
        "same_choice": float(torch.cat(same).mean()),
    }
