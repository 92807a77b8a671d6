"""A convolution with GELU in one operation, where torch has it, against both one after the other in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from napari_segany.model import convolution_gelu as module
from napari_segany.model.convolution_gelu import convolved_gelu, joins_gelu


def expected(x, weight, bias, stride, padding, groups):
    x, weight, bias = x.double(), weight.double(), bias.double()
    return F.gelu(F.conv2d(x, weight, bias, stride, padding, groups=groups))


@torch.inference_mode()
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    batch=st.integers(1, 2),
    side=st.tuples(st.integers(3, 9), st.integers(1, 9)),
    stride=st.integers(1, 2),
    kernel=st.sampled_from([1, 3]),
    depthwise=st.booleans(),
    kind=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_it_is_gelu_of_the_convolution(seed, batch, side, stride, kernel, depthwise, kind):
    torch.manual_seed(seed)
    channels, groups = 8, 8 if depthwise else 1
    x = torch.randn(batch, channels, *side).to(kind).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels, channels // groups, kernel, kernel).to(kind), torch.randn(channels).to(kind)
    padding = (0, kernel // 2)
    found = convolved_gelu(x, weight, bias, stride, padding, groups)
    wanted = expected(x, weight, bias, stride, padding, groups)
    assert found.dtype == kind
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}[kind]
    torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance * wanted.abs().max().item())


@torch.inference_mode()
def test_without_the_operation_of_one_pass_both_are_done_one_after_the_other(monkeypatch: pytest.MonkeyPatch):
    def missing(*_: object) -> torch.Tensor:
        raise AttributeError("no such operation")

    monkeypatch.setattr(module, "_joined", missing)
    joins_gelu.cache_clear()
    try:
        assert not joins_gelu(torch.float32)
        x, weight, bias = torch.randn(1, 3, 4, 5), torch.randn(6, 3, 1, 1), torch.randn(6)
        found = convolved_gelu(x, weight, bias, 1, (0, 0))
        torch.testing.assert_close(found.double(), expected(x, weight, bias, 1, 0, 1), rtol=1e-5, atol=1e-5)
    finally:
        joins_gelu.cache_clear()


@torch.inference_mode()
def test_an_operation_that_gives_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_joined", lambda x, *_: torch.zeros(1, 4, *x.shape[2:]))
    joins_gelu.cache_clear()
    try:
        assert not joins_gelu(torch.float32)
    finally:
        joins_gelu.cache_clear()


@torch.inference_mode()
@pytest.mark.parametrize("wrong", ["strided", "depthwise"])
def test_one_kind_of_convolution_that_differs_is_enough(wrong: str, monkeypatch: pytest.MonkeyPatch):
    def joined(x, weight, bias, stride, padding, groups):
        out = F.gelu(F.conv2d(x, weight, bias, stride, padding, groups=groups))
        return out + 1 if (stride > 1 if wrong == "strided" else groups > 1) else out

    monkeypatch.setattr(module, "_joined", joined)
    joins_gelu.cache_clear()
    try:
        assert not joins_gelu(torch.float32)
    finally:
        joins_gelu.cache_clear()


@torch.inference_mode()
def test_whether_it_is_used_does_not_depend_on_the_mode_in_which_it_is_tried_first():
    joins_gelu.cache_clear()
    alone = joins_gelu(torch.bfloat16), joins_gelu(torch.float32)
    joins_gelu.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert (joins_gelu(torch.bfloat16), joins_gelu(torch.float32)) == alone
