from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.prediction import Prediction
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.records import records_of

SHAPE = (6, 9)


def prediction_of(count: tuple[int, ...]) -> Prediction:
    dice = np.random.default_rng(0)
    return Prediction(
        masks=dice.random((*count, *SHAPE)) > 0.5,
        predicted_iou=np.sort(dice.random(count))[..., ::-1].astype(np.float32),
        stability_score=dice.random(count).astype(np.float32),
        logits=dice.random((*count, 4, 4)).astype(np.float32),
    )


def test_every_mask_becomes_a_record_with_its_scores():
    prediction, prompt = prediction_of((3,)), Prompt.checked([(1, 2)], image_shape=SHAPE)
    records = records_of(prediction, prompt)
    assert len(records) == len(prediction) == 3
    for index, record in enumerate(records):
        np.testing.assert_array_equal(record.mask, prediction.masks[index])
        assert record.predicted_iou == prediction.predicted_iou[index]
        assert record.stability_score == prediction.stability_score[index]
        assert record.prompt == {"points": [[1, 2]], "labels": [1]}
        assert record.crop_box == (0, 0, 6, 9)


def test_the_records_of_a_batch_keep_their_own_prompts():
    prediction = prediction_of((2, 3))
    prompt = Prompt.checked([[(1, 2)], [(3, 4)]], image_shape=SHAPE)
    records = records_of(prediction, prompt)
    assert [record.prompt["points"] for record in records] == [[[1, 2]]] * 3 + [[[3, 4]]] * 3
    np.testing.assert_array_equal(records[4].mask, prediction.masks[1, 1])
    assert records[4].predicted_iou == prediction.predicted_iou[1, 1]


@pytest.mark.parametrize(
    ("count", "prompt"),
    [
        ((3,), Prompt.checked([(1, 2)], image_shape=(6, 8))),
        ((3,), Prompt.checked([[(1, 2)]] * 3, image_shape=SHAPE)),
        ((2, 1), Prompt.checked(box=[(1, 2, 3, 4)] * 3, image_shape=SHAPE)),
        ((2, 1), Prompt.checked(box=(1, 2, 3, 4), image_shape=SHAPE)),
    ],
)
def test_another_prompt_is_refused(count, prompt):
    with pytest.raises(ValueError, match="prompt of this prediction"):
        records_of(prediction_of(count), prompt)
