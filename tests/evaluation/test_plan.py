from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.plan import SinglePointProtocol, plan


@pytest.fixture
def many_objects() -> np.ndarray:
    return np.arange(24 * 24, dtype=np.uint16).reshape(24, 24)


def test_all_objects_are_planned_and_progress_counts_images(write_dataset, two_squares) -> None:
    samples = find_samples(write_dataset("cells", {"a": two_squares, "b": two_squares * 100}))
    seen = []
    planned = drain(plan(samples, SinglePointProtocol()), seen.append)
    assert [task.object_ids for task in planned.tasks] == [(1, 2), (100, 200)]
    assert planned.skipped == ()
    assert [(step.done, step.total) for step in seen] == [(1, 2), (2, 2)]


def test_what_cannot_be_measured_is_skipped_with_its_reason(write_dataset, two_squares) -> None:
    folder = write_dataset("cells", {"a": two_squares, "b": two_squares * 0, "c": two_squares})
    (folder / "cells/labels/c.png").write_text("not a picture", encoding="utf-8")
    planned = drain(plan(find_samples(folder), SinglePointProtocol()))
    assert [task.sample.name for task in planned.tasks] == ["a"]
    assert planned.skipped[0] == "cells/b: the label image has no objects"
    assert "c.png" in planned.skipped[1]


def test_a_file_that_may_not_be_read_stops_nothing(write_dataset, two_squares, monkeypatch) -> None:
    first, second = find_samples(write_dataset("cells", {"a": two_squares, "b": two_squares}))
    first.image_path.unlink()
    first.image_path.mkdir()  # opening it is an OSError
    planned = drain(plan([first, second], SinglePointProtocol()))
    assert [task.sample.name for task in planned.tasks] == ["b"]
    assert planned.skipped[0].startswith("cells/a: ")


def test_drawn_objects_depend_on_the_seed_and_the_image_alone(write_dataset, many_objects) -> None:
    samples = find_samples(write_dataset("cells", {"a": many_objects, "b": many_objects}))

    def drawn(seed: int, chosen: list) -> list[tuple[int, ...]]:
        protocol = SinglePointProtocol(objects_per_image=5, seed=seed)
        return [task.object_ids for task in drain(plan(chosen, protocol)).tasks]

    first, second = drawn(0, samples)
    assert len(set(first)) == 5
    assert list(first) == sorted(first)
    assert first != second
    assert drawn(0, samples[1:]) == [second]
    assert drawn(1, samples) != [first, second]


def test_value_names_are_what_a_table_needs() -> None:
    assert SinglePointProtocol(points=(1, 3)).value_names(baseline=True) == [
        "iou_1",
        "oracle_1",
        "iou_3",
        "iou_box",
        "predicted_iou",
        "mutual_iou",
        "iou_baseline",
    ]
    assert SinglePointProtocol().value_names(model=False, baseline=True) == ["iou_baseline"]
    assert "iou_box" not in SinglePointProtocol(boxes=False).value_names()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"points": ()}, "ascending"),
        ({"points": (3, 1)}, "ascending"),
        ({"points": (0, 1)}, "from 1 on"),
        ({"point_choice": "corner"}, "'center' or 'random'"),
        ({"objects_per_image": 0}, "1 or more"),
        ({"batch_size": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SinglePointProtocol(**settings)
