"""Whole layers and files of points and boxes become objects in batched questions, as one step. Without Qt."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers import Points, Shapes

from napari_segany.engine.one_each import AT_A_TIME
from napari_segany.engine.prediction import LogitsPrediction
from napari_segany.engine.progress import Progress, drain
from napari_segany.formats.prompt_table import read_prompt_table
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SIDE = 128


class Batches:
    """Fills boxes, and squares of three sizes around points, in logits; notes the size of each call."""

    name = "batches"

    def __init__(self):
        self.calls, self.encoded = [], 0

    def encode_steps(self, image, *, contrast_limits=None):
        yield Progress(1, 1, "encoding")
        self.encoded += 1
        shape = image.shape[:2]
        return SimpleNamespace(
            nbytes=1000, image_shape=shape, input_shape=(4 * SIDE, 4 * SIDE), logits_shape=(SIDE, SIDE)
        )

    def predict(self, embedding, **prompts):
        raise AssertionError("many prompts are never asked one by one")

    def answer_in_logits(self, embedding, prompt, *, multimask=None):
        self.calls.append(prompt.batch_size)
        count = 1 if prompt.points is None else 3
        logits = np.full((prompt.batch_size, count, SIDE, SIDE), -4, np.float32)
        for index in range(prompt.batch_size):
            for rank in range(count):
                low, high = self.corners(prompt.item(index), rank)
                (top, left), (bottom, right) = np.maximum(np.ceil(low), 0).astype(int), np.floor(high).astype(int)
                logits[index, rank, top : bottom + 1, left : right + 1] = 4
        return LogitsPrediction(
            logits, np.tile(np.linspace(0.9, 0.7, count, dtype=np.float32), (prompt.batch_size, 1))
        )

    def corners(self, prompt, rank):
        if prompt.box is not None:
            return prompt.box[:2], prompt.box[2:]
        return prompt.points[0] - (rank + 1), prompt.points[0] + (rank + 1)


@pytest.fixture
def batches():
    return Batches()


@pytest.fixture
def session(viewer, batches):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: batches)
    session.choose_image(viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), contrast_limits=(0, 1), scale=(0.5, 0.5)))
    return session


def grid(rows, cols, side=6, step=8):
    return np.array(
        [(r * step, c * step, r * step + side, c * step + side) for r in range(rows) for c in range(cols)]
    )


def painted(session):
    return session.objects.layer.data


def test_two_hundred_boxes_take_seven_calls_and_one_step(session, batches):
    boxes = grid(16, 13)[:200]
    session.one_each.from_boxes(boxes)
    assert batches.calls == [AT_A_TIME] * 6 + [200 - 6 * AT_A_TIME]
    assert batches.encoded == 1
    for number, (top, left, bottom, right) in enumerate(boxes, 1):
        assert (painted(session)[top : bottom + 1, left : right + 1] == number).all()
    assert session.objects.area(200) == 49
    rows = session.objects.layer.features
    assert len(rows) == 201
    assert rows["predicted_iou"][1:].to_numpy() == pytest.approx(0.9)
    assert (rows["area"][1:] == 49).all()
    origin = json.loads(rows["prompts"][200])
    assert (origin["box"], origin["model"]) == (boxes[-1].tolist(), "light")
    assert "200 objects of 200 boxes" in session.status
    assert session.undo()
    assert not painted(session).any()
    assert session.objects.labels == ()
    session.redo()
    assert session.objects.labels == tuple(range(1, 201))


def test_a_points_layer_at_another_scale_and_the_policy(session, viewer, batches):
    layer = Points([(20, 40), (60, 80), (500, 500)], scale=(0.25, 0.25), translate=(1, 2), name="seeds")
    viewer.add_layer(layer)
    session.preview.policy = "largest"
    session.classes.add("seed")
    session.classes.use("seed")
    session.one_each.from_layer(layer)
    expected = np.zeros((SIDE, SIDE), int)
    for number, (row, col) in enumerate([(12, 24), (32, 44)], 1):
        expected[row - 3 : row + 4, col - 3 : col + 4] = number
    np.testing.assert_array_equal(painted(session), expected)
    assert batches.calls == [2]
    assert "2 objects of 2 points of 'seeds'; 1 point outside of the image" in session.status
    assert session.objects.row(2)["category"] == "seed"
    assert len(layer.data) == 3, "other people's layers stay as they are"


def test_boxes_around_shapes_of_any_kind(session, viewer):
    triangle = [(10, 10), (20, 14), (12, 30)]
    layer = Shapes([triangle], shape_type="polygon", scale=(0.5, 0.5))
    viewer.add_layer(layer)
    session.one_each.from_layer(layer)
    assert np.argwhere(painted(session)).min(axis=0).tolist() == [10, 10]
    assert np.argwhere(painted(session)).max(axis=0).tolist() == [20, 30]


def test_own_prompts_become_objects_and_go(session):
    session.choose_tool("points")
    session.prompt_layers.add_points(session.plane, [(20, 20), (60, 60), (90, 90)], [1, 0, 1])
    session.one_each.from_layer(session.prompt_layers.points)
    assert session.objects.labels == (1, 2), "background points are no objects"
    assert session.prompts.points == ()
    session.undo()
    assert session.prompts.points == ((20, 20), (60, 60), (90, 90))
    assert session.objects.labels == ()


@pytest.mark.parametrize(
    ("rule", "areas"),
    [
        ("keep", {1: 100, 2: 50, 3: 0}),
        ("overwrite", {1: 50, 2: 84, 3: 16}),
        ("smaller", {1: 84, 2: 50, 3: 16}),  # of equal sizes the first keeps its own
    ],
)
def test_overlaps_are_ruled_as_if_each_was_accepted_in_turn(session, rule, areas):
    session.overlap = rule
    session.one_each.from_boxes([(10, 10, 19, 19)])
    session.one_each.from_boxes([(10, 15, 19, 24), (12, 16, 15, 19)])
    assert {one: session.objects.area(one) for one in areas} == areas
    assert session.objects.labels == tuple(one for one, area in areas.items() if area)
    assert ("1 lies wholly under other objects" in session.status) == (rule == "keep")


def logged(session):
    return drain(session._work.log.saved_steps()).steps


def test_they_are_kept_as_what_was_asked_and_undo_takes_that_back(session):
    session.one_each.from_boxes([(10, 10, 19, 19), (12, 12, 15, 15), (50, 50, 60, 60)])
    (step,) = logged(session)
    assert step.boxes[2] == (50, 50, 60, 60)
    assert step.labels == (1, 0, 2), "the second one lies under the first"
    assert (step.model, step.policy, step.contrast_limits, step.cleaning) == ("light", "best", (0.0, 1.0), None)
    session.undo()
    assert logged(session) == ()
    session.redo()
    assert logged(session) == (step,)


def test_a_file_of_boxes_on_several_slices(viewer, batches, tmp_path):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: batches)
    session.choose_image(viewer.add_image(np.zeros((4, SIDE, SIDE), np.uint8), contrast_limits=(0, 1)))
    path = tmp_path / "seeds.csv"
    path.write_text("axis-0,axis-1,axis-2\n0,20,20\n2,50,50\n2,90,90\n7,1,1\n")
    session.one_each.from_file(path)
    assert session.objects.labels == (1, 2, 3)
    assert [sorted(set(np.unique(plane)) - {0}) for plane in painted(session)] == [[1], [], [2, 3], []]
    assert batches.calls == [1, 2]
    assert batches.encoded == 2 + (viewer.dims.current_step[0] not in (0, 2))
    assert "on 2 slices" in session.status
    before = painted(session).copy()
    path.write_text("row,col\n30,oops\n")
    session.one_each.attempt("from_file", path)
    assert session.status == "line 2 of seeds.csv has 'oops' in the column col; give a number."
    session.one_each.attempt("from_file", tmp_path / "nothing.csv")
    assert session.status.startswith("nothing.csv cannot be read")
    path.write_text("axis-0,axis-1,axis-2,axis-3\n1,1,1,1\n")
    session.one_each.attempt("from_file", path)
    assert "4 coordinates for each point, and the image has 3 axes" in session.status
    np.testing.assert_array_equal(painted(session), before)


def test_cancel_keeps_nothing_and_a_change_of_image_stops_it(viewer, batches, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: batches)
    session.choose_image(viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), contrast_limits=(0, 1)))
    session.one_each.from_boxes(grid(8, 8))
    while len(batches.calls) < 1:
        by_hand.run_waiting()
        for task in by_hand.running:
            task.step()
    assert 0 < session.one_each.progress.total == 64
    session.one_each.cancel()
    by_hand.finish_all()
    assert session.objects.labels == ()
    assert session.status == "Stopped; no object was made."
    session.one_each.from_boxes(grid(8, 8))
    assert session.one_each.progress is not None
    session.choose_image(viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), contrast_limits=(0, 1)))
    by_hand.finish_all()
    assert session.one_each.progress is None
    assert session.objects.labels == ()


def test_empty_layers_and_other_layers_are_refused(session, viewer):
    session.one_each.attempt("from_layer", viewer.add_layer(Points(ndim=2, name="none")))
    assert session.status == "none has no point on the image."
    session.one_each.attempt("from_layer", session.image)
    assert session.status == "got a Image layer; choose a Points or Shapes layer."
    session.choose_image(None)
    session.one_each.attempt("from_file", "boxes.csv")
    assert session.status.startswith("There is no slice of an image")


@pytest.mark.usefixtures("known_to_napari")
def test_files_that_napari_saves_of_its_layers(tmp_path):
    points = Points([(4, 1.5, 2), (4, 3, 4)], features={"kind": ["a", "b"]})
    points.save(str(tmp_path / "points.csv"), plugin="napari")
    np.testing.assert_array_equal(read_prompt_table(tmp_path / "points.csv").points, points.data)
    shapes = Shapes([np.array([(0, 0), (0, 9), (5, 9), (5, 0)])])
    shapes.add(np.array([(10, 10), (20, 15), (12, 30)]), shape_type="path")
    shapes.save(str(tmp_path / "shapes.csv"), plugin="napari")
    np.testing.assert_allclose(
        read_prompt_table(tmp_path / "shapes.csv").boxes, [[(0, 0), (5, 9)], [(10, 10), (20, 30)]]
    )
