"""The data engine: records that outlive a crash, stages kept apart, prominence, the clock, and the data set."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.data_engine import stages
from napari_segany.engine.data_engine.clock import HINT, ObjectClock, StrokeClock
from napari_segany.engine.data_engine.export import CardFacts, as_bytes, export_steps
from napari_segany.engine.data_engine.folder import DataEngine, RecordChangedError
from napari_segany.engine.data_engine.masks import EngineMask, Origin, by_prominence, mask_iou, new_masks
from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.review import review_items
from napari_segany.formats.coco import read_coco
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import iterate_sa1b, read_sa1b
from napari_segany.formats.yolo import read_yolo_labels

SHAPE = (40, 60)


def record(rows, cols, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[rows, cols] = True
    return MaskRecord.from_mask(mask, predicted_iou=0.9)


FIRST, SECOND = record(slice(2, 12), slice(2, 12)), record(slice(20, 25), slice(30, 50))


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full(SHAPE, 9, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return DataEngine(tmp_path / "images", tmp_path / "work")


def test_records_are_there_again(engine):
    engine.add("a", [EngineMask(FIRST, Origin("assisted", 4.5, 3, "light", "abc"))])
    engine.add("a", [EngineMask(SECOND, Origin("semi-automatic", model="light", weights="abc"))])
    engine.finish("a")
    again = DataEngine(engine.images, engine.work)
    assert again.masks("a") == engine.masks("a")
    assert again.finished == ("a",)
    assert again.left_after("b") == again.left_after(None) == ("b",)
    counts = again.counts()
    assert (counts["assisted"].masks, counts["assisted"].seconds, counts["assisted"].clicks) == (1, 4.5, 3)
    assert counts["semi-automatic"].masks == 1
    assert again.remove("a", 1).record == FIRST
    assert [one.record for one in DataEngine(engine.images, engine.work).masks("a")] == [SECOND]


def test_counts_follow_every_change_and_the_revision_tells_of_each(engine):
    """Whatever is done, also by another program, the counts are those of all masks that are there."""
    other = DataEngine(engine.images, engine.work)
    mask, part = EngineMask(FIRST, Origin("assisted", 4.5, 3)), EngineMask(SECOND, Origin("assisted", 1.5, 1))

    def by_somebody_else():
        other.add("b", [mask, part])
        with pytest.raises(RecordChangedError):
            engine.put("b", [mask])

    steps = (
        lambda: engine.add("a", [mask, part]),
        lambda: engine.add("a", [EngineMask(FIRST, Origin("semi-automatic"))]),
        by_somebody_else,
        lambda: engine.finish("a"),
        lambda: engine.remove("a", 1),
        lambda: engine.put("a", []),
    )
    for step in steps:
        before, seen = engine.revision, engine.counts()
        assert engine.counts() == seen or any(np.isnan(one.seconds) for one in seen.values())
        assert engine.revision == before, "looking is no change"
        step()
        assert engine.revision > before
        for stage, counts in engine.counts().items():
            there = [one.origin for one in engine.all_masks() if one.origin.stage == stage]
            assert counts.masks == len(there)
            if there:
                assert counts.seconds == pytest.approx(np.mean([one.seconds for one in there]))
                assert counts.clicks == pytest.approx(np.mean([one.clicks for one in there]))


def test_what_is_wrong_is_told_and_nothing_is_lost(engine, tmp_path):
    engine.add("a", [EngineMask(FIRST, Origin("assisted"))])
    with pytest.raises(ValueError, match="sizes"):
        engine.add("a", [EngineMask(record(0, 0, (9, 9)), Origin("assisted"))])
    with pytest.raises(ValueError, match="no pixel"):
        engine.add("a", [EngineMask(MaskRecord.from_mask(np.zeros(SHAPE, bool)), Origin("assisted"))])
    with pytest.raises(ValueError, match="there is no image 'c'"):
        engine.masks("c")
    with pytest.raises(ValueError, match="the stage is 'by hand'"):
        Origin("by hand")
    assert len(engine.masks("a")) == 1
    with pytest.raises(ValueError, match="holds no images"):
        DataEngine(tmp_path / "work" / "records", tmp_path / "other")


def test_two_people_in_one_folder_do_not_undo_each_other(engine):
    other = DataEngine(engine.images, engine.work)
    engine.add("a", [EngineMask(FIRST, Origin("assisted"))])
    with pytest.raises(ValueError, match="another program has changed the record of a"):
        other.add("a", [EngineMask(SECOND, Origin("assisted"))])
    other.add("a", [EngineMask(SECOND, Origin("assisted"))])
    assert [one.record for one in DataEngine(engine.images, engine.work).masks("a")] == [FIRST, SECOND]
    other.finish("b")
    with pytest.raises(ValueError, match="the record of b"):
        engine.add("b", [EngineMask(FIRST, Origin("assisted"))])
    assert engine.finished == ("b",)


def test_prominent_objects_come_first():
    image = np.full(SHAPE, 100.0)
    image[20:25, 30:50] = 101
    image[2:12, 2:12] = 200
    pale = record(slice(30, 32), slice(0, 2))
    assert by_prominence([pale, SECOND, FIRST], image) == [2, 1, 0]


def test_masks_that_are_there_are_not_added_again():
    nearly = record(slice(2, 12), slice(2, 11))
    assert mask_iou(FIRST, nearly) == pytest.approx(0.9)
    assert mask_iou(FIRST, SECOND) == 0
    assert new_masks([nearly, SECOND], [FIRST]) == [SECOND]


def test_the_clock_begins_with_the_first_click_and_hints_after_thirty_seconds():
    now = 100.0
    clock = ObjectClock(lambda: now)
    now = 150.0
    assert (clock.seconds, clock.hint) == (0, "")
    clock.click()
    now += 30
    clock.click()
    assert clock.hint == ""
    now += 0.1
    assert clock.hint == HINT
    assert clock.finish() == (pytest.approx(30.1), 2)
    assert (clock.seconds, clock.clicks) == (0, 0)


def test_strokes_in_a_row_on_one_object_count_with_the_pauses_between_them():
    now = 100.0
    clock = StrokeClock(lambda: now)
    clock.press()
    now = 102.0
    assert clock.stroke(1) == 2
    now = 110.0
    clock.press()
    now = 111.0
    assert clock.stroke(1) == 9
    now = 150.0  # looked for the next object
    clock.press()
    now = 181.0
    assert (clock.hint, clock.stroke(2), clock.hint) == ("", 31, HINT)
    clock.reset()
    assert (clock.hint, clock.stroke(2)) == ("", 0)


class Generator:
    def __init__(self, predictor, settings):
        pass

    def run(self, image):
        yield Progress(0, 1, "Asking the points")
        return [FIRST, SECOND]


class Named:
    name, sam = "light", None


def test_the_models_stages_are_kept_apart_from_the_persons(engine, monkeypatch):
    monkeypatch.setattr(stages, "AutomaticMaskGenerator", Generator)
    monkeypatch.setattr(stages, "weights_hash", lambda sam: "abc")
    monkeypatch.setattr(stages, "_usual", lambda predictor: AutomaticSettings())
    engine.add("a", [EngineMask(FIRST, Origin("assisted", 2, 1))])
    assert drain(stages.model_masks(engine, "a", Named(), "semi-automatic")) == 1
    assert [one.origin.stage for one in engine.masks("a")] == ["assisted", "semi-automatic"]
    assert drain(stages.automatic_stage(engine, ["b"], Named())) == (2, ())
    assert {one.origin for one in engine.masks("b")} == {Origin("automatic", model="light", weights="abc")}
    assert engine.finished == ("b",)


def test_the_data_set_is_read_back_in_all_three_forms(engine, tmp_path):
    clicked = replace(FIRST, prompt={"points": [[3, 3]], "labels": [1], "box": [2, 2, 11, 11]})
    masks = [EngineMask(clicked, Origin("assisted", 5, 3, "light", "abc")), EngineMask(SECOND, Origin("automatic"))]
    engine.add("a", masks)
    out = tmp_path / "out"
    card = drain(export_steps(engine, ["a", "b"], out, CardFacts("Cells", "ours", "CC0")))
    samples = list(iterate_sa1b(out / "sa_000000"))
    assert [one.rle for one in samples[0].records()] == [FIRST.rle, SECOND.rle]
    assert samples[0].image().shape[:2] == SHAPE
    provenance = read_sa1b(samples[0].annotation_path).extra["provenance"]
    assert provenance[0] == {
        "id": 1,
        "stage": "assisted",
        "seconds": 5,
        "clicks": 3,
        "model": "light",
        "weights": "abc",
        "prompt": clicked.prompt,
    }
    assert review_items({"ours": out})[0].record.prompt == clicked.prompt
    coco = read_coco(out / "coco.json")
    assert [one.record.rle for one in coco.images[0].objects] == [FIRST.rle, SECOND.rle]
    assert (out / coco.images[0].file_name).is_file()
    assert [one.record.rle for one in read_yolo_labels(out / "yolo/labels/sa_1.txt", SHAPE)] == [
        FIRST.rle,
        SECOND.rle,
    ]
    assert (out / "yolo/labels/sa_2.txt").read_text() == ""
    text = card.read_text()
    for part in (
        "# Cells",
        "| masks | 2 |",
        "| licence | CC0 |",
        "| assisted | 1 | 5.0 | 3.0 |",
        "| light | abc | 1 |",
    ):
        assert part in text
    assert json.loads((out / "sa_000000/sa_2.json").read_text())["annotations"] == []


def test_a_smaller_data_set_in_the_same_folder_has_nothing_of_the_larger_one(engine, tmp_path):
    out = tmp_path / "out"
    drain(export_steps(engine, ["a", "b"], out, CardFacts("Cells")))
    (out / "sa_000000" / "sa_2 of mine.txt").write_text("a note")
    drain(export_steps(engine, ["b"], out, CardFacts("Cells")))
    assert {path.name for path in out.glob("sa_000000/*")} == {"sa_1.jpg", "sa_1.json", "sa_2 of mine.txt"}
    assert [path.name for path in out.glob("yolo/*/*")] == ["sa_1.jpg", "sa_1.txt"]


def test_a_data_set_is_not_written_over_somebody_elses_files(engine, tmp_path):
    theirs = {engine.images / "README.md": "mine", tmp_path / "shard" / "sa_000000" / "sa_9.json": "{}"}
    for path, text in theirs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in (engine.images, engine.images / ".." / "images", engine.work, tmp_path / "shard"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match="choose a new or empty folder"):
            drain(export_steps(engine, ["a"], folder, CardFacts("Cells")))
        assert sorted(tmp_path.rglob("*")) == before
    assert {path: path.read_text() for path in theirs} == theirs


def test_images_of_more_than_eight_bits_are_mapped():
    image = np.linspace(0, 4095, 2400).reshape(SHAPE).astype(np.uint16)
    assert as_bytes(image).dtype == np.uint8
    assert np.ptp(as_bytes(image)) == 255
    assert as_bytes(np.full((4, 5, 4), 7, np.uint8)).shape == (4, 5, 3)
