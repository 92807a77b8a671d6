from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_segany.engine import automatic as module
from napari_segany.engine.automatic import AutomaticMaskGenerator, AutomaticProgress, refilter
from napari_segany.engine.automatic_settings import AutomaticSettings
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


def key_of(record):
    return record.rle, round(record.predicted_iou, 6), record.stability_score, record.crop_box


@pytest.mark.parametrize(
    "changes",
    [
        {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.82},
        {"box_nms_thresh": 0.3, "ranking": "mean"},
        {"max_mask_area_fraction": 0.02, "min_mask_region_area": 40},
    ],
)
def test_filtering_again_equals_a_fresh_run(trained, scene, candidates, changes):
    settings = AutomaticSettings(**LOOSE).replaced(**changes)
    again = refilter(candidates, settings)
    fresh = AutomaticMaskGenerator(trained, settings).generate(scene)
    assert [key_of(record) for record in again] == [key_of(record) for record in fresh]
    assert fresh


def test_all_answers_are_kept_for_filtering(candidates):
    assert len(candidates) == 3 * 64
    for number in range(0, len(candidates), 17):
        lengths = candidates.run_lengths(number)
        assert lengths.area == candidates.areas[number]
        assert lengths.bbox == tuple(candidates.boxes[number])


def test_progress_counts_points_crops_and_masks_and_closing_stops_the_model(trained, scene, monkeypatch):
    calls = []
    decode = module._decoded
    monkeypatch.setattr(module, "_decoded", lambda *args: calls.append(1) or decode(*args))
    steps = AutomaticMaskGenerator(trained, points_per_batch=4, **LOOSE).run(scene)
    for progress in steps:
        if isinstance(progress, AutomaticProgress) and progress.done >= 20:
            break
    assert (progress.done, progress.total, progress.crop, progress.crops) == (20, 64, 1, 1)
    assert progress.may_be_skipped, "a later step tells all of it"
    steps.close()
    assert len(calls) == 5
    assert list(steps) == []


def test_a_region_is_all_that_is_asked_and_labelled(trained, scene, monkeypatch):
    asked = []
    decode = module._decoded
    monkeypatch.setattr(module, "_decoded", lambda *args: asked.extend(args[2]) or decode(*args))
    region = np.zeros(scene.shape[:2], bool)
    region[:, :240] = True
    records = AutomaticMaskGenerator(trained, **LOOSE).generate(scene, region=region)
    assert records
    assert len(asked) == 32
    assert all(region[round(row), round(col)] for row, col in asked)
    assert not any((record.mask & ~region).any() for record in records)


def test_closing_comes_before_the_region_is_read(predictor):
    steps = AutomaticMaskGenerator(predictor).run(np.zeros((64, 64), np.uint8), region="no region")
    next(steps)
    steps.close()
    with pytest.raises(ValueError, match="give pixels"):
        AutomaticMaskGenerator(predictor).generate(np.zeros((64, 64), np.uint8), region="no region")


def test_a_region_between_the_points_is_refused_with_the_remedy(predictor):
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(ValueError, match="raise points_per_side"):
        AutomaticMaskGenerator(predictor, points_per_side=2).generate(image, region=(0, 0, 3, 3))


def test_an_image_without_data_has_no_masks(predictor):
    assert AutomaticMaskGenerator(predictor, points_per_side=2).generate(np.full((40, 40), np.nan)) == []


def test_all_crops_share_one_intensity_mapping_and_are_cut_from_the_image(predictor, monkeypatch):
    seen = []
    encode = predictor.encode_steps

    def watched(image, *, contrast_limits=None):
        seen.append((image, contrast_limits))
        return encode(image, contrast_limits=contrast_limits)

    monkeypatch.setattr(predictor, "encode_steps", watched)
    image = np.random.default_rng(0).integers(0, 4000, (60, 90)).astype(np.uint16)
    settings = AutomaticSettings(points_per_side=2, crop_n_layers=1)
    AutomaticMaskGenerator(predictor, settings).generate(image)
    assert len(seen) == 5
    assert len({limits for _, limits in seen}) == 1
    assert all(np.shares_memory(part, image) for part, _ in seen)


def test_an_unknown_setting_is_refused(predictor):
    with pytest.raises(ValueError, match="points_pr_side"):
        AutomaticMaskGenerator(predictor, points_pr_side=3)


def test_a_single_mask_is_what_a_point_gets_that_is_not_ambiguous(trained, scene):
    keep_all = {
        "pred_iou_thresh": 0,
        "stability_score_thresh": 0,
        "box_nms_thresh": 1,
        "max_mask_area_fraction": None,
    }
    found = AutomaticMaskGenerator(trained, points_per_side=2, single_mask=True, **keep_all).generate(scene)
    assert len(found) == 4
    embedding = trained.encode(scene)
    for record in found:
        answer = trained.predict(embedding, points=record.prompt["points"], multimask=False)
        assert record.predicted_iou == pytest.approx(float(answer.predicted_iou[0]), abs=1e-4)
        assert np.count_nonzero(record.mask != answer.masks[0]) < 5
