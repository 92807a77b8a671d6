from __future__ import annotations

import dataclasses

import pytest
import torch

from napari_segany.generators import drain
from napari_segany.model import TinyViTConfig
from napari_segany.model.tiny_vit import TinyViT, WindowAttention

SMALL = TinyViTConfig(
    embed_dims=(8, 16, 24, 32),
    depths=(1, 1, 2, 1),
    num_heads=(1, 2, 3, 4),
    window_sizes=(4, 4, 4, 4),
    classifier=False,
)


def test_biases_depend_on_the_absolute_offset():
    attention = WindowAttention(channels=4, num_heads=1, window_size=2)
    # positions (0, 0), (0, 1), (1, 0), (1, 1); offset (|dy|, |dx|) has the number 2 * |dy| + |dx|
    assert attention.offsets.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_window_attention_equals_its_definition():
    attention = WindowAttention(channels=12, num_heads=3, window_size=2).double()
    torch.nn.init.normal_(attention.attention_biases)
    x = torch.randn(5, 4, 12, dtype=torch.float64)
    qkv = attention.qkv(attention.norm(x)).view(5, 4, 3, 12)  # each head has its query, key and value side by side
    q, k, v = (part.permute(0, 2, 1, 3) for part in qkv.split(4, dim=3))
    logits = q @ k.mT / 4**0.5 + attention.attention_biases[:, attention.offsets]
    out = (logits.softmax(dim=-1) @ v).permute(0, 2, 1, 3).reshape(5, 4, 12)
    torch.testing.assert_close(attention(x), attention.proj(out))


@pytest.mark.parametrize("shape", [(64, 64), (48, 80), (16, 16), (112, 64)])
def test_any_input_of_whole_cells_is_encoded(shape: tuple[int, int]):
    encoder = TinyViT(SMALL, out_chans=12).eval()
    embedding, (stride4, stride8) = drain(encoder.steps(torch.randn(2, 3, *shape)))
    height, width = shape
    assert embedding.shape == (2, 12, height // 16, width // 16)
    assert stride4.shape == (2, 8, height // 4, width // 4)
    assert stride8.shape == (2, 16, height // 8, width // 8)
    assert embedding.isfinite().all()


def test_images_of_a_batch_do_not_touch_each_other_in_evaluation():
    encoder = TinyViT(SMALL).eval()
    x = torch.randn(3, 3, 64, 64)
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]), atol=1e-5, rtol=1e-5)


def test_blocks_are_dropped_only_while_training():
    encoder = TinyViT(dataclasses.replace(SMALL, drop_path_rate=0.5))
    x = torch.randn(2, 3, 64, 64)
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))
    encoder.train()
    assert len({encoder(x).sum().item() for _ in range(20)}) > 1


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="16 channels cannot be shared by 3 heads"):
        TinyViT(dataclasses.replace(SMALL, num_heads=(1, 3, 3, 4)))


def test_the_classifier_is_there_only_where_asked_for():
    names = dict(TinyViT(dataclasses.replace(SMALL, classifier=True)).named_parameters())
    assert names["head.weight"].shape == (1000, 32)
    assert not [name for name, _ in TinyViT(SMALL).named_parameters() if "head" in name]
