"""Finding similar discs from chosen ones, with a predictor that finds discs perfectly. Without Qt."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.discs import DiscFinder, disc_image, disc_mask

from napari_segany.engine.similar_selection import separate
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SHAPE = (128, 128)
ALIKE = ((24, 24, 8, 240), (24, 64, 8, 240), (64, 24, 8, 240), (64, 100, 8, 240))
OTHER = ((100, 60, 20, 160), (24, 104, 14, 100))


@pytest.fixture
def looking(viewer):
    """A session on an image with four bright discs and two others; the first bright one is accepted."""
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: DiscFinder())
    layer = viewer.add_image(disc_image(SHAPE, [*ALIKE, *OTHER]), name="discs", contrast_limits=(0, 255))
    session.choose_image(layer)
    session.compute_embedding()
    objects = session.objects.ready()
    paint(objects, disc_mask(SHAPE, *ALIKE[0][:3]), 1)
    session.editor.select([1])
    return session


def paint(layer, mask, label):
    layer.data_setitem(np.nonzero(mask), label)


def test_masks_are_taken_most_similar_first_and_never_twice():
    masks = [np.zeros((4, 10), bool) for _ in range(3)]
    masks[0][:, :5], masks[1][:, 4:9], masks[2][:, 6:10] = True, True, True
    records = [MaskRecord.from_mask(mask) for mask in masks]
    nothing = np.zeros((4, 10), bool)
    found = separate(records, np.array([0.9, 0.8, 0.7], np.float32), nothing)
    assert found.numbers == (0, 2), "a fifth of the second one is taken already"
    assert found.ranks[0].tolist() == [1] * 5 + [0] + [2] * 4
    assert [found.above(one) for one in (0.95, 0.9, 0.7, -1)] == [0, 1, 2, 2]
    other = separate(records, np.array([0.7, 0.9, -np.inf], np.float32), nothing)
    assert other.numbers == (1,)
    nothing[:, :3] = True
    assert separate(records, np.array([0.9, 0.8, 0.7], np.float32), nothing).numbers == (1,)


def test_similar_discs_are_found_previewed_and_accepted_as_one_step(looking, viewer):
    looking.classes.add("bright")
    looking.classes.assign("bright", [1])
    similar = looking.similar
    similar.find()
    assert similar.total == 4, "all discs but the accepted one and the one of predicted IoU 0.4"
    similar.threshold = 0.9
    assert similar.count == 3
    preview = viewer.layers["similar objects"]
    expected = np.zeros(SHAPE, bool)
    for row, col, radius, _ in ALIKE[1:]:
        expected |= disc_mask(SHAPE, row, col, radius)
    overlap = (preview.data.astype(bool) & expected).sum() / (preview.data.astype(bool) | expected).sum()
    assert overlap > 0.85
    before = looking.objects.layer.data.copy()
    assert similar.accept() == (2, 3, 4)
    assert not preview.visible
    table = looking.objects.layer.features
    assert table["category"].tolist()[1:] == ["bright"] * 4
    origin = json.loads(table.loc[2, "prompts"])
    assert origin["similar_to"] == [1]
    assert origin["similarity"] >= 0.9
    assert table.loc[2, "predicted_iou"] == pytest.approx(240 / 250)
    for row, col, _, _ in ALIKE:
        assert looking.objects.layer.data[row, col] > 0
    looking.undo()
    np.testing.assert_array_equal(looking.objects.layer.data, before)
    assert looking.classes.counts == {"bright": 1}
    looking.redo()
    assert looking.editor.labels == (1, 2, 3, 4)
    looking.editor.select([1])
    similar.find()
    assert similar.total == 1, "accepted ones are not offered again"


def test_the_slider_and_the_least_iou_choose_without_asking_the_model_again(looking):
    finder = looking._embedder.predictor
    looking.similar.find()
    asked = finder.calls
    looking.similar.threshold = -1.0
    assert looking.similar.count == 4
    looking.similar.least_iou = 0.9
    assert looking.similar.count == 3
    assert finder.calls == asked


def test_masks_of_segment_everything_are_used_where_they_are(looking, viewer):
    everything = EverythingSession(viewer, SynchronousRunner(), lambda model, device: DiscFinder())
    everything.choose_image(looking.image)
    everything.change(points_per_side=16, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    everything.run()
    assert looking.similar.has_everything
    finder = looking._embedder.predictor
    asked = finder.calls
    looking.similar.find()
    assert finder.calls == asked, "the model of the prompts is not asked"
    assert looking.similar.total == 4


def test_what_speaks_against_it_is_said(looking, viewer):
    similar = looking.similar
    assert similar.accept() == ()
    assert "nothing to accept" in looking.status
    looking.editor.select([])
    similar.find()
    assert "Choose what to look for" in looking.status
    looking.editor.select([1])
    similar.find()
    assert similar.answer is not None
    looking.choose_image(None)
    assert similar.answer is None
    similar.find()
    assert "no slice" in looking.status


def test_another_slice_drops_what_was_found(viewer):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: DiscFinder())
    stack = np.stack([disc_image(SHAPE, ALIKE), disc_image(SHAPE, ALIKE)])
    session.choose_image(viewer.add_image(stack, name="stack", contrast_limits=(0, 255)))
    viewer.dims.set_current_step(0, 0)
    session.compute_embedding()
    layer = session.objects.ready()
    first = np.stack([disc_mask(SHAPE, *ALIKE[0][:3]), np.zeros(SHAPE, bool)])
    paint(layer, first, 1)
    session.editor.select([1])
    session.similar.find()
    assert session.similar.total == 3
    viewer.dims.set_current_step(0, 1)
    assert session.similar.answer is None
    assert not viewer.layers["similar objects"].visible
    session.close()
    assert "similar objects" not in viewer.layers
