from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch

from napari_segany.engine import automatic as module
from napari_segany.engine.automatic import AutomaticMaskGenerator, AutomaticProgress, refilter
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.filtering import chosen
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.formats.rle import RunLengths
from napari_segany.model import build_sam


@pytest.fixture(scope="module")
def trained(mini_config, parity):
    """`mini` with trained weights: real, localized masks."""
    sam = build_sam(mini_config)
    weights = np.load(parity / "mini_trained.npz")
    sam.load_state_dict({key: torch.from_numpy(weights[key].astype(np.float32)) for key in weights.files})
    return Predictor(sam, device="cpu")


@pytest.fixture(scope="module")
def scenes(parity):
    return dict(np.load(parity / "amg.npz"))


@pytest.fixture(scope="module")
def scene(scenes):
    return scenes["full/image"]


LOOSE = {"points_per_side": 8, "pred_iou_thresh": 0.7, "stability_score_thresh": 0.8}


@pytest.fixture(scope="module")
def candidates(trained, scene):
    return drain(AutomaticMaskGenerator(trained, **LOOSE).candidate_steps(scene))


@pytest.mark.parametrize("name", ["full", "crops", "regions"])
def test_the_masks_are_those_of_the_published_generator(trained, scenes, name):
    parameters = json.loads(str(scenes[f"{name}/parameters"]))
    expected = json.loads(str(scenes[f"{name}/masks"]))
    generator = AutomaticMaskGenerator(trained, max_mask_area_fraction=None, **parameters)
    records = generator.generate(scenes[f"{name}/image"])
    assert len(records) == len(expected)
    masks = [record.mask for record in records]
    matched = set()
    for reference in expected:
        truth = RunLengths.from_dict(reference["rle"]).decode()
        overlaps = [(mask & truth).sum() / (mask | truth).sum() for mask in masks]
        number = int(np.argmax(overlaps))
        record = records[number]
        matched.add(number)
        assert overlaps[number] > 0.99
        x, y, width, height = reference["bbox"]  # between the first and the last pixel
        np.testing.assert_allclose(record.bbox, (y, x, y + height + 1, x + width + 1), atol=1)
        assert record.predicted_iou == pytest.approx(reference["predicted_iou"], abs=1e-3)
        assert record.stability_score == pytest.approx(reference["stability_score"], abs=1e-3)
        np.testing.assert_allclose(record.prompt["points"][0][::-1], reference["point_coords"][0])
        left, top, crop_width, crop_height = reference["crop_box"]
        assert record.crop_box == (top, left, top + crop_height, left + crop_width)
    assert len(matched) == len(expected)
