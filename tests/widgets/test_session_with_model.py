"""The session with the engine's own predictor and a small model of random weights: both speak the same language."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segany.engine.predictor import Predictor
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

TINY = SamConfig(
    image_size=128,
    encoder=ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=4, global_attn_indexes=(1,)),
)


@pytest.fixture(scope="module")
def real_predictor():
    torch.manual_seed(0)
    return Predictor(build_sam(TINY), device="cpu")


@pytest.fixture
def real_session(viewer, real_predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: real_predictor)
    image = np.random.default_rng(0).normal(500, 100, (3, 60, 90)).astype(np.float32)
    session.choose_image(viewer.add_image(image, contrast_limits=(300, 700)))
    return session


def test_candidates_are_the_predictors_answer(real_session, real_predictor):
    real_session.add_point((20, 30))
    plane = np.asarray(real_session.image.data[real_session.plane.index[0]])
    expected = real_predictor.predict(
        real_predictor.encode(plane, contrast_limits=(300, 700)), points=[(20, 30)], labels=[1]
    )
    assert len(real_session.candidates) == 3
    for rank, candidate in enumerate(real_session.candidates):
        np.testing.assert_array_equal(candidate.mask, expected.masks[rank])
        assert candidate.predicted_iou == pytest.approx(float(expected.predicted_iou[rank]), rel=1e-4)
        assert candidate.stability_score == pytest.approx(float(expected.stability_score[rank]), rel=1e-4)


def test_refining_is_the_predictors_answer_with_the_chosen_logits(real_session, real_predictor):
    real_session.add_point((20, 30))
    real_session.next_candidate()
    logits = real_session.candidates[1].logits
    real_session.add_point((40, 60), label=0)
    plane = np.asarray(real_session.image.data[real_session.plane.index[0]])
    embedding = real_predictor.encode(plane, contrast_limits=(300, 700))
    expected = real_predictor.predict(embedding, points=[(20, 30), (40, 60)], labels=[1, 0], mask=logits)
    (candidate,) = real_session.candidates
    np.testing.assert_array_equal(candidate.mask, expected.masks[0])


def test_boxes_objects_and_their_mixture_are_understood(real_session, viewer):
    real_session.add_box((-5, 10, 40, 50))
    assert len(real_session.candidates) == 1
    labels = np.zeros((3, 60, 90), int)
    labels[1, 10:30, 20:50] = 2
    real_session.use_object(viewer.add_labels(labels), 2)
    assert len(real_session.candidates) == 1
    real_session.add_point((20, 30))
    assert real_session.status.startswith("N accepts")
    real_session.clear_prompts()
    real_session.use_object(viewer.layers["labels"], 2)
    assert len(real_session.candidates) == 1, "an object alone is a prompt, too"
