"""The ViT encoder's way at inference against the definition that training uses."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from napari_segany.model import Sam, ViTConfig, image_encoder, tiny_vit
from napari_segany.model import fast_vit as module
from napari_segany.model.image_encoder import Block, ImageEncoderViT


def lively(encoder: torch.nn.Module, seed: int) -> torch.nn.Module:
    """An encoder whose biases and tables of positions are not zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return encoder.eval()


def defined(encoder: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the definition gives, which is taken where gradients are wanted."""
    with torch.enable_grad():
        return encoder(x).detach()


def at_inference(encoder: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return encoder(x).clone()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    window_size=st.integers(1, 5),
    batch=st.integers(1, 2),
    use_rel_pos=st.booleans(),
)
def test_the_fast_way_gives_the_same_embedding(seed, grid, window_size, batch, use_rel_pos):
    config = ViTConfig(
        embed_dim=24,
        depth=3,
        num_heads=3,
        window_size=window_size,
        global_attn_indexes=(1,),
        use_rel_pos=use_rel_pos,
    )
    encoder = lively(ImageEncoderViT(config, image_size=64, out_chans=8), seed)
    x = torch.randn(batch, 3, 16 * grid[0], 16 * grid[1])
    expected, found = defined(encoder, x), at_inference(encoder, x)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize(("tokens", "elements"), [(1, 1), (7, 100), (10_000, 10**7)])
def test_it_is_exact_however_the_work_is_cut(tokens: int, elements: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_TOKENS_AT_A_TIME", tokens)
    monkeypatch.setattr(module, "_MAP_AT_A_TIME", elements)
    config = ViTConfig(embed_dim=16, depth=2, num_heads=2, window_size=3, global_attn_indexes=(1,))
    encoder = lively(ImageEncoderViT(config, image_size=64, out_chans=8), seed=0).double()
    x = torch.randn(1, 3, 80, 112, dtype=torch.float64)
    torch.testing.assert_close(at_inference(encoder, x), defined(encoder, x), rtol=1e-10, atol=1e-10)


def test_layers_that_were_replaced_are_used():
    """LoRA and quantisation put other modules in place of linear layers."""

    class Doubled(torch.nn.Module):
        def __init__(self, layer: torch.nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.layer(x)

    config = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=3, global_attn_indexes=())
    encoder = lively(ImageEncoderViT(config, image_size=64, out_chans=8), seed=0)
    before = at_inference(encoder, x := torch.randn(1, 3, 64, 64))
    for name in ("qkv", "proj"):
        setattr(encoder.blocks[0].attn, name, Doubled(getattr(encoder.blocks[0].attn, name)))
    found = at_inference(encoder, x)
    assert (found - before).abs().max() > 1e-3
    torch.testing.assert_close(found, defined(encoder, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["changed_tokens", "attended_map"])
def test_it_is_taken_where_no_gradients_are_wanted(name: str, mini: Sam, tiny: Sam, monkeypatch: pytest.MonkeyPatch):
    sam, home = {"changed_tokens": (mini, image_encoder), "attended_map": (tiny, tiny_vit)}[name]
    taken, calls = getattr(home, name), []
    monkeypatch.setattr(home, name, lambda *args, **how: calls.append(1) or taken(*args, **how))
    x = torch.randn(2, 3, 64, 64)
    expected = sam.encode(x).embedding
    assert expected.requires_grad
    assert not calls
    with torch.inference_mode():
        found = sam.encode(x).embedding
        assert calls
        calls.clear()
        sam.train()
        sam.encode(x)
        assert not calls
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.no_grad()
def test_what_goes_in_stays_as_it_is():
    config = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=3, global_attn_indexes=())
    block = lively(ImageEncoderViT(config, image_size=64), seed=0).blocks[0]
    x = torch.randn(1, 4, 4, 16)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)


@torch.no_grad()
def test_what_an_encoder_is_hooked_for_stays_as_it_is(mini: Sam):
    """Blocks change the tokens in place; those of the patches are somebody else's."""
    kept = []
    mini.image_encoder.patch_embed.register_forward_hook(lambda _, inputs, output: kept.append(output))
    x = torch.randn(1, 3, 64, 64)
    mini.encode(x)
    assert torch.equal(kept[0], mini.image_encoder.patch_embed.proj(x).permute(0, 2, 3, 1))


@torch.no_grad()
@pytest.mark.parametrize("window_size", [0, 14], ids=["global", "windowed"])
def test_a_block_can_be_stopped_after_small_parts(window_size: int):
    config = ViTConfig(embed_dim=96, depth=1, num_heads=12, window_size=14, global_attn_indexes=())
    block = Block(config, window_size, grid=48, drop_path=0.0).eval()
    work = flops_of_parts(block, torch.randn(1, 48, 48, 96))
    assert max(work) < sum(work) / 5


@torch.no_grad()
def test_parts_of_a_block_as_wide_as_that_of_vit_h_take_no_more_than_those_of_vit_b():
    config = ViTConfig(embed_dim=1280, depth=1, num_heads=16, window_size=14, global_attn_indexes=())
    work = flops_of_parts(Block(config, 14, grid=14, drop_path=0.0).eval(), torch.randn(1, 14, 14, 1280))
    assert max(work) <= 2 * 512 * (768**2 + 2 * 4 * 768**2)  # projection and MLP of 512 tokens


def flops_of_parts(block: Block, x: torch.Tensor) -> list[int]:
    parts, work = block.steps(x), []
    with contextlib.suppress(StopIteration):
        while True:
            with FlopCounterMode(display=False) as counter:
                next(parts)
            work.append(counter.get_total_flops())
    return work
