from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import tile_plan
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.widgets.asker import Asker, Question, candidate_steps
from napari_segany.widgets.drafts import ObjectPrompt, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.provenance import Asked

IMAGE = np.zeros((30, 30), np.uint8)
EMBEDDING = SimpleNamespace(image_shape=IMAGE.shape, number=1)


@pytest.fixture
def question(predictor):
    def make(prompts, refine=None):
        return Question(Plane((0, 1), ()), prompts, refine, predictor, EMBEDDING, lambda: IMAGE, None)

    return make


def test_candidates_keep_the_order_scores_and_logits_of_the_prediction(question):
    candidates = drain(candidate_steps(question(Prompts(((4, 5),), (1,)))))
    assert [candidate.predicted_iou for candidate in candidates] == pytest.approx([0.9, 0.8, 0.7])
    assert [candidate.stability_score for candidate in candidates] == pytest.approx([0.95, 0.85, 0.75])
    assert [int(candidate.mask.sum()) for candidate in candidates] == [9, 25, 49]
    assert [float(candidate.logits[0, 0]) for candidate in candidates] == pytest.approx([1.0, 1.1, 1.2])
    assert candidates[0].thumbnail.shape == (64, 64, 3)


def test_a_mask_alone_brings_its_box(question, predictor):
    mask = np.zeros((30, 30), bool)
    mask[4:8, 10:20] = True
    drain(candidate_steps(question(Prompts(mask=ObjectPrompt(mask, "drawn", 1)))))
    assert predictor.asked[0]["box"] == (3.5, 9.5, 7.5, 19.5)
    np.testing.assert_array_equal(predictor.asked[0]["mask"], mask)


def test_logits_go_before_the_mask_they_came_from(question, predictor):
    mask = ObjectPrompt(np.ones((30, 30), bool), "drawn", 1)
    logits = np.ones((4, 4), np.float32)
    drain(candidate_steps(question(Prompts(((4, 5),), (1,), mask=mask), refine=logits)))
    assert predictor.asked[0]["mask"] is logits
    assert predictor.asked[0]["box"] is None


def test_a_failure_is_handed_on_and_the_next_question_asked(question, predictor, by_hand):
    def fail(*args, **kwargs):
        raise RuntimeError("no memory")

    answers, failures = [], []
    asker = Asker(by_hand, lambda question, candidates: answers.append(len(candidates)), failures.append)
    predict, predictor.predict = predictor.predict, fail
    asker.ask(question(Prompts(((4, 5),), (1,))))
    by_hand.finish_all()
    assert [str(error) for error in failures] == ["no memory"]
    predictor.predict = predict
    asker.ask(question(Prompts(((4, 5),), (1,))))
    by_hand.finish_all()
    assert answers == [3]


def test_a_failure_of_an_old_question_is_not_told(question, predictor, by_hand):
    def fail(*args, **kwargs):
        asker.invalidate()
        raise RuntimeError("old")

    failures = []
    asker = Asker(by_hand, lambda *_: None, failures.append)
    predictor.predict = fail
    asker.ask(question(Prompts(((4, 5),), (1,))))
    by_hand.finish_all()
    assert failures == []
    asker.close()


@pytest.mark.parametrize("is_left", [True, False])
def test_a_plane_in_the_contrast_of_an_earlier_session_tells_how_far_it_is(question, predictor, by_hand, is_left):
    answers, prompts = [], Prompts(((4, 5),), (1,))
    earlier = (Asked({"points": [(4, 5)], "labels": [1]}, None, (0, 9)),)
    asker = Asker(by_hand, lambda question, candidates: answers.append(len(candidates)), answers.append)
    asker.ask(replace(question(prompts), again=earlier))
    (task,) = by_hand.running
    while asker.encoding != Progress(1, 2, "encoding"):
        task.step()
    if is_left:
        asker.invalidate()
    task.step()
    assert task.over == is_left, "what nobody waits for is encoded no further"
    task.finish()
    assert asker.encoding is None
    assert answers == ([] if is_left else [3])
    assert predictor.limits == ([] if is_left else [(0, 9)])


class Windows:
    """Questions about a large plane whose encoder is held; each click is asked in a window of its own."""

    HERE, THERE = (100, 100), (700, 700)

    def __init__(self, tiles):
        self.predictor = tiles.ComponentPredictor(side=128)
        pixels = np.zeros((1000, 1000), np.uint8)
        for row, col in (self.HERE, self.THERE):
            pixels[row - 5 : row + 5, col - 5 : col + 5] = 200
        image = LazyImage((pixels,), (slice(None), slice(None)))
        self.embedding = TiledEmbedding(image, tile_plan(image.shape, 128))

    def question(self, *points):
        prompts = Prompts(points, (1,) * len(points))
        return Question(Plane((0, 1), ()), prompts, None, self.predictor, self.embedding, lambda: None, (0, 255))

    def make_ready(self, point):
        drain(candidate_steps(self.question(point)))
        self.predictor.held = True


@pytest.fixture
def windows(tiles):
    return Windows(tiles)


@pytest.fixture
def asked(windows, by_hand):
    """An asker whose question has begun to encode a window; one elsewhere is ready."""
    answers = []
    windows.make_ready(windows.THERE)
    asker = Asker(by_hand, lambda question, candidates: answers.append(question.prompts), answers.append)
    asker.answers = answers
    asker.ask(windows.question(windows.HERE))
    (task,) = by_hand.running
    while asker.encoding != Progress(1, 2, "Computing the embedding of a part of the image"):
        task.step()
    assert len(windows.predictor.begun) == 2
    return asker


def test_a_newer_question_begins_after_one_step_of_the_window_that_is_encoded(asked, windows, by_hand):
    (task,) = by_hand.running
    asked.ask(windows.question(windows.THERE))
    assert asked.encoding is None
    assert by_hand.running == [task], "one question at a time"
    task.step()
    assert task.over
    (newer,) = by_hand.running
    newer.finish()  # held is held: were a window encoded, this would never end
    assert [prompts.points for prompts in asked.answers] == [(windows.THERE,)]
    assert len(windows.predictor.encoded) == 1


def test_a_window_that_was_left_is_gone_on_with(asked, windows, by_hand):
    asked.ask(windows.question(windows.THERE))
    while not asked.answers:
        by_hand.running[0].step()
    windows.predictor.held = False
    asked.ask(windows.question(windows.HERE, (102, 102)))
    by_hand.finish_all()
    assert len(asked.answers) == 2
    assert len(windows.predictor.begun) == len(windows.predictor.encoded) == 2


def test_a_window_that_nobody_waits_for_is_encoded_no_further(asked, windows, by_hand):
    (task,) = by_hand.running
    asked.invalidate()
    assert asked.encoding is None
    task.step()
    assert by_hand.running == []
    assert asked.answers == []
    windows.predictor.held = False
    asked.ask(windows.question(windows.HERE))
    by_hand.finish_all()
    assert [prompts.points for prompts in asked.answers] == [(windows.HERE,)]


def test_a_window_that_could_not_be_encoded_begins_anew(asked, windows, by_hand, monkeypatch):
    windows.predictor.held = False
    with monkeypatch.context() as patch:
        patch.setattr(windows.predictor, "encoded", None)  # as broken as can be
        by_hand.finish_all()
    (error,) = asked.answers
    assert isinstance(error, AttributeError)
    assert asked.encoding is None
    asked.ask(windows.question(windows.HERE))
    by_hand.finish_all()
    assert asked.answers[1].points == (windows.HERE,)
    assert len(windows.predictor.begun) == 3


def test_a_question_that_is_closed_says_nothing_any_more(asked, windows, by_hand):
    said = []
    asked._moved = lambda: said.append(asked.encoding)
    asked.close()
    assert said == []
    assert by_hand.running == []
