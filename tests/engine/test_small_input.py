"""Models that see small images as they are: their input is no larger than the image needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.image import input_shape
from napari_segany.engine.predictor import Predictor
from napari_segany.model import PyramidConfig, SamConfig, build_sam

SHAPE = SamConfig(
    image_size=512,
    encoder=PyramidConfig(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), fine_channels=(8, 16)),
    decoder_mlp_dim=64,
    max_enlargement=1.5,
)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Predictor(build_sam(SHAPE), device="cpu")


@pytest.mark.parametrize(
    ("image_shape", "expected"),
    [
        ((100, 40), (150, 60)),
        ((341, 300), (512, 450)),
        ((342, 10), (512, 15)),
        ((2000, 1000), (512, 256)),
        ((1, 1), (2, 2)),
    ],
)
def test_small_images_are_enlarged_by_the_limit_and_no_more(image_shape, expected):
    assert input_shape(image_shape, 512, 1.5) == expected


def test_the_input_is_padded_to_the_coarsest_stride_only(predictor: Predictor):
    embedding = predictor.encode(np.zeros((40, 100), np.uint8))
    assert embedding.input_shape == (60, 150)
    assert embedding.features.shape == (1, 256, 4, 10)  # 64 x 160 px
    assert embedding.logits_shape == (16, 40)
    assert predictor.encode(np.zeros((900, 1000), np.uint8)).features.shape == (1, 256, 30, 32)


def test_masks_boxes_and_own_logits_fit_such_an_image(predictor: Predictor):
    image = np.random.default_rng(0).integers(0, 255, (40, 100, 3), np.uint8)
    embedding = predictor.encode(image)
    first = predictor.predict(embedding, points=[(20, 70)], labels=[1])
    assert first.masks.shape == (3, 40, 100)
    assert first.logits.shape == (3, 16, 40)
    again = predictor.predict(embedding, points=[(20, 70)], labels=[1], mask=first.logits[0])
    assert again.masks.shape == (1, 40, 100)
    drawn = np.zeros((40, 100), bool)
    drawn[10:30, 60:90] = True
    assert predictor.predict(embedding, box=(10, 60, 29, 89), mask=drawn).masks.shape == (1, 40, 100)
    with pytest.raises(ValueError, match=r"this model's are \(16, 40\)"):
        predictor.predict(embedding, mask=np.zeros((128, 128), np.float32))


def test_everything_covers_such_an_image(predictor: Predictor):
    image = np.random.default_rng(0).integers(0, 255, (40, 100), np.uint8)
    generator = AutomaticMaskGenerator(
        predictor, points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None
    )
    assert all(record.mask.shape == (40, 100) for record in generator.generate(image))


@pytest.mark.parametrize(
    ("image_shape", "expected"),
    [
        ((100, 40), (200, 80)),
        ((60, 150), (120, 300)),
        ((200, 100), (300, 150)),
        ((300, 200), (300, 200)),
        ((400, 9), (400, 9)),
    ],
)
def test_enlarging_ends_at_the_side_that_a_model_names(image_shape, expected):
    shape = replace(SHAPE, max_enlargement=2.0, enlarged_side=300)
    assert input_shape(image_shape, 512, shape.enlargement_limit(image_shape)) == expected
    with torch.random.fork_rng():
        predictor = Predictor(build_sam(shape), device="cpu")
    assert predictor.encode(np.zeros(image_shape, np.uint8)).input_shape == expected
    assert replace(shape, max_enlargement=None).enlargement_limit(image_shape) is None
