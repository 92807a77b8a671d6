"""The real library on a CLIP of random weights: called as it wants it, and looking only where it is told to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiny_clip import write_tiny_clip

from napari_segany.engine.batch.model_source import LazyPredictor, NamedModel
from napari_segany.engine.clip import Clip, NotHereError, TextModelError
from napari_segany.engine.progress import drain
from napari_segany.engine.text_query import TextQuery
from napari_segany.engine.text_ranking import text_scores
from napari_segany.formats.record import MaskRecord

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def clip(folder):
    return Clip(str(folder))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    inside = np.zeros((3, 32, 32), bool)
    inside[0, 3:7, 3:20] = inside[1, 30:, 30:] = True  # three patches in a row, a corner, and nothing
    return rng.integers(0, 255, (3, 32, 32, 3), np.uint8), inside


def test_words_and_masks_share_a_space(clip):
    words = clip.words(["a nucleus", "background"])
    assert words.shape == (2, clip.width)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1, rtol=1e-5)
    mask = np.zeros((40, 60), bool)
    mask[5:15, 5:15] = True
    image = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)
    scores = drain(text_scores(clip, image, [MaskRecord.from_mask(mask)], TextQuery(("a nucleus",))))
    assert 0 < scores[0] < 1


def test_in_the_last_layer_the_class_token_sees_the_patches_of_the_mask_alone(clip, pictures):
    images, inside = pictures
    found = clip.objects(images, inside)
    # The same in numpy, from what the library hands to its last layer on.
    model = clip._clip
    pixels = clip._pixels(images=list(images), return_tensors="pt")["pixel_values"]
    kept = []
    hook = model.vision_model.encoder.layers[-1].register_forward_pre_hook(lambda layer, given: kept.append(given[0]))
    with torch.inference_mode():
        model.vision_model(pixels)
    hook.remove()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    for number in range(3):
        hit = inside[number].reshape(4, 8, 4, 8).any(axis=(1, 3)).ravel()
        seen = np.flatnonzero(hit) + 1 if hit.any() else np.arange(1, 17)
        np.testing.assert_allclose(found[number], _last_layer(kept[0][number].numpy(), seen, weights), atol=2e-5)
    everywhere = clip.objects(images, np.ones_like(inside))
    np.testing.assert_allclose(everywhere[2], found[2], atol=1e-6)
    assert np.abs(everywhere[:2] - found[:2]).max() > 0.01


def _last_layer(hidden, seen, weights, heads=4):
    """Return the vector of length 1 of a picture whose tokens are hidden (17, 64)."""

    def linear(x, name):
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    def normed(x, name):
        x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    layer = "vision_model.encoder.layers.1"
    first, token = normed(hidden, f"{layer}.layer_norm1"), hidden[0]
    query = linear(first[0], f"{layer}.self_attn.q_proj").reshape(heads, -1)
    key, value = (
        linear(first[seen], f"{layer}.self_attn.{name}_proj").reshape(len(seen), heads, -1) for name in "kv"
    )
    read = []
    for head in range(heads):
        alike = np.exp(key[:, head] @ query[head] / np.sqrt(query.shape[1]))
        read.append(alike / alike.sum() @ value[:, head])
    token = token + linear(np.concatenate(read), f"{layer}.self_attn.out_proj")
    inner = linear(normed(token, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
    token = token + linear(inner / (1 + np.exp(-1.702 * inner)), f"{layer}.mlp.fc2")
    vector = linear(normed(token, "vision_model.post_layernorm"), "visual_projection")
    return vector / np.linalg.norm(vector)


def test_what_is_not_here_is_told(folder):
    with pytest.raises(TextModelError, match="is no folder with a CLIP; on a computer"):
        Clip(str(folder / "missing"))
    with pytest.raises(NotHereError, match="'nobody/nothing' is not on this computer yet; ask for it"):
        Clip("nobody/nothing")


def test_a_batch_loads_its_clip_once(folder):
    models = LazyPredictor(NamedModel())
    assert models.clip(str(folder)) is models.clip(str(folder))
    assert not models.is_loaded
