from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_derived import SavedCarried, SavedSimilar, SavedSlicePrompt
from napari_segany.formats.session_file import SavedMaskPrompt, SavedSession, read_session, write_session
from napari_segany.formats.session_log import SavedLog
from napari_segany.formats.session_steps import SavedAnswer, SavedEach, SavedQuestion

MASK = RunLengths.from_mask(np.eye(6, 8, dtype=bool))
SAVED = SavedSession(
    image={"name": "cells", "shape": [3, 6, 8], "dtype": "uint8", "digest": "ab"},
    model="light",
    saved_at="2026-01-02T03:04:05+00:00",
    points=((0.0, 1.5, 2.0),),
    labels=("foreground",),
    boxes=(((0.0, 1.0, 1.0), (0.0, 1.0, 5.0), (0.0, 4.0, 5.0), (0.0, 4.0, 1.0)),),
    mask_prompts=(SavedMaskPrompt((1, 2), (2,), "objects", 4, MASK),),
    planes={(2,): {4: MASK}},
    rows={4: {"predicted_iou": 0.5, "prompts": "{}", "area": 6.0, "is_cell": True}},
)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "one.json"
    write_session(path, SAVED)
    assert read_session(path) == SAVED
    assert SAVED.objects == (4,)


def test_cells_of_numpy_become_plain_and_nan_is_left_out(tmp_path):
    row = {"area": np.float64(5), "n": np.int64(3), "nothing": float("nan"), "when": np.datetime64("2026-01-01")}
    write_session(tmp_path / "one.json", SavedSession({}, "light", "", rows={1: row}))
    assert read_session(tmp_path / "one.json").rows[1] == {"area": 5.0, "n": 3, "when": "2026-01-01"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 5, "version 5"),
        ("format", "COCO", "'COCO'"),
        ("planes", 5, "'planes' is 5"),
        ("prompts", {"points": [[1, "x"]], "labels": [], "boxes": [], "masks": []}, "could not convert"),
        ("prompts", {}, "missing or of another kind"),
        ("rows", [{"label": None, "features": {}}], "missing or of another kind"),
    ],
)
def test_other_files_are_refused_with_a_sentence(tmp_path, key, value, message):
    path = tmp_path / "one.json"
    write_session(path, SAVED)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ValueError, match=message) as error:
        read_session(path)
    assert "one.json is no sound session file" in str(error.value)


def test_a_json_file_of_another_kind_does_not_say_what_it_is(tmp_path):
    (tmp_path / "masks.json").write_text('{"masks": []}')
    with pytest.raises(ValueError, match=r"masks\.json is no sound session file: it does not say what it is; "):
        read_session(tmp_path / "masks.json")


def test_many_prompts_are_read_as_they_were_written_and_refused_without_their_labels(tmp_path):
    answerer = {"model": "light", "weights": "ab", "device": "cpu", "rounded": True}
    boxes = ((1.0, 2.0, 3.0, 4.0), (2.0, 2.0, 9.0, 9.0))
    asked = {"points": (), "boxes": boxes, "labels": (4, 0), "policy": "best", "contrast_limits": (0.0, 9.0)}
    each = SavedEach(axes=(1, 2), index=(2,), **asked, **answerer, cleaning={"smooth": 2})
    path = tmp_path / "one.json"
    write_session(path, replace(SAVED, log=SavedLog(steps=(each,))))
    assert read_session(path).log.steps == (each,)
    values = json.loads(path.read_text())
    values["log"]["steps"][0]["labels"] = [4]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="0 points, 2 boxes and 1 labels"):
        read_session(path)


def test_the_precision_of_an_answer_is_read_again_and_is_float32_where_none_is_said(tmp_path):
    answerer = {"model": "vit_b", "weights": "", "device": "cpu", "rounded": False, "precision": "bfloat16"}
    question = SavedQuestion(points=((1.0, 2.0),), labels=(1,))
    step = SavedAnswer(axes=(0, 1), index=(), questions=(question,), chosen=0, label=1, **answerer)
    path = tmp_path / "one.json"
    write_session(path, replace(SAVED, log=SavedLog(steps=(step,))))
    assert read_session(path).log.steps == (step,)
    values = json.loads(path.read_text())
    values["log"]["steps"][0]["precision"] = "half"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="the precision is 'half'; known are float32, bfloat16"):
        read_session(path)
    del values["log"]["steps"][0]["precision"]
    path.write_text(json.dumps(values))
    assert read_session(path).log.steps == (replace(step, precision="float32"),)


def test_a_label_that_is_infinite_is_one_sentence(tmp_path):
    path = tmp_path / "one.json"
    write_session(path, SAVED)
    path.write_text(path.read_text().replace('"label": 4, "features"', '"label": Infinity, "features"'))
    with pytest.raises(ValueError, match=r"one\.json is no sound session file"):
        read_session(path)


def test_objects_that_began_from_others_are_read_as_they_were_written(tmp_path):
    answerer = {"model": "light", "weights": "ab", "device": "cpu", "rounded": True, "contrast_limits": (0.0, 9.0)}
    question = SavedQuestion(points=((1.0, 2.0),), labels=(1,))
    prompts = (
        SavedSlicePrompt(object_id=7, place=1, said=question, questions=(question,), chosen=2),
        SavedSlicePrompt(object_id=4, place=0, is_object=True),
        SavedSlicePrompt(object_id=7, place=2, mask=MASK),
    )
    carried = SavedCarried(
        axes=(1, 2),
        index=(0,),
        axis=0,
        first=0,
        last=2,
        direction="between",
        settings={"min_overlap": 0.5},
        prompts=prompts,
        labels={7: 5, 4: 4},
        carried=(4,),
        new_ids_from=8,
        planes={(1,): {5: MASK}},
        **answerer,
    )
    similar = SavedSimilar(
        axes=(1, 2),
        index=(1,),
        chosen=(MASK,),
        similar_to=(5,),
        threshold=0.25,
        least_iou=0.5,
        source="everything",
        settings={"points_per_side": 8},
        labels=(6,),
        planes={(1,): {6: MASK}},
        why_pixels="the masks of a layer were compared",
        **answerer,
    )
    path = tmp_path / "one.json"
    write_session(path, replace(SAVED, log=SavedLog(steps=(carried, similar))))
    log = read_session(path).log
    assert log.steps == (carried, similar)
    assert log.answers == (carried,), "the other one is pixels"
    assert carried.places == (((1, 2), (0,)), ((1, 2), (1,)), ((1, 2), (2,)))
    values = json.loads(path.read_text())
    values["log"]["steps"][0]["axis"] = 2
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="along axis 2"):
        read_session(path)
