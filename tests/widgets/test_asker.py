from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.widgets.asker import Asker, Question, candidate_steps
from napari_segany.widgets.drafts import ObjectPrompt, Prompts
from napari_segany.widgets.geometry import Plane

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
        raise RuntimeError("old")

    failures = []
    asker = Asker(by_hand, lambda *_: None, failures.append)
    predictor.predict = fail
    asker.ask(question(Prompts(((4, 5),), (1,))))
    asker.invalidate()
    by_hand.finish_all()
    assert failures == []
    asker.close()
