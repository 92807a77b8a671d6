from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_estimate import Questions, Speed, count_questions, point_seconds_steps
from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import drain

SHAPE = (60, 90)
IMAGE = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)


def test_points_and_crops_are_those_that_are_asked(predictor):
    settings = AutomaticSettings(points_per_side=4, crop_n_layers=1, crop_n_points_downscale_factor=2)
    region = np.zeros(SHAPE, bool)
    region[:30, :45] = True
    steps = AutomaticMaskGenerator(predictor, settings).candidate_steps(IMAGE, region=region)
    seen = []
    candidates = drain(steps, seen.append)
    asked = count_questions(SHAPE, settings, region)
    assert seen[-1].total == asked.points == len({(item.crop, item.point) for item in candidates.items})
    assert len(candidates.crops) == asked.crops


def test_presets_cost_what_their_notes_say():
    points = {one.name: count_questions((512, 512), one.settings).points for one in PRESETS}
    assert points["sparse"] == points["natural"] / 4
    assert points["fields"] == 2 * points["natural"]
    assert points["dense"] == pytest.approx(3 * points["natural"], rel=0.1)


def test_seconds_add_up():
    speed = Speed(encode_s=2.0, point_s=0.1)
    assert speed.seconds(Questions(points=30, crops=5)) == pytest.approx(13)
    assert speed.seconds(Questions(points=30, crops=5), encoded=1) == pytest.approx(11)
    assert speed.seconds(Questions(points=0, crops=1), encoded=3) == 0


def test_a_point_is_timed_without_the_first_call(predictor):
    ticks = itertools.chain([0.0, 100.0], [200.0, 216.0])  # the first call takes 100 s, the eight points 16 s
    embedding = predictor.encode(IMAGE)
    steps = point_seconds_steps(predictor, IMAGE, embedding, AutomaticSettings(), lambda: next(ticks))
    assert drain(steps) == pytest.approx(2.0)


def test_a_given_embedding_changes_nothing_but_the_encoding(predictor):
    generator = AutomaticMaskGenerator(predictor, points_per_side=3)
    embedding = predictor.encode(IMAGE)
    given = drain(generator.candidate_steps(IMAGE, embedding=embedding))
    encoded = drain(generator.candidate_steps(IMAGE))
    np.testing.assert_array_equal(given.predicted_iou, encoded.predicted_iou)
    np.testing.assert_array_equal(given.boxes, encoded.boxes)
    with pytest.raises(ValueError, match="encode this image"):
        drain(generator.candidate_steps(IMAGE, contrast_limits=(0, 9), embedding=embedding))
