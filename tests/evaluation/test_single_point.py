from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.plan import SinglePointProtocol, plan
from napari_segany.evaluation.scores import ObjectScore
from napari_segany.evaluation.single_point import single_point

DEFAULT = SinglePointProtocol()


def measure(folder, predictor, protocol=DEFAULT, **options) -> list[ObjectScore]:
    planned = drain(plan(find_samples(folder), protocol))
    return drain(single_point(planned.tasks, protocol, predictor, **options))


def test_numbers_worked_out_by_hand(write_dataset, two_squares, predictor) -> None:
    """Ten columns, five in the first answer and one more with every point."""
    for score in measure(write_dataset("cells", {"a": two_squares}), predictor):
        assert score.values == pytest.approx(
            {
                "iou_1": 0.5,
                "iou_2": 0.6,
                "iou_3": 0.7,
                "iou_5": 0.9,
                "iou_9": 1.0,
                "oracle_1": 1.0,
                "iou_box": 1.0,
                "predicted_iou": 0.9,
                "mutual_iou": (0.5 + 0 + 0) / 3,
            }
        )


def test_what_is_known_of_each_object(write_dataset, two_squares, predictor) -> None:
    two_squares[0, 0] = 1  # a second part of the first object, at the edge
    whole, cut = measure(write_dataset("cells", {"a": two_squares}), predictor, SinglePointProtocol(points=(1,)))
    assert (whole.dataset, whole.image, whole.object_id) == ("cells", "a", 1)
    assert (whole.area, whole.parts, whole.at_border) == (101, 2, True)
    assert (cut.area, cut.parts, cut.at_border) == (100, 1, True)
    assert (whole.row, whole.col) == (9, 9)
    assert (cut.row, cut.col) == (24, 24)


def test_first_click_asks_for_three_masks_and_further_ones_feed_the_logits_back(
    write_dataset, two_squares, predictor
) -> None:
    measure(write_dataset("cells", {"a": two_squares}), predictor, SinglePointProtocol(points=(1, 2, 3), boxes=False))
    first, second, third = predictor.calls
    assert first["multimask"]
    assert first["mask"] is None
    assert np.shape(first["points"]) == (2, 1, 2)
    assert not second["multimask"]
    assert np.shape(second["points"]) == (2, 2, 2)
    # The fake's logits hold the area of their mask: five columns of ten pixels, then six.
    np.testing.assert_array_equal(np.asarray(second["mask"])[:, 0, 0], [50, 50])
    np.testing.assert_array_equal(np.asarray(third["mask"])[:, 0, 0], [60, 60])
    np.testing.assert_array_equal(third["labels"], np.ones((2, 3)))


def test_an_object_without_error_is_not_asked_about_again(write_dataset, two_squares, predictor) -> None:
    two_squares[20:30, 24:30] = 0  # the second object has four columns: right after three points
    protocol = SinglePointProtocol(points=(1, 5), boxes=False)
    first, second = measure(write_dataset("cells", {"a": two_squares}), predictor, protocol)
    assert (first.values["iou_5"], second.values["iou_5"]) == pytest.approx((0.9, 1.0))
    assert [len(call["points"]) for call in predictor.calls] == [2, 2, 2, 1, 1]


def test_batches_change_nothing(write_dataset, two_squares, predictor) -> None:
    folder = write_dataset("cells", {"a": two_squares, "b": two_squares.T.copy()})
    alone = measure(folder, predictor, SinglePointProtocol(batch_size=1))
    together = measure(folder, predictor, SinglePointProtocol(batch_size=16))
    assert alone == together


def test_random_points_lie_on_their_object_and_depend_on_the_seed(write_dataset, two_squares, predictor) -> None:
    folder = write_dataset("cells", {"a": two_squares})

    def clicks(seed: int) -> list[tuple[int, int]]:
        protocol = SinglePointProtocol(points=(1,), point_choice="random", seed=seed)
        return [(score.row, score.col) for score in measure(folder, predictor, protocol)]

    assert [two_squares[click] for click in clicks(0)] == [1, 2]
    assert clicks(0) == clicks(0)
    assert len({tuple(clicks(seed)) for seed in range(5)}) > 1


def test_objects_of_one_pixel_and_one_line_have_a_box(write_dataset, predictor) -> None:
    labels = np.zeros((10, 10), np.uint16)
    labels[0, 9] = 1
    labels[5, 2:8] = 2
    point, line = measure(write_dataset("cells", {"a": labels}), predictor, SinglePointProtocol(points=(1,)))
    assert (point.values["iou_box"], line.values["iou_box"]) == (1, 1)
    (boxes,) = [call["box"] for call in predictor.calls if call["box"] is not None]
    np.testing.assert_array_equal(boxes, [[-0.5, 8.5, 0.5, 9.5], [4.5, 2, 5.5, 7]])


def test_scores_arrive_batch_by_batch_and_progress_counts_objects(write_dataset, two_squares, predictor) -> None:
    samples = find_samples(write_dataset("cells", {"a": two_squares, "b": two_squares}))
    protocol = SinglePointProtocol(points=(1,), batch_size=1)
    received: list[ObjectScore] = []
    steps = single_point(drain(plan(samples, protocol)).tasks, protocol, predictor, receive=received.extend)
    counted = []
    for progress in steps:
        counted.append((progress.done, progress.total, progress.note))
        assert progress.done == len(received)
        if len(received) == 3:
            steps.close()
    assert counted[0] == (0, 4, "cells/a")
    assert counted[-1] == (3, 4, "cells/b")
    assert len(received) == 3


def test_baseline_alone_needs_no_model(write_dataset, two_squares) -> None:
    scores = measure(write_dataset("cells", {"a": two_squares}), None, baseline=True)
    assert [list(score.values) for score in scores] == [["iou_baseline"]] * 2
    # Grey levels 0, 1 and 2: the threshold falls below the brightest square.
    assert scores[1].values["iou_baseline"] > 0.8


def test_something_has_to_be_measured(write_dataset, two_squares) -> None:
    with pytest.raises(ValueError, match="neither a model nor the baseline"):
        measure(write_dataset("cells", {"a": two_squares}), None)
