from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_segany.model.layers import DropPath, LayerNorm2d, drop_path_rates


def test_layer_norm_2d_normalises_the_channels_of_each_position():
    x = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).expand(1, 2, 4, 5)
    norm = LayerNorm2d(2)
    nn.init.constant_(norm.weight, 2.0)
    nn.init.constant_(norm.bias, 0.5)
    out = norm(x)
    assert out.shape == (1, 2, 4, 5)
    # mean 2 and deviation 1 make -1 and 1 of 1 and 3
    torch.testing.assert_close(out[0, :, 2, 3], torch.tensor([-1.5, 2.5]), atol=1e-5, rtol=0)


def test_drop_path_drops_whole_samples_and_keeps_the_mean_while_training():
    drop = DropPath(0.25).train()
    x = torch.ones(20_000, 2, 2)
    out = drop(x)
    per_sample = out.flatten(1)
    assert (per_sample == per_sample[:, :1]).all()
    torch.testing.assert_close(out.unique(), torch.tensor([0.0, 4 / 3]))
    assert out.mean().item() == pytest.approx(1, abs=0.02)


def test_drop_path_does_nothing_in_evaluation():
    x = torch.randn(8, 3)
    assert DropPath(0.9).eval()(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_drop_path_refuses_impossible_rates(rate: float):
    with pytest.raises(ValueError, match="drop path rate"):
        DropPath(rate)


def test_drop_path_rises_to_the_last_block():
    assert drop_path_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1) == [0]
