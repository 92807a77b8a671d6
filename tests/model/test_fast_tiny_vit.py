"""The TinyViT encoder's way at inference against the definition that training uses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.model import TinyViTConfig
from napari_segany.model import fast_tiny_vit as module
from napari_segany.model.layers import ConvBN
from napari_segany.model.tiny_vit import TinyViT

SMALL = TinyViTConfig(
    embed_dims=(8, 16, 24, 32),
    depths=(2, 1, 2, 1),
    num_heads=(1, 2, 3, 4),
    window_sizes=(4, 3, 5, 4),
    classifier=False,
)


def lively(layer: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights and statistics that are not those of the beginning."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for buffer in layer.buffers():
            if buffer.is_floating_point():
                buffer += torch.rand_like(buffer)
    return layer.eval()


def test_a_normalisation_becomes_part_of_its_convolution():
    layer = lively(ConvBN(3, 5, kernel=3, stride=2), seed=0).double()
    x = torch.randn(2, 3, 9, 8, dtype=torch.float64)
    with torch.enable_grad():
        expected = layer(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(expected, layer.bn(layer.c(x)).detach())


def test_training_normalises_by_the_batch_even_without_gradients():
    layer = lively(ConvBN(3, 4), seed=0).train()
    with torch.no_grad():
        out = layer(torch.randn(8, 3, 5, 5) * 7 + 3)
    mean = (out.mean(dim=(0, 2, 3)) - layer.bn.bias).abs()
    assert mean.max() < 1e-5


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    batch=st.integers(1, 2),
    part=st.sampled_from([1, 500, 5000, 10**7]),
)
def test_the_fast_way_gives_the_same_embedding_however_the_work_is_cut(seed, grid, batch, part):
    encoder = lively(TinyViT(SMALL, out_chans=8), seed)
    x = torch.randn(batch, 3, 16 * grid[0], 16 * grid[1])
    with torch.enable_grad():  # the definition
        expected = encoder(x).detach()
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PART", part)
        found = encoder(x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_it_is_exact_and_not_merely_close():
    encoder = lively(TinyViT(SMALL, out_chans=8), seed=1).double()
    x = torch.randn(1, 3, 80, 48, dtype=torch.float64)
    with torch.enable_grad():
        expected = encoder(x).detach()
    with torch.no_grad():
        found = encoder(x)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_the_input_stays_as_it_is_and_progress_counts_to_its_end():
    encoder = lively(TinyViT(SMALL, out_chans=8), seed=1)
    x = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    assert list(encoder.steps(x)) == [(done, 7) for done in range(8)]
    assert torch.equal(x, before)
