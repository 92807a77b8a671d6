"""Records of prompts, whether an image has one embedding or is asked window by window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.encoding import encoding_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.prompted_answers import answer_steps, each_steps, feature_steps
from napari_segany.engine.prompts import Prompt
from napari_segany.formats.geo_prompts import GeoPrompt
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.rle import RunLengths

SHAPE = (100, 120)
NOISE = np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


def embeddings(predictor):
    """The same image with one embedding, and as one whose only window is all of it."""
    return [drain(encoding_steps(predictor, image, None)) for image in (NOISE, LazyImage((NOISE,)))]


@pytest.mark.parametrize("multimask", [None, True, False])
def test_an_image_of_one_window_is_answered_as_a_whole_one(predictor, multimask):
    prompt = Prompt.checked([(40, 50), (42, 51)], [1, 0], (20, 30, 60, 80), image_shape=SHAPE)
    whole, windows = (drain(answer_steps(predictor, one, prompt, multimask)) for one in embeddings(predictor))
    assert len(whole) == (3 if multimask else 1)
    assert windows == whole


def test_each_of_a_batch_is_answered_in_its_order(predictor):
    points = np.array([[10, 20], [50, 60], [90, 110]], float)
    prompt = Prompt.checked(points[:, None], image_shape=SHAPE)
    notes = []
    whole, windows = (drain(each_steps(predictor, one, prompt), notes.append) for one in embeddings(predictor))
    assert [record.prompt for record in windows] == [record.prompt for record in whole]
    for mine, theirs in zip(windows, whole, strict=True):
        assert (mine.mask != theirs.mask).mean() < 2e-3
    assert [note.done for note in notes[-6:]] == sorted(note.done for note in notes[-6:])
    assert {note.total for note in notes if note.done} == {3}


def test_features_keep_their_attributes_and_their_polygons(predictor):
    mask = np.zeros(SHAPE, bool)
    mask[30:50, 40:70] = True
    prompts = [
        GeoPrompt(1, np.array([[10.0, 20.0]]), np.array([1]), attributes={"name": "Ada"}),
        GeoPrompt(2, box=(29.5, 39.5, 49.5, 69.5), mask=RunLengths.from_mask(mask), attributes={"name": None}),
    ]
    whole, windows = (drain(feature_steps(predictor, one, prompts)) for one in embeddings(predictor))
    assert windows == whole
    assert [record.prompt["attributes"] for record in windows] == [{"name": "Ada"}, {"name": None}]


def test_what_windows_cannot_be_asked_is_refused(predictor):
    _, windows = embeddings(predictor)
    for given in ({"text": np.ones(8)}, {"mask": np.ones(SHAPE, bool)}):
        prompt = Prompt.checked(box=(1, 1, 9, 9), image_shape=SHAPE, **given)
        with pytest.raises(ValueError, match="leave out words and masks"):
            drain(answer_steps(predictor, windows, prompt))
