from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.model import ViTConfig
from napari_segany.model import image_encoder as module
from napari_segany.model.image_encoder import (
    Attention,
    ImageEncoderViT,
    attend_in_blocks,
    attends_fused,
    window_partition,
    window_unpartition,
)

SMALL = ViTConfig(embed_dim=32, depth=3, num_heads=2, window_size=3, global_attn_indexes=(1,))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_windows_go_back_to_where_they_came_from(height: int, width: int, size: int):
    x = torch.arange(2.0 * height * width * 3).view(2, height, width, 3) + 1
    windows, padded = window_partition(x, size)
    assert windows.shape[1:] == (size, size, 3)
    assert windows.sum() == x.sum()  # padding is zero
    assert torch.equal(window_unpartition(windows, size, padded, (height, width)), x)


def test_windows_are_padded_at_the_bottom_and_right():
    x = torch.arange(1.0, 10).view(1, 3, 3, 1)
    windows, padded = window_partition(x, 2)
    assert padded == (4, 4)
    assert windows[..., 0].tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]], [[7, 8], [0, 0]], [[9, 0], [0, 0]]]


@pytest.mark.parametrize("fused", [False, True], ids=["in products", "fused"])
@pytest.mark.parametrize("block", [1, 40, 900, 10_000])
def test_attention_in_blocks_equals_attention_at_once(block: int, fused: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_CPU_BLOCK", block)
    height, width = 4, 5
    q, k, v = torch.randn(3, 6, height * width, 8, dtype=torch.float64)
    bias_h = torch.randn(6, height * width, height, dtype=torch.float64)
    bias_w = torch.randn(6, height * width, width, dtype=torch.float64)
    bias = bias_h.repeat_interleave(width, dim=2) + bias_w.repeat(1, 1, height)
    expected = (q @ k.mT / 8**0.5 + bias).softmax(dim=-1) @ v
    torch.testing.assert_close(attend_in_blocks(q, k, v, bias_h, bias_w, fused=fused), expected)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    heads=st.integers(1, 3),
    grid=st.integers(1, 6),
    use_rel_pos=st.booleans(),
)
def test_fused_attention_is_what_the_definition_says(seed, shape, heads, grid, use_rel_pos):
    torch.manual_seed(seed)
    attention = Attention(8 * heads, heads, grid, use_rel_pos).eval()
    x = torch.randn(*shape, 8 * heads)
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        for parameter in attention.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        expected = attention(x)
        patch.setattr(module, "attends_fused", lambda *_, **__: True)
        torch.testing.assert_close(attention(x), expected, rtol=1e-5, atol=1e-5)


def test_attention_is_fused_on_cuda_where_no_gradients_are_wanted(monkeypatch: pytest.MonkeyPatch):
    assert attends_fused("cuda", inference=True)
    assert not attends_fused("cuda", inference=False)
    assert not attends_fused("cpu", inference=True)
    assert not attends_fused("mps", inference=True)

    asked = []
    monkeypatch.setattr(module, "attends_fused", lambda device, *, inference: asked.append((device, inference)))
    attention, x = Attention(16, 2, 4, use_rel_pos=True), torch.randn(1, 4, 4, 16)
    attention.eval()(x)
    with torch.no_grad():
        attention(x)
        attention.train()(x)
    assert asked == [("cpu", False), ("cpu", True), ("cpu", False)]


@pytest.mark.parametrize("shape", [(64, 64), (48, 80), (128, 128), (16, 16)])
def test_any_input_of_whole_patches_is_encoded(shape: tuple[int, int]):
    encoder = ImageEncoderViT(SMALL, image_size=64, out_chans=12)
    out = encoder(torch.randn(2, 3, *shape))
    assert out.shape == (2, 12, shape[0] // 16, shape[1] // 16)
    assert out.isfinite().all()


def test_images_of_a_batch_do_not_touch_each_other():
    encoder = ImageEncoderViT(SMALL, image_size=64).eval()
    x = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), atol=1e-5, rtol=1e-5)


def test_blocks_are_dropped_only_while_training():
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, drop_path_rate=0.5), image_size=64)
    x = torch.randn(1, 3, 64, 64)
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))
    encoder.train()
    assert len({encoder(x).sum().item() for _ in range(20)}) > 1


def test_works_without_relative_positions():
    encoder = ImageEncoderViT(dataclasses.replace(SMALL, use_rel_pos=False), image_size=64)
    assert not [name for name, _ in encoder.named_parameters() if "rel_pos" in name]
    assert encoder(torch.randn(1, 3, 64, 64)).shape == (1, 256, 4, 4)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="embed_dim is 32 and num_heads 5"):
        ImageEncoderViT(dataclasses.replace(SMALL, num_heads=5))
