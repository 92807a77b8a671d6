"""Where everything is looked for: slices, regions, own points, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.everything.scene import DISCS, SHAPE, SIDE, disc_like, label_of

from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.file_writers import NotSavedError, write_coco, write_label_image
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner


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


def test_slices_along_other_axes_are_not_saved_as_something_else(session, viewer, image, tmp_path):
    viewer.dims.ndim = 3
    session.choose_image(viewer.add_image(np.stack([image, image], axis=1), contrast_limits=(0, 255)))
    viewer.dims.order = (1, 0, 2)
    session.run(all_slices=True)
    assert {found.plane.axes for found in session.objects.values()} == {(0, 2)}
    state = session.layer.as_layer_data_tuple()
    with pytest.raises(NotSavedError, match="save it as label TIFF"):
        write_coco(str(tmp_path / "cells.coco.json"), [state])
    assert list(tmp_path.iterdir()) == []
    write_label_image(str(tmp_path / "cells.labels.tif"), [state])
    session.editor.select(list(session.objects))
    session.editor.delete()
    session.change(pred_iou_thresh=1.0)
    write_coco(str(tmp_path / "none.coco.json"), [session.layer.as_layer_data_tuple()])


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


def test_a_polygon_restricts_points_and_pixels(flat, viewer, discs):
    shapes = viewer.add_shapes(np.array([[0, 64], [0, 127], [50, 127], [50, 64]]), shape_type="polygon")
    flat.choose_region(shapes)
    flat.run()
    assert [label_of(flat, discs, 3)] == list(flat.objects)
    assert flat.estimate().points < SIDE**2 / 2
    flat.choose_region("image")
    assert flat.estimate().points == SIDE**2


def test_an_ellipse_and_a_mask_restrict_alike(flat, viewer, discs):
    box = np.array([[0, 80], [0, 120], [40, 120], [40, 80]])
    flat.choose_region(viewer.add_shapes(box, shape_type="ellipse"))
    by_ellipse = flat.estimate().points
    flat.choose_region(viewer.add_labels(disc_like(SHAPE)))
    assert flat.estimate().points == by_ellipse > 0
    flat.run()
    assert list(flat.objects) == [label_of(flat, discs, 3)]


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
    assert flat.estimate().points > SIDE**2
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
