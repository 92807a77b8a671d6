"""Networks without values: the same shapes as with them, and nothing is filled."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_segany.model.config import PRESETS
from napari_segany.model.sam import Sam
from napari_segany.model.shapes_only import shapes_only


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_has_its_shapes_and_nothing_is_filled(name, monkeypatch):
    def filled(*args, **kwargs):
        raise AssertionError("random values were asked for")

    for function in ("_no_grad_normal_", "_no_grad_uniform_"):
        monkeypatch.setattr(nn.init, function, filled)
    with shapes_only():
        network = Sam(PRESETS[name])
    assert all(parameter.is_meta for parameter in network.parameters())
    assert network.pixel_mean.device.type == "cpu", "what no file holds has its values"


def test_shapes_are_those_of_a_network_with_values_which_come_back_afterwards():
    def network():
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.LayerNorm(5), nn.Embedding(6, 7))

    with shapes_only():
        empty = network()
        assert torch.randn(2, 3, dtype=torch.float64).is_meta
        assert nn.init.normal_(tensor=torch.empty(2)).shape == (2,)
    full = network()
    assert {key: value.shape for key, value in empty.state_dict().items()} == {
        key: value.shape for key, value in full.state_dict().items()
    }
    assert full[3].weight.std() > 0.1
    assert torch.randn(2, 3).device.type == "cpu"
