"""Products into memory that is there, against the layers themselves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_segany.model.layers import MLPBlock
from napari_segany.model.linear_products import LinearProducts, MLPProducts, Scratch, products_type


class Doubled(nn.Module):
    """What LoRA and quantisation are: another module in place of the layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(x)


@pytest.fixture(autouse=True)
def without_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.mark.parametrize("products", [None, torch.bfloat16])
@pytest.mark.parametrize("make", [lambda x: x, Doubled], ids=["plain", "replaced"])
def test_a_linear_layer_is_put_and_added(make, products: torch.dtype | None):
    layer, x, before = make(nn.Linear(5, 7)), torch.randn(3, 5), torch.randn(3, 7)
    with torch.autocast("cpu", products or torch.bfloat16, enabled=products is not None):
        expected = layer(x)
        assert products_type(x.dtype) == expected.dtype == (products or torch.float32)
        used = LinearProducts(layer)
        put = torch.full_like(expected, torch.nan)
        used.into(x, put)
        added = before.clone()
        used.add_to(x, added, Scratch())
        made = used.of(x, Scratch())
    tolerance = 1e-6 if products is None else 2e-2
    torch.testing.assert_close(put, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(made, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(added, before + expected, rtol=tolerance, atol=tolerance, check_dtype=False)


def test_a_hook_is_called_with_what_it_expects():
    layer, seen = nn.Linear(5, 7), []
    layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].shape, output.shape)))
    LinearProducts(layer).into(torch.randn(3, 5), torch.empty(3, 7))
    LinearProducts(layer).add_to(torch.randn(3, 5), torch.empty(3, 7), Scratch())
    assert seen == [((3, 5), (3, 7))] * 2


@pytest.mark.parametrize("products", [None, torch.bfloat16])
@pytest.mark.parametrize("replaced", ["nothing", "lin1", "lin2", "act"])
def test_an_mlp_is_added(replaced: str, products: torch.dtype | None):
    mlp = MLPBlock(4, 9, nn.GELU)
    if replaced != "nothing":
        setattr(mlp, replaced, Doubled(getattr(mlp, replaced)))
    x, before = torch.randn(3, 4), torch.randn(3, 4)
    with torch.autocast("cpu", products or torch.bfloat16, enabled=products is not None):
        expected = before + mlp(x)
        found = before.clone()
        MLPProducts(mlp).add_to(x, found, Scratch())
    tolerance = 1e-6 if products is None else 2e-2
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_what_a_hook_keeps_stays_as_it_was():
    """GELU is put where the first layer's product was, but not into what somebody else holds."""
    mlp, kept = MLPBlock(4, 9, nn.GELU), []
    mlp.lin1.register_forward_hook(lambda _, inputs, output: kept.append(output))
    x = torch.randn(3, 4)
    MLPProducts(mlp).add_to(x, torch.zeros(3, 4), Scratch())
    torch.testing.assert_close(kept[0], x @ mlp.lin1.weight.T + mlp.lin1.bias)


def test_another_activation_is_used():
    mlp = MLPBlock(4, 9, nn.ReLU)
    x, found = torch.randn(3, 4), torch.zeros(3, 4)
    MLPProducts(mlp).add_to(x, found, Scratch())
    torch.testing.assert_close(found, mlp(x))


def test_memory_of_a_name_and_type_is_used_again_and_grows():
    scratch = Scratch()
    first = scratch.take("map", (2, 3), torch.float32)
    assert scratch.take("map", (3, 2), torch.float32).data_ptr() == first.data_ptr()
    assert scratch.take("map", (1,), torch.float32).data_ptr() == first.data_ptr()
    others = scratch.take("map", (2, 3), torch.bfloat16), scratch.take("mask", (2, 3), torch.float32)
    assert first.data_ptr() not in [other.data_ptr() for other in others]
    assert scratch.take("map", (20, 30), torch.float32).shape == (20, 30)
