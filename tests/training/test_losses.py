"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from napari_segany.training.losses import dice_loss, focal_loss, mask_iou

EVEN = torch.zeros(2, 2)  # probability 1/2 everywhere


def test_focal_loss_of_one_pixel() -> None:
    # p = 1/2 on an object's pixel: 0.25 * (1/2)^2 * ln 2; on background 0.75 instead of 0.25.
    assert focal_loss(torch.zeros(1, 1), torch.ones(1, 1)).item() == pytest.approx(math.log(2) / 16)
    assert focal_loss(torch.zeros(1, 1), torch.zeros(1, 1)).item() == pytest.approx(3 * math.log(2) / 16)


def test_focal_loss_of_a_confident_pixel() -> None:
    p = 0.9
    logit = torch.full((1, 1), math.log(p / (1 - p)))
    assert focal_loss(logit, torch.ones(1, 1)).item() == pytest.approx(0.25 * 0.1**2 * -math.log(0.9), rel=1e-4)
    assert focal_loss(logit, torch.zeros(1, 1)).item() == pytest.approx(0.75 * 0.9**2 * -math.log(0.1), rel=1e-4)


def test_focal_loss_averages_over_pixels() -> None:
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    expected = (math.log(2) / 16 + 3 * (3 * math.log(2) / 16)) / 4
    assert focal_loss(EVEN, truth).item() == pytest.approx(expected)


def test_dice_loss_of_even_chances() -> None:
    # 2 * (1/2) + 1 over 2 + 1 + 1
    truth = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert dice_loss(EVEN, truth).item() == pytest.approx(1 - 2 / 4)


def test_dice_loss_of_right_and_wrong() -> None:
    truth = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    sure = (truth * 2 - 1) * 50
    assert dice_loss(sure, truth).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(-sure, truth).item() == pytest.approx(1 - 1 / 5)


def test_losses_come_per_mask_and_broadcast_the_truth() -> None:
    truth = torch.tensor([[1.0, 1.0], [0.0, 0.0]])[None, None]  # one object
    sure = (truth * 2 - 1) * 50
    logits = torch.cat([sure, -sure, EVEN[None, None]], dim=1)  # its three masks
    for loss in (focal_loss, dice_loss):
        right, wrong, undecided = loss(logits, truth)[0].tolist()
        assert right < undecided < wrong
    assert mask_iou(logits, truth).tolist() == [[1.0, 0.0, 0.0]]


def test_iou_of_overlapping_and_empty_masks() -> None:
    predicted = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    truth = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert mask_iou(predicted, truth).item() == pytest.approx(1 / 3)
    assert mask_iou(-torch.ones(2, 2), torch.zeros(2, 2)).item() == 1
    assert mask_iou(torch.ones(2, 2), torch.zeros(2, 2)).item() == 0
