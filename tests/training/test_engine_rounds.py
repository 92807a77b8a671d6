"""Teaching the model from the data engine: which masks count, what is kept, and the simulated annotator by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.lessons import Lessons, read_lessons, write_lessons
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.simulated_annotator import Patience, annotate_steps, clicks_needed
from napari_segany.formats.record import MaskRecord
from napari_segany.training import engine_rounds
from napari_segany.training.trainer import TrainingResult
from napari_segany.training.validation import ValidationResult


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return DataEngine(tmp_path / "images", tmp_path / "work")


def square(corner, side=8):
    mask = np.zeros((20, 30), bool)
    mask[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = True
    return mask


def test_training_sees_what_a_person_saw_and_the_better_weights_are_kept(engine, tmp_path, monkeypatch):
    seen, results = [], []

    def train(config, images, output, *, init, device, measure_on):
        yield Progress(0, 1, "Training")
        assert len(measure_on) == 1
        seen.extend(image.read()[1][0] for image in images)
        return results.pop()

    def came(before, after, step):
        result = (ValidationResult(value, value, value, 0.1) for value in (after, before))
        return TrainingResult(tmp_path / "weights.safetensors", step, *result, ())

    monkeypatch.setattr(engine_rounds, "train", train)
    for name in ("a", "b"):
        masks = [MaskRecord.from_mask(square((2, 2))), MaskRecord.from_mask(square((2, 15)))]
        engine.add(name, [EngineMask(masks[0], Origin("assisted")), EngineMask(masks[1], Origin("automatic"))])
    run = {"output": tmp_path / "run", "init": "light", "config": object()}
    with pytest.raises(ValueError, match="0 images are done"):
        drain(engine_rounds.retrain_steps(engine, **run))
    engine.finish("a")
    engine.finish("b")
    results[:] = [came(0.7, 0.8, 100), came(0.7, 0.7, 0)]
    assert drain(engine_rounds.retrain_steps(engine, **run)).weights is None
    assert read_lessons(engine.work).learned == ()
    assert drain(engine_rounds.retrain_steps(engine, **run)).weights == tmp_path / "weights.safetensors"
    np.testing.assert_array_equal(seen[0] > 0, square((2, 2)))
    assert set(read_lessons(engine.work).learned) == {"a", "b"} - set(read_lessons(engine.work).aside)
    assert (engine.work / read_lessons(engine.work).weights) == tmp_path / "weights.safetensors"


def test_images_that_were_learned_from_are_never_measured_on(tmp_path):
    one = Lessons().for_round(["a", "b", "c"], 0.2)
    assert len(one.aside) == 1
    learned = tuple(name for name in "abc" if name not in one.aside)
    write_lessons(tmp_path, replace(one, learned=learned, weights="round_0/weights.safetensors"))
    before = read_lessons(tmp_path)
    assert before == replace(one, learned=learned, weights="round_0/weights.safetensors")
    names = [f"{number:02}" for number in range(7)]
    after = before.for_round([*"abc", *names], 0.2)
    assert after.aside[:1] == one.aside
    assert len(after.aside) == 2
    assert not set(after.aside) & set(learned)
    with pytest.raises(ValueError, match="learned from all images"):
        before.for_round(list(learned), 0.2)
    with pytest.raises(ValueError, match="kept to measure on"):
        before.for_round(list(one.aside), 0.2)
    (tmp_path / "lessons.json").write_text('{"aside": 3}')
    with pytest.raises(ValueError, match="lists of names"):
        read_lessons(tmp_path)


class Slow:
    """Every click adds four rows of the object."""

    def encode_steps(self, image):
        yield Progress(0, 1, "Computing")
        return image

    def predict(self, embedding, *, points, labels, mask):
        assert (mask is None) == (len(points) == 1)
        whole = embedding == embedding[points[0]]
        rows = np.flatnonzero(whole.any(axis=1))[: 4 * len(points)]
        answer = whole & np.isin(np.arange(len(whole)), rows)[:, None]
        masks = np.stack([np.zeros_like(answer), answer])
        scores = np.array([0.9, 0.5], np.float32)
        return Prediction(masks, scores, scores, np.zeros((2, 4, 4), np.float32))


def test_clicks_by_hand():
    labels = np.zeros((20, 30), int)
    labels[2:10, 2:10] = 1  # eight rows: half of it at the first click, all at the second
    labels[12:20, 20:22] = 2  # 16 pixels: passed over
    patience = Patience(iou=0.9, clicks=8, least_area=30)
    assert drain(annotate_steps(Slow(), labels, labels, patience)) == {1: 2}
    assert clicks_needed(Slow(), labels, labels == 1, Patience(iou=0.5)) == 1
    assert clicks_needed(Slow(), labels, labels == 1, Patience(iou=0.9, clicks=1)) == 1
