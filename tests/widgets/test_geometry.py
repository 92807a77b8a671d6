from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.widgets.geometry import (
    NoPlaneError,
    Plane,
    affine_matrix,
    align_trailing,
    displayed_plane,
    sample_plane,
)


@st.composite
def planes(draw):
    ndim = draw(st.integers(2, 5))
    axes = tuple(sorted(draw(st.permutations(range(ndim)))[:2]))
    shape = tuple(draw(st.integers(2, 6)) for _ in range(ndim))
    index = tuple(draw(st.integers(0, shape[axis] - 1)) for axis in range(ndim) if axis not in axes)
    return Plane(axes, index), shape


@given(planes(), st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), max_size=4))
def test_positions_come_back_and_lie_on_the_plane(case, positions):
    plane, _ = case
    data = plane.to_data(positions)
    assert data.shape == (len(positions), plane.ndim)
    assert plane.contains(data).all()
    np.testing.assert_array_equal(plane.to_plane(data), np.reshape(positions, (-1, 2)))


@given(planes(), st.data())
def test_a_pixel_of_the_cut_is_the_voxel_at_its_data_position(case, data):
    plane, shape = case
    volume = np.arange(np.prod(shape)).reshape(shape)
    cut = volume[plane.slicer()]
    assert cut.shape == plane.shape_in(shape)
    pixel = tuple(data.draw(st.integers(0, size - 1)) for size in cut.shape)
    voxel = tuple(plane.to_data([pixel])[0].astype(int))
    assert cut[pixel] == volume[voxel]
    assert np.prod(plane.thin_shape(shape)) == cut.size


@given(planes(), st.integers(0, 2**31))
def test_voxels_write_the_mask_into_its_plane_alone(case, seed):
    plane, shape = case
    mask = np.random.default_rng(seed).random(plane.shape_in(shape)) < 0.5
    volume = np.zeros(shape, bool)
    volume[plane.voxels(mask)] = True
    np.testing.assert_array_equal(volume[plane.slicer()], mask)
    assert volume.sum() == mask.sum()


@given(planes())
def test_the_neighbouring_plane_is_another_one(case):
    plane, _ = case
    if not plane.index:
        return
    other = Plane(plane.axes, (plane.index[0] + 1, *plane.index[1:]))
    assert other != plane
    assert not plane.contains(other.to_data([(0, 0)])).any()


@pytest.mark.parametrize(
    ("displayed", "viewer_ndim", "point", "shape", "expected"),
    [
        ((0, 1), 2, (3, 4), (10, 20), Plane((0, 1), ())),
        ((1, 0), 2, (3, 4), (10, 20), Plane((0, 1), ())),
        ((1, 2), 3, (2.4, 0, 0), (5, 10, 20), Plane((1, 2), (2,))),
        ((2, 0), 3, (0, 7.6, 0), (5, 10, 20), Plane((0, 2), (8,))),
        ((2, 3), 4, (0, 0), (10, 20), Plane((0, 1), ())),
        ((3, 1), 4, (0, 9, 0), (5, 10, 20), Plane((0, 2), (9,))),
    ],
)
def test_displayed_plane(displayed, viewer_ndim, point, shape, expected):
    assert displayed_plane(displayed, viewer_ndim, point, shape) == expected


@pytest.mark.parametrize(
    ("displayed", "viewer_ndim", "point", "shape", "words"),
    [
        ((0, 1, 2), 3, (0, 0, 0), (5, 5, 5), "2-D view"),
        ((0, 2), 3, (0, 0), (5, 5), "do not show a plane"),
        ((1, 2), 3, (5.0, 0, 0), (5, 5, 5), "outside of the image: 5 on axis 0, which has 0 to 4"),
        ((1, 2), 3, (-0.7, 0, 0), (5, 5, 5), "outside"),
        ((0, 1), 2, (0,), (5,), "1 dimension"),
    ],
)
def test_no_plane_says_why(displayed, viewer_ndim, point, shape, words):
    with pytest.raises(NoPlaneError, match=words):
        displayed_plane(displayed, viewer_ndim, point, shape)


def test_affine_matrix_of_a_map():
    matrix = affine_matrix(lambda p: np.array([2 * p[1] + 1, -p[0] + 3]), 2)
    np.testing.assert_array_equal(matrix, [[0, 2, 1], [-1, 0, 3], [0, 0, 1]])


def test_align_trailing_widens_and_narrows_on_the_leading_axes():
    matrix = np.array([[2.0, 0, 5], [0, 3, 7], [0, 0, 1]])
    wide = align_trailing(matrix, 3)
    np.testing.assert_array_equal(wide @ [9, 1, 1, 1], [9, 7, 10, 1])
    np.testing.assert_array_equal(align_trailing(wide, 2), matrix)


def test_sample_plane_reads_to_the_nearest_pixel_and_zero_outside():
    labels = np.array([[1, 2], [3, 4]])
    half = np.diag([0.5, 0.5, 1.0])  # the labels have half the resolution
    found = sample_plane(labels, half, Plane((0, 1), ()), (4, 4))
    np.testing.assert_array_equal(found, np.array([[1, 1, 2, 0], [1, 1, 2, 0], [3, 3, 4, 0], [0, 0, 0, 0]]).round())


def test_sample_plane_of_a_volume_at_the_planes_index():
    labels = np.zeros((3, 4, 5), int)
    labels[2, 1, 3] = 6
    found = sample_plane(labels, np.eye(4), Plane((1, 2), (2,)), (4, 5))
    assert found[1, 3] == 6
    assert found.sum() == 6


def test_sample_plane_on_the_same_grid_is_the_cut():
    labels = np.arange(60).reshape(3, 4, 5)
    plane = Plane((0, 2), (1,))
    np.testing.assert_array_equal(sample_plane(labels, np.eye(4), plane, (3, 5)), labels[:, 1, :])
    assert not sample_plane(labels, np.eye(4), Plane((0, 2), (9,)), (3, 5)).any(), "the labels end before this plane"


def test_sample_plane_of_a_smaller_grid_in_place_is_zero_beyond_it():
    found = sample_plane(np.ones((2, 3), int), np.eye(3), Plane((0, 1), ()), (4, 4))
    assert found.sum() == 6
    assert found[:2, :3].all()
