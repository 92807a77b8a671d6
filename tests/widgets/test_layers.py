from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_segany.widgets import layers as ours
from napari_segany.widgets.geometry import Plane

PLACES = [
    {},
    {"scale": (3.0, 2.0, 0.5), "translate": (10.0, -5.0, 7.0)},
    {"rotate": (10, 20, 30), "scale": (1.0, 2.0, 3.0)},
    {"shear": [0.1, 0.2, 0.3], "translate": (1.0, 2.0, 3.0)},
    {"affine": np.array([[0, 2, 0, 5], [1, 0, 0.5, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]]), "scale": (2.0, 1.0, 1.0)},
    {"units": ("um", "nm", "nm"), "axis_labels": ("z", "y", "x")},
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("plane", [Plane((1, 2), (3,)), Plane((0, 2), (4,)), Plane((0, 1), (5,))])
def test_a_layer_of_one_plane_lies_where_the_image_does(place, plane):
    image = Image(np.zeros((7, 8, 9)), **place)
    thin = Labels(np.zeros(plane.thin_shape(image.data.shape), np.uint8), **ours.placement(image, plane))
    for pixel in ((0, 0), (3, 5)):
        there = plane.to_data([pixel])[0]
        here = np.where(np.isin(np.arange(3), plane.axes), there, 0)
        np.testing.assert_allclose(thin.data_to_world(here), image.data_to_world(there), atol=1e-9)
    assert thin.units == image.units
    assert thin.axis_labels == image.axis_labels


@pytest.mark.parametrize("place", PLACES)
def test_following_an_image_that_was_moved(place):
    image = Image(np.zeros((7, 8, 9)), **place)
    layer = Labels(np.zeros((7, 8, 9), np.uint8), **ours.placement(image))
    image.scale, image.translate, image.units = (4.0, 5.0, 6.0), (1.0, 1.0, 2.0), ("mm", "mm", "mm")
    ours.follow(layer, image)
    np.testing.assert_allclose(layer.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
    assert layer.units == image.units


def test_units_ratio_is_one_where_all_agree():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((4, 4)), units=("um", "um"))
    np.testing.assert_array_equal(ours.units_ratio(viewer, layer), 1)


def test_units_ratio_between_micrometres_and_nanometres():
    viewer = ViewerModel()
    in_nm = viewer.add_image(np.zeros((4, 4)), units=("nm", "nm"), scale=(100, 100))
    in_um = viewer.add_image(np.zeros((4, 4)), units=("um", "um"), scale=(0.1, 0.1))
    np.testing.assert_allclose(ours.units_ratio(viewer, in_um), 1e-3)
    np.testing.assert_allclose(ours.units_ratio(viewer, in_nm), 1)
    np.testing.assert_allclose(ours.world_to_data(viewer, in_um, (200.0, 300.0)), (2, 3))


def test_units_of_other_kinds_leave_positions_alone():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 4)), units=("um", "um"))
    viewer.add_image(np.zeros((4, 4)))
    np.testing.assert_array_equal(ours.units_ratio(viewer, image), 1)


def test_shown_plane_of_a_flat_image_beside_a_volume():
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 20, 20)))
    flat = viewer.add_image(np.zeros((20, 20)))
    assert ours.shown_plane(viewer, flat) == Plane((0, 1), ())


def test_shown_plane_follows_slider_order_and_scale():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 20, 30)), scale=(2.0, 1.0, 1.0), translate=(100, 0, 0))
    viewer.dims.set_current_step(0, 4)
    assert ours.shown_plane(viewer, image) == Plane((1, 2), (4,))
    viewer.dims.order = (2, 1, 0)
    viewer.dims.set_current_step(2, 17)
    assert ours.shown_plane(viewer, image) == Plane((0, 1), (17,))


def test_limits_of_grey_and_of_colour():
    assert ours.intensity_limits(Image(np.zeros((4, 4)), contrast_limits=(1, 3))) == (1.0, 3.0)
    assert ours.intensity_limits(Image(np.zeros((4, 4, 3)), rgb=True)) is None


def test_read_plane_of_lazy_data():
    da = pytest.importorskip("dask.array")
    data = da.arange(60).reshape(3, 4, 5)
    np.testing.assert_array_equal(ours.read_plane(data, Plane((0, 2), (1,))), data.compute()[:, 1, :])


def test_an_object_is_read_where_the_world_says():
    image = Image(np.zeros((3, 8, 8)), scale=(1.0, 0.5, 0.5))
    labels = np.zeros((4, 4), int)
    labels[1:3, 2:4] = 5
    found = ours.object_on_plane(Labels(labels), 5, image, Plane((1, 2), (1,)))
    centres = np.arange(8) * 0.5  # world positions of the image's rows and columns
    rows, cols = np.round(centres).astype(int), np.round(centres).astype(int)
    inside = (rows[:, None] < 4) & (cols[None] < 4)
    expected = inside & (labels[np.minimum(rows, 3)][:, np.minimum(cols, 3)] == 5)
    np.testing.assert_array_equal(found, expected)


def test_an_object_in_other_units():
    image = Image(np.zeros((8, 8)), scale=(100, 100), units=("nm", "nm"))
    labels = np.zeros((8, 8), int)
    labels[2:4, 5:7] = 3
    layer = Labels(labels, scale=(0.1, 0.1), units=("um", "um"))
    np.testing.assert_array_equal(ours.object_on_plane(layer, 3, image, Plane((0, 1), ())), labels == 3)


def test_the_background_is_no_object():
    layer = Labels(np.zeros((8, 8), int), name="drawn")
    with pytest.raises(ValueError, match="Object 0 of the layer 'drawn'"):
        ours.object_on_plane(layer, 0, Image(np.zeros((8, 8))), Plane((0, 1), ()))


def test_a_layer_that_is_not_there_is_not_removed():
    viewer = ViewerModel()
    top = viewer.add_points(ndim=2, name="top")
    ours.remove(viewer, top)
    ours.remove(viewer, top)
    assert "top" not in viewer.layers
