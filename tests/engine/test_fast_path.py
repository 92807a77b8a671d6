"""Where the engine takes the mask decoder's fast path, and how long it keeps what it made ready."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.predictor import Predictor
from napari_segany.model import SamConfig, TinyViTConfig, build_sam, image_decoder

CONFIG = SamConfig(
    image_size=64,
    encoder=TinyViTConfig(
        embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4), window_sizes=(4, 4, 4, 4)
    ),
    decoder_mlp_dim=64,
)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(build_sam(CONFIG), device="cpu")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)


def test_an_image_is_made_ready_once_and_only_the_latest_is_kept(predictor, image, monkeypatch):
    shared, calls = image_decoder.share_image, []
    monkeypatch.setattr(image_decoder, "share_image", lambda *args: calls.append(1) or shared(*args))
    first, second = predictor.encode(image), predictor.encode(image[::-1])
    for _ in range(3):
        predictor.predict(first, points=[(10, 20)], labels=[1])
    assert len(calls) == 1
    predictor.predict(second, points=[(10, 20)], labels=[1])
    predictor.predict(first, points=[(10, 20)], labels=[1])
    assert len(calls) == 3


def test_what_was_made_ready_goes_with_the_image(predictor, image):
    embedding = predictor.encode(image)
    decoder = weakref.ref(predictor.decoder(embedding))
    assert decoder() is predictor.decoder(embedding)
    del embedding
    gc.collect()
    assert decoder() is None


def test_rejected_masks_are_not_drawn_and_the_others_are_the_same(predictor, image, monkeypatch):
    everything = {
        "points_per_side": 4,
        "stability_score_thresh": 0.0,
        "box_nms_thresh": 1.0,
        "max_mask_area_fraction": None,
    }
    all_of_them = AutomaticMaskGenerator(predictor, **everything, pred_iou_thresh=0.0).generate(image)
    threshold = float(np.median([record.predicted_iou for record in all_of_them]))
    assert threshold > 0
    drawn, draw = [], image_decoder.draw_masks

    def counted(*args):
        drawn.append(len(args[2]))
        return draw(*args)

    monkeypatch.setattr(image_decoder, "draw_masks", counted)
    good = AutomaticMaskGenerator(predictor, **everything, pred_iou_thresh=threshold).generate(image)
    expected = [record for record in all_of_them if record.predicted_iou > threshold]
    assert 0 < len(expected) < len(all_of_them)
    assert sum(drawn) == len(expected)
    assert [record.rle for record in good] == [record.rle for record in expected]
    assert [record.predicted_iou for record in good] == [record.predicted_iou for record in expected]
