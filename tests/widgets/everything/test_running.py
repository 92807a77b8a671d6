"""A run of everything: estimates, cancel, failures, layers that go, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.everything.scene import DISCS, SHAPE, SIDE, disc_like

from napari_segany.engine.automatic_estimate import count_questions
from napari_segany.widgets.everything_region import _LabelsReader, _PolygonReader, region_reader
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner


class WorkClock:
    """Goes on by 2 s with each encoding and by 0.1 s with each point."""

    def __init__(self, finder):
        self.finder = finder

    def __call__(self) -> float:
        return 2.0 * len(self.finder.encoded) + 0.1 * self.finder.calls


def test_a_run_tells_how_long_the_next_one_takes(flat):
    assert flat.estimate().seconds is None
    flat.run()
    first = flat.estimate().seconds
    assert first > 0
    flat.change(points_per_side=2 * SIDE)
    assert flat.estimate().seconds == pytest.approx(4 * first)


def test_the_estimate_of_a_region_asks_for_its_points_and_makes_no_mask(flat, viewer, monkeypatch):
    """The points are those of a run, which makes the mask; whatever the region is."""
    flat.change(points_per_side=24)
    viewer.canvas.size, viewer.scene.camera.zoom, viewer.scene.camera.center = (60, 60), 2.0, (20, 100)
    corners = np.array([(3.5, 4), (60, 20), (40.2, 90), (9, 60)])
    labels = np.zeros((40, 60), int)
    labels[5:20, 7:50] = 3
    polygon = viewer.add_shapes([corners], shape_type="polygon")
    ellipse = viewer.add_shapes([corners, corners + 20], shape_type="ellipse")
    scaled = viewer.add_labels(labels, scale=(2.5, 1.7), translate=(3, 5))
    same = viewer.add_labels(disc_like(SHAPE))
    for region in ("view", polygon, ellipse, scaled, same):
        flat.choose_region(region)
        with monkeypatch.context() as patch:
            for reader in (_PolygonReader, _LabelsReader):
                patch.setattr(reader, "__call__", lambda *_: pytest.fail("a mask of the whole plane was made"))
            points = flat.estimate().points
        plane = Plane((0, 1), ())
        mask = region_reader(viewer, flat.image, plane, flat.where.region)(plane)
        assert 0 < points == count_questions(SHAPE, flat.settings, mask).points < 24 * 24


def test_the_estimate_follows_the_view(flat, viewer):
    flat.change(points_per_side=8)
    viewer.canvas.size = (100, 100)
    viewer.scene.camera.zoom = 0.1
    flat.choose_region("view")
    told = []
    flat.estimate_changed.connect(lambda: told.append(flat.estimate().points))
    viewer.scene.camera.zoom = 2.0
    viewer.scene.camera.center = (20, 100)
    viewer.canvas.size = (60, 60)
    assert len(told) == 3
    assert 8 * 8 >= told[0] > told[1] > told[2] > 0
    flat.choose_region("image")
    told.clear()
    viewer.scene.camera.zoom = 3.0
    assert told == []


def test_errors_of_the_model_are_told(flat, finder):
    finder.failure = RuntimeError("the model is broken")
    flat.run()
    assert flat.state.phase == "failed"
    assert flat.status == "the model is broken"
    finder.failure = None
    flat.run()
    assert len(flat.objects) == 4


def test_without_an_image_or_in_3d_nothing_runs(session, viewer, image):
    with pytest.raises(ValueError, match="Open an image"):
        session.run()
    session.choose_image(viewer.add_image(np.stack([image, image])))
    viewer.dims.ndisplay = 3
    assert session.plane is None
    assert session.estimate() is None
    with pytest.raises(ValueError, match="2-D view"):
        session.run()
    with pytest.raises(ValueError, match="Image layer"):
        session.choose_image(viewer.add_labels(np.zeros((4, 4), int)))


def test_removing_the_layer_drops_the_objects_and_removing_the_image_ends(found, viewer):
    found.editor.select(list(found.objects)[:1])
    viewer.layers.remove(found.layer)
    assert found.objects == {}
    assert found.layer is None
    assert not viewer.layers["selected objects"].visible
    found.run()
    assert len(found.objects) == 4
    viewer.layers.remove("flat")
    assert found.image is None
    assert "everything" in [layer.name for layer in viewer.layers]


def test_other_data_begin_anew(found, image):
    old = found.layer
    found.image.data = np.zeros_like(image)
    assert found.objects == {}
    assert found.layer is None
    assert old.editable, "what was found becomes an ordinary layer"


def test_closing_leaves_an_ordinary_layer(found, viewer):
    layer = found.layer
    found.editor.select((1,))
    found.close()
    assert [layer.name for layer in viewer.layers] == ["flat", "everything"]
    assert layer.editable
    assert len(layer.mouse_drag_callbacks) == 0
    assert not any(str(key) in ("N", "J", "Delete") for key in layer.keymap)


def test_while_it_runs_the_layer_is_not_painted_in(found):
    found.layer.mode = "paint"
    assert found.layer.mode == "pan_zoom"
    found.layer.editable = True
    assert not found.layer.editable


def test_finished_slices_stay_when_the_rest_is_cancelled(viewer, finder, discs, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(np.stack([discs.disc_image(SHAPE, DISCS)] * 3), contrast_limits=(0, 255)))
    session.run(all_slices=True)
    (run,) = by_hand.running
    seen = []
    session.state_changed.connect(lambda state: seen.append(state.progress))
    while len(by_hand.running) == 1:
        run.step()
    run.step()
    assert seen[-1].total == pytest.approx(3 * 36)
    session.cancel()
    assert run.cancelled
    by_hand.finish_all()
    assert {one.plane.index for one in session.objects.values()} == {(0,)}
    assert session.state.phase == "idle"


def test_another_model_or_its_weights_wait_for_the_end_of_a_run(viewer, finder, discs, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(np.stack([discs.disc_image(SHAPE, DISCS)] * 3), contrast_limits=(0, 255)))
    session.prepare()
    session.choose_model("vit_t")
    assert session.model == "vit_t", "what is prepared ahead is in nobody's way"
    told = []
    session.model_changed.connect(told.append)
    session.run(all_slices=True)
    for refused in (
        lambda: session.choose_model("vit_b"),
        lambda: session.choose_device("cpu"),
        lambda: session.download("Downloading", iter(()), lambda: None),
    ):
        refused()
        assert session.status.startswith("Wait for the end of what runs, or cancel it, to ")
    assert (session.model, session.device, told) == ("vit_t", "auto", ["vit_t"])
    by_hand.finish_all()
    assert {one.plane.index for one in session.objects.values()} == {(0,), (1,), (2,)}
    session.choose_model("vit_b")
    assert session.model == "vit_b"


def test_closed_while_slices_are_filtered_the_table_and_masks_are_of_what_is_shown(viewer, finder, discs, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(np.stack([discs.disc_image(SHAPE, DISCS)] * 3), contrast_limits=(0, 255)))
    session.run(all_slices=True)
    by_hand.finish_all()
    layer = session.layer
    session.change(pred_iou_thresh=0.85)
    by_hand.running[0].finish()
    by_hand.running[0].finish()
    assert "filtering" in session.status
    session.close()
    shown = [set(np.unique(plane)) - {0} for plane in layer.data]
    assert sorted(len(labels) for labels in shown) == [2, 2, 4]
    assert set(layer.features["area"].dropna().index) == set.union(*shown)
    kept = layer.metadata[MASKS_KEY].planes
    assert [{mask.label for mask in kept[index,]} for index in range(3)] == shown


def test_the_estimate_is_points_times_what_was_measured(flat, finder):
    assert flat.estimate().seconds is None
    flat.prepare()
    one = flat.estimate().seconds
    assert one > 0
    flat.change(points_per_side=2 * SIDE)
    assert flat.estimate().points == 4 * SIDE**2
    assert flat.estimate().seconds == pytest.approx(4 * one)


@pytest.mark.parametrize(("run_all", "crop_layers"), [(False, 0), (False, 1), (True, 0), (True, 1)])
def test_a_run_that_nothing_was_prepared_for_tells_what_encoding_takes(viewer, finder, image, run_all, crop_layers):
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder)
    session._asker._clock = clock = WorkClock(finder)
    session.change(points_per_side=SIDE, crop_n_layers=crop_layers)
    session.choose_image(viewer.add_image(np.stack([image] * 3)))
    session.run(all_slices=run_all)
    took, encoded = clock(), len(finder.encoded)
    assert encoded == (3 if run_all else 1) * (1 + 4 * crop_layers)
    session.choose_image(viewer.add_image(np.stack([image] * 3)))
    estimate = session.estimate(all_slices=run_all)
    assert estimate.seconds == pytest.approx(took, rel=0.05)
    assert session.estimate(all_slices=True).seconds == pytest.approx(took * (1 if run_all else 3), rel=0.05)


def test_a_slice_that_waits_is_estimated_with_its_embedding(stack):
    stack.prepare()
    speed = stack._asker.speed
    all_three = stack.estimate(all_slices=True)
    assert all_three.slices == 3
    assert all_three.points == 3 * SIDE**2
    assert all_three.seconds == pytest.approx(3 * SIDE**2 * speed.point_s + 2 * speed.encode_s)


@pytest.mark.parametrize("event", ["filter", "run", "image goes", "layer goes", "close"])
def test_what_is_prepared_for_later_filterings_makes_way_at_once(event, viewer, finder, image, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=SIDE, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(image, name="flat"))
    session.run()
    while by_hand.running:
        by_hand.running[0].finish()
    assert session.objects
    by_hand.run_waiting()
    (ahead,) = by_hand.running
    assert not session.is_busy, "nobody waits for what is prepared"
    if event == "filter":
        session.change(pred_iou_thresh=0.7)
    elif event == "run":
        session.run()
    elif event == "image goes":
        viewer.layers.remove("flat")
        by_hand.run_waiting()
    elif event == "layer goes":
        viewer.layers.remove(session.layer)
    else:
        session.close()
    assert ahead not in by_hand.running
    assert len(by_hand.running) == (event in ("filter", "run"))
    by_hand.finish_all()
    others = [task.title for task in by_hand.tasks if task.title == ahead.title]
    assert len(others) == (2 if event in ("filter", "run") else 1), "gone on with afterwards"
