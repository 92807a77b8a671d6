"""Areas, perimeters and intensities against values worked out by hand, analytic shapes and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import perimeter_crofton, regionprops_table

from napari_segany.engine.measuring import crofton_weights, measure_plane
from napari_segany.engine.object_measures import SliceToMeasure, measure_objects
from napari_segany.engine.progress import drain


def measured(labels, **kwargs):
    return drain(measure_plane(np.asarray(labels), **kwargs))


def test_three_pixels_by_hand():
    """Rows of 0.5 um, columns of 0.2 um: a pixel has 0.1 um2."""
    labels = [[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 0, 3]]
    image = [[0, 0, 0, 0], [0, 1, 2, 0], [0, 6, 0, 9]]
    found = measured(labels, pixel=((0.5, 0), (0, 0.2)), channels=[image])
    assert found.labels.tolist() == [3, 7]
    assert found.pixels.tolist() == [1, 3]
    np.testing.assert_allclose(found.area, [0.1, 0.3])
    np.testing.assert_allclose(found.centroids, [(2, 3), (4 / 3, 4 / 3)])
    assert found.boxes.tolist() == [[2, 3, 3, 4], [1, 1, 3, 3]]
    # 1, 2, 6: mean 3, variance (4 + 1 + 9) / 3
    np.testing.assert_allclose(found.intensities[0], [(9, 0, 9, 9), (3, np.sqrt(14 / 3), 1, 6)])


def test_the_perimeter_of_one_pixel_and_of_a_square_by_hand():
    """Each of 4 directions stands for pi/4; lines lie 1 apart along the axes and 1/sqrt(2) along the diagonals.

    A square of side n is entered and left by n rows, n columns, and 2n - 1 diagonals each way.
    """
    for side in (1, 5):
        expected = np.pi / 8 * (2 * side + 2 * side + 2 * 2 * (2 * side - 1) / np.sqrt(2))
        labels = np.zeros((9, 9), np.uint8)
        labels[2 : 2 + side, 3 : 3 + side] = 1
        np.testing.assert_allclose(measured(labels).perimeter, [expected])


def test_pixels_that_are_not_square_by_hand():
    """Height 3, width 4, so diagonals of 5: lines lie 3, 4 and 12/5 apart.

    Angles from a row: 0, arctan(3/4), 90 degrees. A row stands for arctan(3/4), a column for 90 degrees less that,
    each diagonal for 45 degrees. One pixel is entered and left once by a row, a column and two diagonals.
    """
    labels = np.zeros((5, 5), np.uint8)
    labels[2, 2] = 1
    slope = np.arctan2(3, 4)
    expected = 0.5 * 2 * (3 * slope + 4 * (np.pi / 2 - slope) + 2 * 12 / 5 * np.pi / 4)
    np.testing.assert_allclose(measured(labels, pixel=((3, 0), (0, 4))).perimeter, [expected])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 1), (1, 3)])
def test_discs_have_the_perimeter_and_area_of_discs(height, width):
    radius = 40.0
    rows, cols = np.mgrid[:120, :120]
    labels = (np.hypot((rows - 60.3) * height, (cols - 59.6) * width) <= radius).astype(np.int32)
    found = measured(labels, pixel=((height, 0), (0, width)))
    np.testing.assert_allclose(found.area, np.pi * radius**2, rtol=0.01)
    np.testing.assert_allclose(found.perimeter, 2 * np.pi * radius, rtol=0.03)


def test_a_sheared_grid_measures_the_same_disc():
    vectors = np.array([[1.0, 0.4], [0.0, 0.8]])
    rows, cols = np.mgrid[-60:60, -90:90]
    y, x = rows * vectors[0, 0] + cols * vectors[1, 0], rows * vectors[0, 1] + cols * vectors[1, 1]
    found = measured((np.hypot(y, x) <= 30).astype(np.uint8), pixel=vectors)
    np.testing.assert_allclose(found.area, np.pi * 900, rtol=0.01)
    np.testing.assert_allclose(found.perimeter, 60 * np.pi, rtol=0.05)


def test_objects_that_touch_are_measured_as_each_alone_and_as_scikit_image_does():
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 6, (9, 11)), np.ones((4, 3), int)).astype(np.uint16)
    image = rng.normal(100, 20, labels.shape)
    found = measured(labels, channels=[image])
    names = ("label", "area", "centroid", "bbox", "intensity_mean", "intensity_std", "intensity_min", "intensity_max")
    others = regionprops_table(labels, image, properties=names)
    assert found.labels.tolist() == others["label"].tolist()
    np.testing.assert_array_equal(found.pixels, others["area"])
    np.testing.assert_allclose(found.centroids.T, [others["centroid-0"], others["centroid-1"]])
    np.testing.assert_array_equal(found.boxes.T, [others[f"bbox-{at}"] for at in range(4)])
    np.testing.assert_allclose(
        found.intensities[0].T, [others[f"intensity_{one}"] for one in ("mean", "std", "min", "max")]
    )
    alone = [perimeter_crofton(labels == label, directions=4) for label in found.labels]
    np.testing.assert_allclose(found.perimeter, alone)


def test_an_empty_plane_and_bad_input():
    found = measured(np.zeros((4, 5), np.uint8), channels=[np.zeros((4, 5))])
    assert len(found.labels) == 0
    assert found.intensities[0].shape == (0, 4)
    with pytest.raises(ValueError, match="plane of integers"):
        measured(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="equal sizes"):
        measured(np.ones((4, 5), int), channels=[np.zeros((5, 4))])
    with pytest.raises(ValueError, match="span an area"):
        measured(np.ones((4, 5), int), pixel=((1, 1), (2, 2)))
    np.testing.assert_allclose(crofton_weights(np.eye(2)).sum(), np.pi / 8 * (2 + np.sqrt(2)))


def test_an_object_on_several_slices():
    stack = np.zeros((3, 6, 6), np.uint16)
    stack[0, 1:3, 1:3] = 1  # 4 pixels
    stack[1, 1:4, 1:4] = 1  # 9, the largest
    stack[2, 0, 0] = 2
    image = np.zeros(stack.shape)
    image[0], image[1], image[2] = 2.0, 15.0, 7.0
    slices = [SliceToMeasure((z,), lambda z=z: stack[z], lambda z=z: [image[z]]) for z in range(3)]
    table = drain(measure_objects(slices, pixel=((2, 0), (0, 1)), depth=5.0, channels=("",), axes=(0,)))
    assert table["label"].tolist() == [1, 2]
    assert table["pixels"].tolist() == [13, 1]
    assert table["area"].tolist() == [18, 2]
    assert table["volume"].tolist() == [130, 10]
    assert table["slice_0"].tolist() == [1, 2]
    assert table["slices"].tolist() == [2, 1]
    assert table["centroid_row"].tolist() == [2, 0]
    assert (table["bbox_row_min"].tolist(), table["bbox_col_max"].tolist()) == ([1, 0], [4, 1])
    values = np.repeat([2.0, 15.0], [4, 9])
    np.testing.assert_allclose(table["mean"], [values.mean(), 7])
    np.testing.assert_allclose(table["std"], [values.std(), 0])
    assert (table["min"].tolist(), table["max"].tolist()) == ([2, 7], [15, 7])


def test_no_objects_give_an_empty_table():
    one = SliceToMeasure((), lambda: np.zeros((3, 3), np.uint8))
    table = drain(measure_objects([one], channels=("a", "b")))
    assert {len(column) for column in table.values()} == {0}
    assert "std b" in table
