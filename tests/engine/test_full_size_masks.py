from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_segany.engine import full_size_masks as module
from napari_segany.engine.full_size_masks import (
    full_size_masks,
    masks_at_a_time,
    stability_counts,
    stability_scores,
)

INPUT, IMAGE = (96, 128), (60, 80)


@pytest.fixture(scope="module")
def logits():
    values = 3 * torch.randn(3, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    values[1, 0] = -5.0  # an empty mask
    return values


@pytest.mark.parametrize("at_a_time", [1, 4, 100])
@torch.inference_mode()
def test_masks_that_are_fetched_together_are_those_of_one_by_one(mini_sam, logits, at_a_time, monkeypatch):
    monkeypatch.setattr(module, "masks_at_a_time", lambda *_: at_a_time)
    masks, stability = full_size_masks(mini_sam, logits, INPUT, IMAGE)
    assert masks.shape == (3, 2, *IMAGE)
    assert stability.shape == (3, 2)
    for index in np.ndindex(3, 2):
        full = mini_sam.upscale(logits[index][None, None], INPUT, IMAGE)[0, 0].numpy()
        inner, outer = (full > 1).sum(), (full > -1).sum()
        np.testing.assert_array_equal(masks[index], full > 0)
        assert stability[index] == np.float32(inner / outer if outer else 0)
    assert stability[1, 0] == 0
    assert 0 < stability[0, 0] < 1


@torch.inference_mode()
def test_no_number_is_waited_for_while_masks_are_drawn(mini_sam, logits):
    class Names(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.called: list[str] = []

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.called.append(function.name())
            return function(*args, **(kwargs or {}))

    with Names() as names:
        full_size_masks(mini_sam, logits, INPUT, IMAGE)
    assert "aten::gt.Scalar_out" in names.called
    assert "aten::_local_scalar_dense" not in names.called  # what int() and item() are


def test_masks_are_fetched_together_from_a_device_as_far_as_they_are_small():
    assert masks_at_a_time("cpu", 100) == 1
    assert masks_at_a_time("cuda", 1024**2) == 32
    assert masks_at_a_time("cuda", 10**9) == 1


def test_stability_is_the_iou_of_two_thresholds():
    logits = torch.tensor([[3.0, 0.5, -0.5], [-2.0, 1.5, -0.9]])
    assert stability_counts(logits).tolist() == [2, 5]
    assert stability_counts(logits, offset=0.0).tolist() == [3, 3]
    counts = np.array([[2, 5], [3, 3], [0, 0]])
    assert stability_scores(counts).tolist() == np.array([2 / 5, 1, 0], np.float32).tolist()
