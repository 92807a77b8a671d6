"""Embeddings of words as prompts: one more token, in the published architecture and in that of `light`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segany.model import ImageDecoder, Sam, build_sam, load_sam, recognise, save_sam
from napari_segany.model.prompt_encoder import PromptEncoder
from napari_segany.model.state_file import write_state

POINTS = {"points": torch.rand(3, 2, 2) * 64, "labels": torch.tensor([[1, 0], [1, 1], [1, -1]])}


@pytest.fixture
def worded(any_sam: Sam) -> Sam:
    """A model of each kind that takes embeddings of 12 numbers."""
    return build_sam(replace(any_sam.config, image_size=64, text_embed_dim=12)).requires_grad_(False)


def test_an_embedding_becomes_one_token_whatever_its_length():
    encoder = PromptEncoder(embed_dim=8, image_size=64, mask_in_chans=4, text_embed_dim=5).requires_grad_(False)
    text = torch.randn(3, 5)
    weight, bias = encoder.text_projection.weight.numpy(), encoder.text_projection.bias.numpy()
    expected = text.numpy() / np.linalg.norm(text.numpy(), axis=1, keepdims=True) @ weight.T + bias
    sparse, _ = encoder(None, None, None, text=text)
    assert sparse.shape == (3, 1, 8)
    np.testing.assert_allclose(sparse[:, 0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder(None, None, None, text=7 * text)[0], sparse, rtol=1e-4, atol=1e-5)
    given, boxes = (POINTS["points"], POINTS["labels"]), torch.rand(3, 4) * 64
    for other in ((given, None, None), (None, boxes, None), (given, boxes, None)):
        together, alone = encoder(*other, text=text)[0], encoder(*other)[0]
        torch.testing.assert_close(together, torch.cat([alone, sparse], dim=1))


def test_words_change_the_answer_and_may_go_with_points(worded: Sam):
    features = worded.encode(torch.rand(1, 3, 64, 64))
    text = torch.randn(3, 12)
    alone, _ = worded.decode(features, text=text, multimask=False)
    assert alone.shape == (3, 1, 16, 16)
    assert not torch.allclose(alone[0], alone[1])
    both, _ = worded.decode(features, **POINTS, text=text, multimask=True)
    without, _ = worded.decode(features, **POINTS, multimask=True)
    assert not torch.allclose(both, without)
    # The quick way of the processor is the same function.
    quick, _ = ImageDecoder(worded, features).decode(**POINTS, text=text, multimask=True)
    torch.testing.assert_close(quick, both, rtol=1e-3, atol=1e-4)


def test_they_are_refused_where_they_do_not_fit(worded: Sam, any_sam: Sam):
    features = worded.encode(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match=r"has the shape \(3, 7\); expected \(B, 12\)"):
        worded.decode(features, text=torch.randn(3, 7), multimask=False)
    with pytest.raises(ValueError, match=r"words are of \[2, 3\] prompts"):
        worded.decode(features, **POINTS, text=torch.randn(2, 12), multimask=False)
    with pytest.raises(ValueError, match="this model takes no words"):
        any_sam.prompt_encoder.tokens(None, None, None, text=torch.randn(3, 12))


def test_models_without_words_have_the_keys_that_they_had(any_sam: Sam, worded: Sam):
    assert {key for key in any_sam.state_dict() if "text" in key} == set()
    assert "text_embed_dim" not in any_sam.config.to_dict()
    assert "text" not in repr(worded.config)  # of which the keys of cached embeddings are made
    assert set(worded.state_dict()) - set(any_sam.state_dict()) == {
        "prompt_encoder.text_projection.weight",
        "prompt_encoder.text_projection.bias",
    }


def test_models_with_words_come_back_from_their_file(worded: Sam, tmp_path: Path):
    save_sam(worded, tmp_path / "words.safetensors", dtype=None)
    loaded = load_sam(tmp_path / "words.safetensors")
    assert loaded.config == worded.config
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in worded.state_dict().items())


def test_they_are_recognised_from_their_keys(mini_config, tmp_path: Path):
    sam = build_sam(replace(mini_config, text_embed_dim=12))
    assert recognise(sam.state_dict()) == sam.config
    write_state(tmp_path / "plain.safetensors", sam.state_dict(), {})
    assert load_sam(tmp_path / "plain.safetensors").config.text_embed_dim == 12
