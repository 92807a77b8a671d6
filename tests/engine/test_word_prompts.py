"""Embeddings of words as prompts of a predictor: what they are, and what is said where they cannot be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_segany.engine.one_each import one_each_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_asking import ask
from napari_segany.model import build_sam


@pytest.fixture(scope="module")
def worded(predictor):
    return Predictor(build_sam(replace(predictor.sam.config, text_embed_dim=6)), device="cpu")


@pytest.fixture(scope="module")
def embedding(worded):
    return worded.encode(np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8))


def test_words_are_a_prompt(worded, embedding):
    text = np.random.default_rng(1).normal(size=(3, 6))
    one = worded.predict(embedding, text=text[0])
    assert one.masks.shape == (1, 40, 60)
    many = worded.predict(embedding, text=text, multimask=True)
    assert many.masks.shape == (3, 3, 40, 60)
    np.testing.assert_allclose(
        one.logits, worded.predict(embedding, text=text, multimask=False).logits[0], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(one.logits, worded.predict(embedding, text=5 * text[0]).logits, rtol=1e-3, atol=1e-4)
    points = np.full((3, 1, 2), 20.0)
    assert worded.predict(embedding, text=text, points=points).masks.shape == (3, 1, 40, 60)


def test_words_count_where_prompts_are_asked_together(worded, embedding):
    text = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    boxes = np.array([[5.0, 5.0, 30.0, 40.0]] * 3)
    batch = Prompt.checked(box=boxes, text=text, image_shape=(40, 60))
    asked = ask(worded, embedding, batch.items())
    records = drain(one_each_steps(worded, embedding, batch))
    for number in range(3):
        alone = worded.predict(embedding, box=boxes[number], text=text[number])
        np.testing.assert_allclose(asked[number].logits, alone.logits[0], atol=1e-4)
        assert records[number].predicted_iou == pytest.approx(float(alone.predicted_iou[0]), abs=1e-5)
        assert records[number].prompt["text"] == "an embedding"
    assert not np.allclose(asked[0].logits, asked[1].logits, atol=1e-3)
    of_words = Prompt.checked(text=text, image_shape=(40, 60)).items()
    assert len(ask(worded, embedding, of_words)) == 3


def test_what_cannot_be_is_refused_in_one_sentence(worded, embedding, predictor):
    with pytest.raises(
        ValueError, match=r"text is the words 'a cell'; give their embedding .* for example text=clip.words"
    ):
        worded.predict(embedding, text="a cell")
    with pytest.raises(ValueError, match=r"has 5 numbers and .* was trained with those of a CLIP that gives 6"):
        worded.predict(embedding, text=np.ones(5))
    with pytest.raises(ValueError, match=r"none of them zero"):
        worded.predict(embedding, text=np.zeros(6))
    with pytest.raises(ValueError, match=r"different batch axes \(points of 3, text of 2\)"):
        worded.predict(embedding, text=np.ones((2, 6)), points=np.full((3, 1, 2), 20.0))
    plain = predictor.encode(np.zeros((40, 60), np.uint8))
    with pytest.raises(ValueError, match="takes points, boxes and masks alone; give a model trained with text_share"):
        predictor.predict(plain, text=np.ones(6))


def test_a_record_tells_that_there_were_words():
    prompt = Prompt.checked([(1, 2)], text=np.ones(4), image_shape=(8, 8))
    assert prompt.to_dict() == {"points": [[1.0, 2.0]], "labels": [1], "text": "an embedding"}
    assert not prompt.is_ambiguous
