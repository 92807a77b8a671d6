from __future__ import annotations

import numpy as np
import pytest

from napari_segany.widgets import candidate_layers
from napari_segany.widgets.candidate_layers import CandidateLayers
from napari_segany.widgets.drafts import Candidate
from napari_segany.widgets.geometry import Plane

PLANE = Plane((1, 2), (2,))


def candidate(value: int) -> Candidate:
    mask = np.zeros((20, 30), bool)
    mask[value, :] = True
    picture = np.zeros((2, 2, 3), np.uint8)
    return Candidate(mask, value / 10, value / 20, np.zeros((4, 4), np.float32), picture, picture[..., 0] > 0)


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros((5, 20, 30)), name="image")


@pytest.fixture
def layers(viewer):
    return CandidateLayers(viewer)


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_masks_scores_and_places(layers, viewer, image):
    layers.show(image, PLANE, [candidate(9), candidate(8), candidate(7)], 1)
    assert names(viewer) == ["image", "mask 1", "mask 2", "mask 3"]
    second = viewer.layers["mask 2"]
    np.testing.assert_array_equal(second.data[0] > 0, candidate(8).mask)
    assert second.features["predicted_iou"][1] == pytest.approx(0.8)
    assert second.features["stability_score"][1] == pytest.approx(0.4)
    assert [layer.visible for layer in viewer.layers[1:]] == [False, True, False]
    assert viewer.layers.selection.active is image


def test_fewer_candidates_leave_no_old_mask_behind(layers, viewer, image):
    layers.show(image, PLANE, [candidate(9), candidate(8), candidate(7)], 2)
    layers.show(image, PLANE, [candidate(5)], 0)
    assert viewer.layers["mask 1"].data[0, 5].all()
    assert not viewer.layers["mask 1"].data[0, 9].any()
    for name in ("mask 2", "mask 3"):
        assert not viewer.layers[name].data.any()
        assert not viewer.layers[name].visible
        assert viewer.layers[name].features["predicted_iou"].isna().all()
    layers.hide()
    assert not viewer.layers["mask 1"].data.any()


def test_of_a_large_plane_only_what_is_drawn_on_is_written(layers, viewer, image, monkeypatch):
    monkeypatch.setattr(candidate_layers, "_WRITTEN_INTO", 20 * 30 - 1)
    layers.show(image, PLANE, [candidate(9), candidate(8)], 0)
    first = viewer.layers["mask 1"]
    earlier = first.data
    layers.show(image, PLANE, [candidate(5)], 0)
    # Zeros that nobody wrote take no memory; cleaning an array would write all of it.
    assert first.data is not earlier
    np.testing.assert_array_equal(earlier[0] > 0, candidate(9).mask)
    np.testing.assert_array_equal(first.data[0] > 0, candidate(5).mask)
    assert not viewer.layers["mask 2"].data.any()
    layers.hide()
    assert not first.data.any()


def test_another_plane_moves_and_reshapes_the_same_layers(layers, viewer, image):
    layers.show(image, PLANE, [candidate(9)], 0)
    first = viewer.layers["mask 1"]
    other = Plane((0, 2), (7,))
    sideways = candidate(3)
    sideways = Candidate(sideways.mask[:5], 0.5, 0.5, sideways.logits, sideways.thumbnail, sideways.outline)
    layers.show(image, other, [sideways], 0)
    assert viewer.layers["mask 1"] is first
    assert first.data.shape == (5, 1, 30)
    np.testing.assert_allclose(first.data_to_world((3, 0, 4)), image.data_to_world((3, 7, 4)))


def test_a_deleted_layer_is_made_again_in_its_own_rank(layers, viewer, image):
    layers.show(image, PLANE, [candidate(9), candidate(8), candidate(7)], 0)
    gone = viewer.layers["mask 2"]
    viewer.layers.remove(gone)
    assert layers.forget(gone)
    assert not layers.forget(image)
    layers.show(image, PLANE, [candidate(9), candidate(8), candidate(7)], 1)
    assert viewer.layers["mask 2"].data[0, 8].all()
    assert viewer.layers["mask 3"].data[0, 7].all()


def test_clearing_removes_them(layers, viewer, image):
    layers.show(image, PLANE, [candidate(9)], 0)
    layers.clear()
    layers.clear()
    assert names(viewer) == ["image"]


def test_a_candidate_is_a_line_around_a_faint_filling_as_wide_as_the_zoom_needs(layers, viewer, image):
    mask = np.zeros((20, 30), bool)
    mask[4:16, 5:25] = True
    picture = np.zeros((2, 2, 3), np.uint8)
    one = Candidate(mask, 0.9, 0.9, np.zeros((4, 4), np.float32), picture, picture[..., 0] > 0)
    for zoom, width in ((3.0, 1), (0.6, 3)):
        viewer.scene.camera.zoom = zoom
        layers.show(image, PLANE, [one], 0)
        layer = viewer.layers["mask 1"]
        core = np.zeros_like(mask)
        core[4 + width : 16 - width, 5 + width : 25 - width] = True
        np.testing.assert_array_equal(layer.data[0], np.where(core, 1, np.where(mask, 2, 0)))
    inside, edge = (layer.colormap.map(np.array([value]))[0] for value in (1, 2))
    np.testing.assert_allclose(inside[:3], edge[:3])
    assert inside[3] < 0.4 < edge[3] == 1.0


def test_pixels_are_there_at_once_and_drawn_when_the_event_is_over(viewer, image):
    waiting, drawn = [], []
    layers = CandidateLayers(viewer, waiting.append)
    layers.show(image, PLANE, [candidate(9), candidate(8)], 0)
    first = viewer.layers["mask 1"]
    while waiting:
        waiting.pop(0)()
    first.events.set_data.connect(drawn.append)
    layers.show(image, PLANE, [candidate(7), candidate(6)], 0)
    layers.show(image, PLANE, [candidate(5), candidate(4)], 0)
    assert first.data[0, 5].all()
    assert not first.data[0, 7].any()
    assert drawn == []
    while waiting:
        waiting.pop(0)()
    assert len(drawn) == 1
    layers.hide()
    assert not first.data.any()
    assert waiting
