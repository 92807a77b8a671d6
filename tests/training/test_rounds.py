"""One image's lesson: who learns from which prompt, and that gradients end in the features."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from napari_segany.model import SamConfig, build_sam
from napari_segany.model.sam import ImageFeatures, Sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.rounds import LessonResult, teach

HYPERNETWORK = "mask_decoder.output_hypernetworks_mlps.{}.layers.2.weight"


@pytest.fixture
def sam(tiny_shape: SamConfig) -> Sam:
    torch.manual_seed(1)
    return build_sam(tiny_shape)


def objects() -> Tensor:
    masks = torch.zeros(3, 64, 64, dtype=torch.bool)
    masks[0, 5:30, 5:30] = True
    masks[1, 40:60, 20:60] = True
    masks[2, 10:14, 50:51] = True  # narrower than a cell of the coarsest loss grid
    return masks


def lesson(sam: Sam, config: TrainingConfig, seed: int = 0) -> tuple[LessonResult, ImageFeatures, dict[str, bool]]:
    """Return the result, the features and, by name, which parameters received a gradient."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        encoded = sam.encode(torch.randn(1, 3, 64, 64, generator=generator))
    features = ImageFeatures(
        encoded.embedding.clone().requires_grad_(),
        tuple(scale.clone().requires_grad_() for scale in encoded.high_resolution),
    )
    result = teach(sam, features, objects(), config, generator)
    learned = {name: p.grad is not None and bool(p.grad.any()) for name, p in sam.named_parameters()}
    return result, features, learned


def test_gradients_end_in_the_features(sam: Sam, tiny_training: TrainingConfig) -> None:
    _, features, learned = lesson(sam, tiny_training)
    for leaf in (features.embedding, *features.high_resolution):
        assert leaf.grad is not None
        assert leaf.grad.any()
    assert not any(of_encoder for name, of_encoder in learned.items() if name.startswith("image_encoder."))


def test_a_single_point_teaches_the_three_masks(sam: Sam, tiny_training: TrainingConfig) -> None:
    result, _, learned = lesson(sam, replace(tiny_training, rounds=1, box_share=0.0))
    assert not learned[HYPERNETWORK.format(0)]
    assert [learned[HYPERNETWORK.format(token)] for token in (1, 2, 3)] == [win > 0 for win in result.wins]
    assert sum(result.wins) == pytest.approx(1)


def test_a_box_teaches_the_single_mask_too(sam: Sam, tiny_training: TrainingConfig) -> None:
    _, _, learned = lesson(sam, replace(tiny_training, rounds=1, box_share=1.0))
    assert learned[HYPERNETWORK.format(0)]
    assert any(learned[HYPERNETWORK.format(token)] for token in (1, 2, 3))


def test_later_rounds_teach_the_single_mask(sam: Sam, tiny_training: TrainingConfig) -> None:
    _, _, learned = lesson(sam, replace(tiny_training, rounds=2, box_share=0.0))
    assert learned[HYPERNETWORK.format(0)]
    assert learned["prompt_encoder.mask_downscaling.0.weight"]  # its logits came back as a prompt


def test_the_loss_is_the_weighted_sum(sam: Sam, tiny_training: TrainingConfig) -> None:
    config = replace(tiny_training, rounds=1, box_share=0.0, focal_weight=7.0, dice_weight=3.0, iou_weight=2.0)
    result, _, _ = lesson(sam, config)
    assert result.loss == pytest.approx(7 * result.focal + 3 * result.dice + 2 * result.iou_error, rel=1e-4)
    assert 0 <= result.first_iou <= result.first_best <= 1


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_thin_objects_survive_every_loss_grid(sam: Sam, tiny_training: TrainingConfig, stride: int) -> None:
    result, features, _ = lesson(sam, replace(tiny_training, loss_stride=stride, center_share=1.0, rounds=11))
    assert torch.tensor([result.loss, result.dice, result.iou_error]).isfinite().all()
    assert features.embedding.grad is not None
    assert features.embedding.grad.isfinite().all()


def test_nothing_is_computed_without_backward(sam: Sam, tiny_training: TrainingConfig) -> None:
    with torch.no_grad():
        features = sam.encode(torch.randn(1, 3, 64, 64))
        result = teach(sam, features, objects(), tiny_training, torch.Generator().manual_seed(0), backward=None)
    assert result.loss > 0
    assert all(parameter.grad is None for parameter in sam.parameters())
