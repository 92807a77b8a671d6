from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segany.engine import cache_key as module
from napari_segany.engine.cache import key_steps
from napari_segany.engine.cache_key import CacheKey, checked_region, image_digest_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import SamConfig, ViTConfig, build_sam

KEY = CacheKey("a" * 32, (0.0, 255.0), None, "b" * 32)
IMAGE = np.random.default_rng(0).integers(0, 4000, (30, 40)).astype(np.uint16)


def digest(image) -> str:
    return drain(image_digest_steps(image))


def key_of(predictor, image=IMAGE, limits=None, region=None) -> str:
    return drain(key_steps(predictor, image, limits, region))[0].digest


@pytest.mark.parametrize(
    "change",
    [
        {"image": "c" * 32},
        {"contrast_limits": (0.0, 254.999999)},
        {"contrast_limits": (0.5, 255.0)},
        {"region": (0, 0, 10, 10)},
        {"model": "c" * 32},
    ],
)
def test_every_part_counts(change):
    assert replace(KEY, **change).digest != KEY.digest
    assert replace(KEY).digest == KEY.digest


def test_another_recipe_makes_everything_anew(monkeypatch):
    before = KEY.digest
    monkeypatch.setattr(module, "RECIPE", module.RECIPE + 1)
    assert KEY.digest != before


def test_one_pixel_the_shape_and_the_type_count():
    changed = IMAGE.copy()
    changed[17, 3] += 1
    others = [changed, IMAGE.reshape(40, 30), IMAGE.astype(np.int32), IMAGE[:-1], IMAGE.T]
    assert len({digest(IMAGE), *(digest(other) for other in others)}) == 1 + len(others)


def test_layout_and_byte_order_do_not_count(monkeypatch):
    monkeypatch.setattr(module, "_STRIP", 7)
    in_strips = digest(IMAGE)
    monkeypatch.undo()
    wide = np.zeros((60, 80), np.uint16)
    wide[::2, ::2] = IMAGE
    for same in (np.asfortranarray(IMAGE), wide[::2, ::2], IMAGE.astype(">u2")):
        assert digest(same) == digest(IMAGE) == in_strips


def test_the_limits_are_those_that_apply(predictor):
    rgb = np.random.default_rng(1).integers(0, 255, (20, 20, 4)).astype(np.uint8)
    assert key_of(predictor, rgb) == key_of(predictor, rgb, (0, 255))
    assert key_of(predictor, rgb) == key_of(predictor, rgb[..., :3]), "the model does not see alpha"
    assert key_of(predictor) != key_of(predictor, limits=(0, 4000))


def test_a_part_has_the_limits_of_the_whole_image(predictor):
    key, pixels = drain(key_steps(predictor, IMAGE, None, (5, 6, 15, 26)))
    whole, _ = drain(key_steps(predictor, IMAGE))
    np.testing.assert_array_equal(pixels, IMAGE[5:15, 6:26])
    assert key.contrast_limits == whole.contrast_limits
    assert key.digest != whole.digest
    assert key_of(predictor, region=(0, 0, 30, 40)) == whole.digest, "all of it is no part"


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 31, 5), (0, 20, 5, 10)])
def test_parts_outside_are_refused(region):
    with pytest.raises(ValueError, match="30 x 40"):
        checked_region(region, (30, 40))


def test_weights_and_shape_of_the_model_count():
    encoder = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,))
    sam = build_sam(SamConfig(image_size=64, encoder=encoder))
    same = build_sam(sam.config)
    same.load_state_dict(sam.state_dict())
    assert key_of(Predictor(sam, device="cpu")) == key_of(Predictor(same, device="cpu"))
    with torch.no_grad():
        next(iter(same.mask_decoder.parameters())).view(-1)[-1] += 1e-6
    assert key_of(Predictor(sam, device="cpu")) != key_of(Predictor(same, device="cpu"))
    keys = {key_of(Predictor(sam, device="cpu"))}
    for change in ({"max_enlargement": 1.5}, {"max_enlargement": 1.5, "enlarged_side": 32}):
        enlarged = build_sam(replace(sam.config, **change))
        enlarged.load_state_dict(sam.state_dict())
        keys.add(key_of(Predictor(enlarged, device="cpu")))
    assert len(keys) == 3
