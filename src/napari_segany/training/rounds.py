"""A lesson: prompt, answer, compare, correct, prompt again, and the gradients of it all.

SAM paper, appendix A. Every round's gradients are computed as soon as its loss is known and end in the images'
features, so that memory holds one round at a time; the caller passes them on to the encoder. Nothing waits for a
GPU before the lesson is over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_segany.evaluation.points import center_point
from napari_segany.model.features import ImageFeatures
from napari_segany.model.sam import Sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.losses import dice_loss, focal_loss, mask_iou
from napari_segany.training.prompts import (
    correction_points,
    noisy_boxes,
    rounds_without_points,
    sample_points,
    to_pixels,
)


@dataclass(frozen=True)
class LessonResult:
    """What happened to the N objects of a lesson, of one image or of several.

    Attributes
    ----------
    loss, focal, dice, iou_error : float
        Means over objects and rounds, `loss` with the factors of the configuration.
    first_iou, first_best, last_iou : float
        Mean IoU of the highest-ranked of three masks after the first prompt, of the best of the three, and of the
        mask after the last.
    wins : tuple of float
        How often each of the three masks was the one with the lowest loss: one token that wins all has collapsed
        the ambiguity.
    """

    loss: float
    focal: float
    dice: float
    iou_error: float
    first_iou: float
    first_best: float
    last_iou: float
    wins: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Prompt:
    points: Tensor | None  # (N, P, 2) in pixels
    labels: Tensor | None
    boxes: Tensor | None
    masks: Tensor | None
    text: Tensor | None = None  # (N, D)

    @property
    def is_clicks(self) -> bool:
        """Whether there is nothing but points, and perhaps a mask."""
        return self.boxes is None and self.text is None

    def clicked(self, points: Tensor, labels: Tensor) -> _Prompt:
        """Return the prompt with one more point (N, 2) and its label (N,) for every object."""
        points, labels = points[:, None], labels[:, None]
        if self.points is not None and self.labels is not None:
            points, labels = torch.cat([self.points, points], dim=1), torch.cat([self.labels, labels], dim=1)
        return _Prompt(points, labels, self.boxes, self.masks, self.text)


def teach(
    sam: Sam,
    features: ImageFeatures,
    masks: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    *,
    origin: tuple[int, int] = (0, 0),
    backward: Callable[[Tensor], None] | None = Tensor.backward,
    describe: Callable[[], Tensor] | None = None,
) -> LessonResult:
    """Run all rounds on the objects of one image, or of several at once, and accumulate gradients.

    Parameters
    ----------
    sam : Sam
        The model; its prompt encoder and mask decoder receive gradients.
    features : ImageFeatures
        Of one image, shared by all objects (batch of 1), or of N, one for each object; leaves, which receive
        gradients.
    masks : Tensor
        (N, S, S) bool, the objects, none of them empty.
    config : TrainingConfig
        Rounds, losses and their factors.
    generator : torch.Generator
        Source of all chance, on the CPU.
    origin : tuple of int
        (x, y) of the crop in the model's canvas.
    backward : callable, optional
        What to do with a round's loss; None computes no gradients.
    describe : callable, optional
        Gives embeddings (N, D) of the objects, which are the first prompt as often as `text_share` says.
    """
    stride = config.loss_stride
    targets = _on_grid(masks, stride)
    truth = targets.float()
    prompt = _first_prompt(masks, targets[:, 0], config, generator, describe)
    without_points = rounds_without_points(config.rounds, generator)
    seen: list[Tensor] = []
    first: list[Tensor] = []
    for number in range(config.rounds):
        logits, predicted = sam.decode_all(
            features,
            points=prompt.points,
            labels=prompt.labels,
            boxes=prompt.boxes,
            masks=prompt.masks,
            text=prompt.text,
            origin=origin,
        )
        chosen = _taught_masks(number, prompt)
        low, guesses = logits[:, chosen].float(), predicted[:, chosen].float()
        fine = F.interpolate(low, truth.shape[-2:], mode="bilinear", align_corners=False)
        focal_all, dice_all = focal_loss(fine, truth), dice_loss(fine, truth)  # (N, C)
        iou = mask_iou(fine.detach(), truth)
        shape_loss = config.focal_weight * focal_all + config.dice_weight * dice_all
        winner = _lowest(shape_loss.detach(), number == 0)
        iou_loss = (guesses - iou).square().mean(dim=1)
        taught = shape_loss.gather(1, winner) if number else _first_loss(shape_loss, winner, prompt)
        loss = (taught.mean(dim=1) + config.iou_weight * iou_loss).mean() / config.rounds
        if backward is not None:
            backward(loss)
        carried = _carried(guesses.detach(), number == 0)
        costs = (focal_all.gather(1, winner).mean(), dice_all.gather(1, winner).mean(), iou_loss.mean())
        seen.append(torch.stack([loss, *(cost / config.rounds for cost in costs)]).detach())
        if number == 0:
            first = _first_answers(iou[:, -3:], guesses.detach()[:, -3:], winner - (fine.shape[1] - 3))
        last = iou.gather(1, carried).mean()
        if number + 1 < config.rounds:
            answer = low.detach().gather(1, carried[..., None, None].expand(-1, -1, *low.shape[-2:]))
            prompt = replace(prompt, masks=answer)
            if number + 1 not in without_points:
                shown = fine.detach().gather(1, carried[..., None, None].expand(-1, -1, *fine.shape[-2:]))
                positions, labels = correction_points(shown[:, 0] > 0, targets[:, 0], generator)
                prompt = prompt.clicked(to_pixels(positions, stride), labels)
    numbers = torch.cat([torch.stack(seen).sum(dim=0), torch.stack([*first, last])]).tolist()
    loss_sum, focal, dice, iou_error, first_iou, first_best, *wins, last_iou = numbers
    return LessonResult(loss_sum, focal, dice, iou_error, first_iou, first_best, last_iou, tuple(wins))


def _on_grid(masks: Tensor, stride: int) -> Tensor:
    """Return masks (N, S, S) on the grid of the comparison, (N, 1, S / stride, S / stride) bool.

    An object too thin for the grid keeps the cells that it touches.
    """
    covered = masks[:, None].float()
    targets = F.avg_pool2d(covered, stride).ge(0.5)
    empty = ~targets.flatten(1).any(dim=1)
    return torch.where(empty[:, None, None, None], F.max_pool2d(covered, stride).bool(), targets)


def _first_answers(iou: Tensor, guesses: Tensor, winner: Tensor) -> list[Tensor]:
    """Return the mean IoU of the highest-ranked of three masks and of the best, and how often each is `winner`."""
    ranked = iou.gather(1, guesses.argmax(1, keepdim=True)).mean()
    wins = F.one_hot(winner.flatten(), 3).float().mean(dim=0)
    return [ranked, iou.amax(dim=1).mean(), *wins.unbind()]


def _first_prompt(
    masks: Tensor,
    targets: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    describe: Callable[[], Tensor] | None,
) -> _Prompt:
    if describe is not None and float(torch.rand((), generator=generator)) < config.text_share:
        return _Prompt(None, None, None, None, describe().to(masks.device))
    if float(torch.rand((), generator=generator)) < config.box_share:
        boxes = noisy_boxes(masks, generator, config.box_noise, config.box_noise_limit)
        return _Prompt(None, None, boxes, None)
    if float(torch.rand((), generator=generator)) < config.center_share:
        centers = [center_point(target)[::-1] for target in targets.cpu().numpy()]
        positions = torch.from_numpy(np.array(centers)).to(targets.device)
    else:
        positions = sample_points(targets, generator)
    none = _Prompt(None, None, None, None)
    return none.clicked(to_pixels(positions, config.loss_stride), positions.new_ones(len(positions)))


def _taught_masks(number: int, prompt: _Prompt) -> slice:
    """Return which of the four masks learn: three from a point, one from several prompts, all from a box or words.

    A box alone is answered by three masks in training, as in the paper, and by the single mask at inference, so
    that it learns from boxes too; words alike.
    """
    if number:
        return slice(0, 1)
    return slice(1, 4) if prompt.is_clicks else slice(0, 4)


def _lowest(losses: Tensor, first: bool) -> Tensor:
    """Return (N, 1), the mask with the lowest loss; in the first round among the three for ambiguous prompts."""
    if not first:
        return losses.new_zeros(len(losses), 1, dtype=torch.long)
    offset = losses.shape[1] - 3
    return losses[:, offset:].argmin(dim=1, keepdim=True) + offset


def _first_loss(losses: Tensor, winner: Tensor, prompt: _Prompt) -> Tensor:
    """Return (N, 1) or (N, 2): the lowest of the three losses, and that of the single mask for a box or words."""
    lowest = losses.gather(1, winner)
    return lowest if prompt.is_clicks else torch.cat([losses[:, :1], lowest], dim=1)


def _carried(guesses: Tensor, first: bool) -> Tensor:
    """Return (N, 1), the mask of the highest predicted IoU, which the next round corrects."""
    if not first:
        return guesses.new_zeros(len(guesses), 1, dtype=torch.long)
    offset = guesses.shape[1] - 3
    return guesses[:, offset:].argmax(dim=1, keepdim=True) + offset
