"""A model that starts to be trained looks where the prompt is, and stays finite."""

from __future__ import annotations

import pytest
import torch

from napari_segany.model import SamConfig, TinyViTConfig, ViTConfig, build_sam

ENCODERS = {
    "vit": ViTConfig(embed_dim=48, depth=2, num_heads=3, window_size=4, global_attn_indexes=(1,)),
    "tiny_vit": TinyViTConfig(
        embed_dims=(16, 16, 32, 32),
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2),
        window_sizes=(4, 4, 4, 4),
        classifier=False,
    ),
}


@pytest.fixture(params=ENCODERS, ids=list(ENCODERS))
def sam(request: pytest.FixtureRequest):
    torch.manual_seed(0)
    return build_sam(SamConfig(image_size=256, encoder=ENCODERS[request.param]))


def test_a_point_token_attends_most_to_its_own_place(sam) -> None:
    """The logits of the first token-to-image attention, worked out from the encodings alone, peak at the click."""
    grid = sam.prompt_encoder.get_dense_pe()[0].flatten(1).T  # (h * w, 256)
    attention = sam.mask_decoder.transformer.layers[0].cross_attn_token_to_image
    for cell in (17, 100, 200):
        x, y = (cell % 16) * 16 + 7.5, (cell // 16) * 16 + 7.5
        tokens, _ = sam.prompt_encoder(points=(torch.tensor([[[x, y]]]), torch.ones(1, 1)), boxes=None, masks=None)
        query, keys = attention.q_proj(tokens[0, :1]), attention.k_proj(grid)
        assert int((query @ keys.T).argmax()) == cell


def test_every_answer_is_finite_and_every_parameter_learns(sam) -> None:
    sam.train()
    features = sam.encode(torch.randn(2, 3, 256, 256))
    logits, iou = sam.decode_all(features, points=torch.rand(2, 1, 2) * 256, labels=torch.ones(2, 1))
    (logits.square().mean() + iou.sum()).backward()
    assert torch.isfinite(logits).all()
    learning = [name for name, value in sam.mask_decoder.named_parameters() if value.grad is not None]
    assert len(learning) == len(list(sam.mask_decoder.parameters()))


def test_a_model_on_the_meta_device_is_left_alone() -> None:
    with torch.device("meta"):
        assert next(build_sam("vit_t").parameters()).is_meta
