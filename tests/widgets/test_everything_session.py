"""Segmenting everything with a viewer model and without Qt: run, filter, edit, slices, regions."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image

from napari_segany.formats.sa1b import read_sa1b, write_sa1b
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner

SHAPE = (96, 128)
# row, col, radius, level: a cell (150) with a nucleus (240) in it, and two cells apart (200 and 230)
DISCS = ((30, 30, 18, 150), (30, 30, 8, 240), (70, 100, 10, 200), (20, 100, 10, 230))


@pytest.fixture
def finder(discs):
    return discs.DiscFinder()


@pytest.fixture
def image(discs):
    return discs.disc_image(SHAPE, DISCS)


@pytest.fixture
def session(viewer, finder) -> EverythingSession:
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder)
    session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    return session


@pytest.fixture
def flat(session, viewer, image):
    session.choose_image(viewer.add_image(image, name="flat"))
    return session


@pytest.fixture
def found(flat):
    flat.run()
    return flat


def overlap(first, second) -> float:
    return (first & second).sum() / (first | second).sum()


def label_of(session, discs, number, shape=SHAPE) -> int:
    """The label of the object that is this disc, whole."""
    truth = discs.disc_mask(shape, *DISCS[number][:3])
    (label,) = [label for label, one in session.objects.items() if overlap(one.record.mask, truth) > 0.8]
    return label


def test_every_disc_is_found_once_and_nested_ones_are_whole(found, discs):
    assert len(found.objects) == 4
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    assert found.objects[nucleus].parent == cell
    assert found.objects[cell].parent == 0
    data = found.layer.data
    assert data[30, 30] == nucleus
    assert data[30, 16] == cell
    assert data[5, 5] == 0
    assert "4 objects" in found.status


def test_the_table_is_dense_and_tells_what_is_known(found, discs):
    table = found.layer.features
    assert list(table["index"]) == [0, 1, 2, 3, 4]
    assert table.iloc[0, 1:].isna().all()
    nucleus = label_of(found, discs, 1)
    record = found.objects[nucleus].record
    row = table.loc[nucleus]
    assert row["predicted_iou"] == pytest.approx(240 / 250)
    assert row["stability_score"] == pytest.approx(record.stability_score)
    assert row["area"] == record.area == pytest.approx(discs.disc_mask(SHAPE, 30, 30, 8).sum(), rel=0.15)
    assert tuple(row[["bbox_row_min", "bbox_col_min", "bbox_row_max", "bbox_col_max"]]) == record.bbox
    assert row["parent"] == label_of(found, discs, 0)
    assert not any(name.startswith("slice") for name in table)
    pd.testing.assert_frame_equal(table, found.editor.table)


def test_thresholds_filter_without_the_model_and_colours_stay(found, discs, finder):
    calls = finder.calls
    numbers = {number: label_of(found, discs, number) for number in range(4)}
    found.change(pred_iou_thresh=0.85)  # 212 and more: the nucleus and the bright cell
    assert set(found.objects) == {numbers[1], numbers[3]}
    assert set(np.unique(found.layer.data)) == {0, numbers[1], numbers[3]}
    table = found.layer.features
    assert len(table) == max(numbers[1], numbers[3]) + 1
    gone = [label for label in range(1, len(table)) if label not in found.objects]
    assert table.loc[gone, "area"].isna().all()
    assert list(table["index"]) == list(range(len(table)))
    found.change(pred_iou_thresh=0.5)
    assert label_of(found, discs, 1) == numbers[1]
    assert label_of(found, discs, 3) == numbers[3]
    assert sorted(found.objects) == [1, 2, 3, 4]
    assert finder.calls == calls


def test_other_questions_need_a_run_and_until_then_the_objects_stay(found, finder):
    calls = finder.calls
    found.change(points_per_side=6)
    assert found.needs_run
    assert "press Run" in found.status
    assert len(found.objects) == 4
    found.change(pred_iou_thresh=0.9)  # thresholds still work on what was asked
    assert len(found.objects) == 2
    assert finder.calls == calls
    found.run()
    assert not found.needs_run
    assert finder.calls > calls


def test_the_painting_rule_can_be_changed_afterwards(found, discs, finder):
    calls = finder.calls
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.choose_painting("larger")
    assert found.layer.data[30, 30] == cell
    assert nucleus not in found.layer.data
    assert found.layer.features.loc[nucleus, "area"] > 0, "a covered object is still there"
    found.choose_painting("better")
    assert found.layer.data[30, 30] == nucleus
    found.choose_painting("separate")  # the better nucleus is a fifth of the cell: the cell is left out
    assert cell not in found.layer.data
    found.choose_painting("smaller")
    assert {cell, nucleus} <= set(np.unique(found.layer.data))
    assert finder.calls == calls
    with pytest.raises(ValueError, match="smaller, larger, better, separate"):
        found.choose_painting("top")


def test_clicking_again_selects_the_object_around(found, discs):
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.editor.select_at((30, 30))
    assert found.editor.selection == (nucleus,)
    assert found.layer.selected_label == nucleus
    assert f"inside object {cell}" in found.status
    found.editor.select_at((30, 30))
    assert found.editor.selection == (cell,)
    found.editor.select_at((30, 30))
    assert found.editor.selection == (nucleus,)
    found.editor.select_at((70, 100), add=True)
    assert len(found.editor.selection) == 2
    found.editor.select_at((5, 5))
    assert found.editor.selection == ()


def test_the_outline_lies_on_the_selected_object(found, viewer, discs):
    label = label_of(found, discs, 2)
    found.editor.select((label,))
    outline = viewer.layers["selected objects"]
    drawn = np.zeros(SHAPE, bool)
    top, left = (int(value) for value in outline.translate)
    drawn[top : top + outline.data.shape[0], left : left + outline.data.shape[1]] = outline.data
    np.testing.assert_array_equal(drawn, found.objects[label].record.mask)
    found.editor.select(())
    assert not outline.visible


def test_deleted_objects_stay_away_and_undo_brings_them_back(found, discs):
    label = label_of(found, discs, 2)
    found.editor.select((label,))
    found.editor.delete()
    assert label not in found.objects
    assert not found.layer.data[70, 100]
    assert found.editor.selection == ()
    others = set(found.objects)
    found.change(pred_iou_thresh=0.4)
    assert set(found.objects) == others
    found.editor.undo()
    assert label_of(found, discs, 2) == label
    assert found.layer.data[70, 100] == label
    found.editor.undo()
    assert found.status == "There is nothing to take back."


def test_deleting_an_object_shows_what_lies_under_it(found, discs):
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.editor.select((nucleus,))
    found.editor.delete()
    assert found.layer.data[30, 30] == cell


def test_merged_objects_are_one_whatever_the_thresholds(found, discs):
    first, second = sorted((label_of(found, discs, 2), label_of(found, discs, 3)))
    union = found.objects[first].record.mask | found.objects[second].record.mask
    found.editor.select((first, second))
    assert found.editor.merge() == first
    assert found.editor.selection == (first,)
    assert second not in found.objects
    np.testing.assert_array_equal(found.objects[first].record.mask, union)
    np.testing.assert_array_equal(found.layer.data == first, union)
    row = found.layer.features.loc[first]
    assert np.isnan(row["predicted_iou"])
    assert row["area"] == union.sum()
    found.change(pred_iou_thresh=0.99)
    assert set(found.objects) == {first}
    found.change(pred_iou_thresh=0.5)
    found.editor.undo()
    assert len(found.objects) == 4


def test_merging_needs_two(found):
    found.editor.select((1,))
    with pytest.raises(ValueError, match="two or more"):
        found.editor.merge()
    found.editor.attempt("merge")
    assert "two or more" in found.status
    found.editor.select(())
    assert found.editor.merge() is None
    assert "Nothing is selected" in found.status
    with pytest.raises(ValueError, match="no object 99"):
        found.editor.select((99,))


def test_picked_objects_go_into_the_layer_of_the_prompts(found, viewer, discs):
    nucleus, other = label_of(found, discs, 1), label_of(found, discs, 2)
    found.editor.select((nucleus, other))
    assert found.editor.pick() == [1, 2]
    objects = viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data == 1, found.objects[nucleus].record.mask)
    assert objects.features.loc[1, "predicted_iou"] == pytest.approx(240 / 250)
    assert '"points"' in objects.features.loc[1, "prompts"]
    assert found.editor.pick() == [], "they are there already"
    assert "cover the whole mask" in found.status


def test_a_label_chosen_in_the_layer_is_selected(found, discs):
    label = label_of(found, discs, 3)
    found.layer.selected_label = label
    assert found.editor.selection == (label,)
    found.layer.selected_label = 77
    assert found.editor.selection == (label,)


def test_saved_and_opened_again_nothing_is_lost(found, viewer, finder, tmp_path):
    path = tmp_path / "flat.json"
    write_sa1b(path, found.editor.records, file_name="flat.png", size=SHAPE)
    before = {label: one.record.rle for label, one in found.objects.items()}
    again = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder)
    again.choose_image(viewer.layers["flat"])
    again.editor.open_records(read_sa1b(path).records)
    assert {label: one.record.rle for label, one in again.objects.items()} == before
    assert again.layer.features["parent"].max() > 0
    again.editor.select((2,))
    again.editor.delete()
    assert set(again.objects) == set(before) - {2}
    again.choose_image(viewer.add_image(np.zeros((20, 20))))
    with pytest.raises(ValueError, match="this one has"):
        again.editor.open_records(read_sa1b(path).records)


def test_the_masks_are_kept_with_the_layer_for_files(found, discs):
    kept = found.layer.metadata[MASKS_KEY]
    assert kept.rule == "smaller"
    assert {mask.label: mask.record.rle for mask in kept.planes[()]} == {
        label: one.record.rle for label, one in found.objects.items()
    }


@pytest.fixture
def stack(session, viewer, discs):
    planes = [
        discs.disc_image(SHAPE, DISCS[:2]),
        np.zeros(SHAPE, np.uint8),
        discs.disc_image(SHAPE, DISCS[2:]),
    ]
    viewer.add_image(np.stack(planes), name="stack", contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 2)
    session.choose_image(viewer.layers[0])
    return session


def test_one_slice_of_a_stack(stack):
    assert stack.slices == 3
    stack.run()
    assert len(stack.objects) == 2
    assert set(np.flatnonzero(stack.layer.data.any(axis=(1, 2)))) == {2}
    assert set(stack.layer.features["slice_0"].dropna()) == {2}


def test_all_slices_have_numbers_of_their_own(stack, viewer):
    stack.run(all_slices=True)
    assert sorted(stack.objects) == [1, 2, 3, 4]
    data = stack.layer.data
    assert set(np.unique(data[0])) == {0, 1, 2}
    assert not data[1].any()
    assert set(np.unique(data[2])) == {0, 3, 4}
    assert list(stack.layer.features["slice_0"][1:]) == [0, 0, 2, 2]
    stack.change(pred_iou_thresh=0.85)
    assert [len(np.unique(plane)) - 1 for plane in stack.layer.data] == [1, 0, 1]
    kept = stack.layer.metadata[MASKS_KEY]
    assert {index: len(masks) for index, masks in kept.planes.items()} == {(0,): 1, (2,): 1}
    stack.editor.select(list(stack.objects))
    with pytest.raises(ValueError, match="several slices"):
        stack.editor.merge()


def test_running_a_slice_again_leaves_the_others(stack, viewer):
    stack.run(all_slices=True)
    first = stack.layer.data[0].copy()
    stack.change(points_per_side=10)
    stack.run()
    np.testing.assert_array_equal(stack.layer.data[0], first)
    assert sorted(stack.objects) == [1, 2, 3, 4]


def test_the_embedding_of_a_slice_is_computed_once(stack, finder):
    stack.prepare()
    assert len(finder.encoded) == 1
    stack.run()
    stack.change(points_per_side=6)
    stack.run()
    assert len(finder.encoded) == 1
    stack.image.contrast_limits = (0, 100)
    stack.run()
    assert finder.limits == [(0, 255), (0, 100)]


def test_candidates_of_other_slices_are_let_go_beyond_the_limit(viewer, finder, discs):
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder, cache_bytes=1)
    session.change(points_per_side=6, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(np.stack([discs.disc_image(SHAPE, DISCS)] * 2), contrast_limits=(0, 255)))
    session.run(all_slices=True)
    count = len(session.objects)
    session.change(pred_iou_thresh=0.99)
    assert 0 < len(session.objects) < count, "the slice without candidates keeps its objects"
    assert "let go to save memory" in session.status


@pytest.mark.parametrize("kind", ["rgb", "uint16", "float", "multiscale"])
def test_images_of_other_kinds(session, viewer, image, finder, kind):
    if kind == "rgb":
        layer = viewer.add_image(np.repeat(image[..., None], 3, axis=2), rgb=True)
    elif kind == "multiscale":
        layer = viewer.add_image([image, image[::2, ::2]], multiscale=True, contrast_limits=(0, 255))
    else:
        layer = viewer.add_image(image.astype(kind), contrast_limits=(0, 255))
    session.choose_image(layer)
    session.run()
    assert len(session.objects) == 4
    assert session.layer.data.shape == SHAPE
    assert finder.limits[-1] == (None if kind == "rgb" else (0, 255))


def test_the_layer_lies_where_the_image_lies(session, viewer, image):
    layer = viewer.add_image(image, scale=(0.5, 2), translate=(10, -3), units=("um", "um"))
    session.choose_image(layer)
    session.run()
    np.testing.assert_allclose(session.layer.extent.world, layer.extent.world)
    assert session.layer.units == layer.units
    layer.translate = (0, 0)
    np.testing.assert_allclose(session.layer.extent.world, layer.extent.world)


def test_a_polygon_restricts_points_and_pixels(flat, viewer, discs):
    shapes = viewer.add_shapes(np.array([[0, 64], [0, 127], [50, 127], [50, 64]]), shape_type="polygon")
    flat.choose_region(shapes)
    flat.run()
    assert [label_of(flat, discs, 3)] == list(flat.objects)
    assert flat.estimate().points < 8 * 8 / 2
    flat.choose_region("image")
    assert flat.estimate().points == 8 * 8


def test_an_ellipse_and_a_mask_restrict_alike(flat, viewer, discs):
    box = np.array([[0, 80], [0, 120], [40, 120], [40, 80]])
    flat.choose_region(viewer.add_shapes(box, shape_type="ellipse"))
    by_ellipse = flat.estimate().points
    flat.choose_region(viewer.add_labels(disc_like(SHAPE)))
    assert flat.estimate().points == by_ellipse > 0
    flat.run()
    assert list(flat.objects) == [label_of(flat, discs, 3)]


def disc_like(shape):
    rows, cols = np.indices(shape)
    return (np.hypot(rows - 20, cols - 100) <= 20).astype(int)


def test_a_shape_on_one_slice_leaves_the_others_out(stack, viewer, finder):
    corners = np.array([[2, 50, 70], [2, 50, 127], [2, 90, 127], [2, 90, 70]])
    stack.choose_region(viewer.add_shapes(corners, shape_type="rectangle", ndim=3))
    stack.run(all_slices=True)
    assert len(finder.encoded) == 1
    assert len(stack.objects) == 1
    viewer.dims.set_current_step(0, 0)
    stack.run()
    assert stack.state.phase == "failed"
    assert "no pixel" in stack.status


def test_the_view_restricts_to_what_the_canvas_shows(flat, viewer, discs):
    viewer.canvas.size = (100, 100)
    viewer.scene.camera.zoom = 2.0
    viewer.scene.camera.center = (20, 100)
    flat.choose_region("view")
    flat.run()
    assert list(flat.objects) == [label_of(flat, discs, 3)]


def test_a_run_tells_how_long_the_next_one_takes(flat):
    assert flat.estimate().seconds is None
    flat.run()
    first = flat.estimate().seconds
    assert first > 0
    flat.change(points_per_side=16)
    assert flat.estimate().seconds == pytest.approx(4 * first)


def test_the_estimate_follows_the_view(flat, viewer):
    viewer.canvas.size = (100, 100)
    viewer.scene.camera.zoom = 0.1
    flat.choose_region("view")
    told = []
    flat.estimate_changed.connect(lambda: told.append(flat.estimate().points))
    viewer.scene.camera.zoom = 2.0
    viewer.scene.camera.center = (20, 100)
    viewer.canvas.size = (60, 60)
    assert len(told) == 3
    assert 64 >= told[0] > told[1] > told[2] > 0
    flat.choose_region("image")
    told.clear()
    viewer.scene.camera.zoom = 3.0
    assert told == []


def test_regions_that_cannot_be_used_are_refused(flat, viewer):
    with pytest.raises(ValueError, match="'image', 'view'"):
        flat.choose_region("half")
    shapes = viewer.add_shapes(np.array([[0, 0], [9, 9]]), shape_type="line")
    flat.choose_region(shapes)
    with pytest.raises(ValueError, match="no closed shape"):
        flat.run()
    viewer.layers.remove(shapes)
    assert flat.where.region.kind == "image"


def test_own_points_are_asked_in_place_of_the_grid(flat, viewer, discs, finder):
    points = viewer.add_points([[60, 60], [60, 32], [140, 200], [-50, 0]], scale=(0.5, 0.5), translate=(0, 0))
    flat.choose_points(points)
    assert flat.estimate().points == 3, "one lies beside the image"
    flat.run()
    cell, nucleus, apart = (label_of(flat, discs, number) for number in (0, 1, 2))
    assert sorted(flat.objects) == sorted([cell, nucleus, apart])
    assert not flat.needs_run
    calls = finder.calls
    flat.change(pred_iou_thresh=0.9)  # filters what was asked
    assert list(flat.objects) == [nucleus]
    assert finder.calls == calls
    points.add([[40, 200]])
    assert flat.needs_run
    assert flat.estimate().points == 4
    flat.change(crop_n_layers=1, pred_iou_thresh=0.5)  # the crops have the grid
    flat.run()
    assert len(flat.objects) == 4
    viewer.layers.remove(points)
    assert flat.where.points is None
    assert flat.estimate().points > 64
    with pytest.raises(ValueError, match="choose a Points layer"):
        flat.choose_points(flat.image)


def test_own_points_of_a_stack_are_those_of_each_slice(session, viewer, image, discs):
    session.choose_image(viewer.add_image(np.stack([image] * 3)))
    session.choose_points(viewer.add_points([[0, 30, 30], [0, 30, 16], [2, 70, 100]]))
    session.run(all_slices=True)
    found = sorted((one.plane.index, one.record.area > 900) for one in session.objects.values())
    assert found == [((0,), False), ((0,), True), ((2,), False)]
    viewer.dims.set_current_step(0, 1)
    with pytest.raises(ValueError, match="no point on the image here"):
        session.run()
    session.choose_points(viewer.add_points([[70, 100]]))  # of fewer dimensions: for every slice
    session.run(all_slices=True)
    assert len(session.objects) == 3


def test_without_masks_it_says_which_thresholds_are_in_the_way(flat):
    flat.change(pred_iou_thresh=0.99)
    flat.run()
    assert len(flat.objects) == 0
    assert "best predicted IoU is 0.96" in flat.status
    assert "Lower" in flat.status


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
    viewer.layers.remove(found.layer)
    assert found.objects == {}
    assert found.layer is None
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


def test_an_edit_while_a_slider_is_being_filtered_is_not_lost(viewer, finder, image, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(image))
    session.run()
    by_hand.finish_all()
    assert len(session.objects) == 4
    session.change(pred_iou_thresh=0.7)
    session.change(pred_iou_thresh=0.85)
    assert len(by_hand.running) == 1, "one filtering at a time, the newest wish is next"
    (label, other) = (label for label, one in session.objects.items() if one.record.predicted_iou > 0.9)
    session.editor.select((label,))
    session.editor.delete()
    assert label not in session.objects
    by_hand.finish_all()
    assert set(session.objects) == {other}
    assert set(np.unique(session.layer.data)) == {0, other}


def test_the_estimate_is_points_times_what_was_measured(flat, finder):
    assert flat.estimate().seconds is None
    flat.prepare()
    one = flat.estimate().seconds
    assert one > 0
    flat.change(points_per_side=16)
    assert flat.estimate().points == 4 * 8 * 8
    assert flat.estimate().seconds == pytest.approx(4 * one)


def test_a_slice_that_waits_is_estimated_with_its_embedding(stack):
    stack.prepare()
    speed = stack._asker.speed
    all_three = stack.estimate(all_slices=True)
    assert all_three.slices == 3
    assert all_three.points == 3 * 64
    assert all_three.seconds == pytest.approx(3 * 64 * speed.point_s + 2 * speed.encode_s)


def test_it_knows_no_qt_and_loads_no_torch_before_it_works():
    code = (
        "import sys; import napari_segany.widgets.everything_session; "
        "assert 'torch' not in sys.modules, 'torch'; assert 'qtpy.QtWidgets' not in sys.modules, 'Qt'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_images_only(session, viewer):
    assert isinstance(viewer.add_image(np.zeros((9, 9))), Image)
    session.choose_image(None)
    assert session.status == "Open an image to begin."
