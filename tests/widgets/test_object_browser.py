"""The table of accepted objects: units, measures, filter, order, view and CSV. Without Qt."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels

from napari_segany.widgets.object_filter import fitting
from napari_segany.widgets.object_units import pixel_geometry

RAMP = np.tile(np.arange(50, dtype=np.float32), (40, 1))


@pytest.fixture
def three(session, viewer):
    """Squares of nine pixels of 2 um x 0.5 um at columns 5, 15, 25 of an image as bright as its column."""
    image = viewer.add_image(RAMP, name="ramp", contrast_limits=(0, 50), scale=(2, 0.5), units=("um", "um"))
    session.choose_image(image)
    for position in ((5, 5), (15, 15), (25, 25)):
        session.add_point(position)
        session.accept()
    return session


def test_without_measuring_the_table_has_scores_classes_and_pixels(three):
    frame = three.table.frame
    assert frame["label"].tolist() == [1, 2, 3]
    assert frame["pixels"].tolist() == [9, 9, 9]
    np.testing.assert_allclose(frame["predicted_iou"], 0.9)
    three.classes.add("nucleus")
    three.classes.assign("nucleus", [2])
    assert three.table.frame["class"].tolist() == ["", "nucleus", ""]


def test_measures_are_in_the_units_of_the_layer(three):
    three.table.measure()
    frame = three.table.frame
    np.testing.assert_allclose(frame["area_um2"], 9)  # nine pixels of 1 um2
    np.testing.assert_allclose(frame["mean"], [6, 16, 26])
    np.testing.assert_allclose(frame["std"], np.sqrt(2 / 3))
    assert (frame["min"].tolist(), frame["max"].tolist()) == ([5, 15, 25], [7, 17, 27])
    slope = np.arctan2(2, 0.5)  # rows are 2 apart, columns 0.5, both diagonals 1 / sqrt(4.25)
    crossings = 3 * 2 * slope + 3 * 0.5 * (np.pi / 2 - slope) + 2 * 5 / np.sqrt(4.25) * np.pi / 4
    np.testing.assert_allclose(frame["perimeter_um"], crossings)
    three.editor.delete([1])
    assert three.table.frame["label"].tolist() == [2, 3], "what is known of the others stays"
    np.testing.assert_allclose(three.table.frame["mean"], [16, 26])


def test_all_images_of_the_size_are_measured_and_colours_apart(three, viewer):
    viewer.add_image(np.stack([RAMP, 2 * RAMP, 0 * RAMP], axis=-1).astype(np.uint8), name="rgb", rgb=True)
    viewer.add_image(RAMP[:10], name="smaller")
    three.table.measure()
    frame = three.table.frame
    np.testing.assert_allclose(frame["mean ramp"], [6, 16, 26])
    np.testing.assert_allclose(frame["mean rgb green"], [12, 32, 52])
    assert "mean smaller" not in frame


def test_a_watched_table_measures_by_itself(three):
    three.table.watch(begin=True)
    assert "area_um2" in three.table.frame
    three.add_point((30, 40))
    three.accept()
    np.testing.assert_allclose(three.table.frame["mean"].iloc[3], 41)
    three.undo()
    three.table.watch(begin=False)


def test_rows_are_filtered_and_sorted(three):
    table = three.table
    table.measure()
    table.show("mean > 10")
    assert table.rows["label"].tolist() == [2, 3]
    table.sort("mean", ascending=False)
    assert table.rows["label"].tolist() == [3, 2]
    table.show("mean >")
    assert table.complaint == "", "it is not a condition yet"
    table.show("meen > 10")
    assert "there is no column 'meen'" in table.complaint
    assert len(table.rows) == 3
    with pytest.raises(ValueError, match="there is no column 'x'"):
        table.sort("x")


def test_conditions():
    table = pd.DataFrame(
        {"label": [1, 2, 3], "class": ["a", "", "B c"], "area_um2": [1.0, 2.0, np.nan], "area": [5, 6, 7]}
    )
    assert fitting(table, "").tolist() == [True, True, True]
    assert fitting(table, "area_um2 >= 2").tolist() == [False, True, False]
    assert fitting(table, " area>5 , class = b C").tolist() == [False, False, True]
    assert fitting(table, "class != a").tolist() == [False, True, True]
    assert fitting(table, "class =").tolist() == [False, False, False]
    assert fitting(table, "2").tolist() == [False, True, False]
    for text, words in (("ar > 1", "may be area_um2 or area"), ("area > x", "no number"), ("class > 1", "is text")):
        with pytest.raises(ValueError, match=words):
            fitting(table, text)


def test_csv_has_what_is_shown_and_all_columns(three, tmp_path):
    three.classes.add("nucleus, large")
    three.classes.assign("nucleus, large", [2])
    three.table.measure()
    three.table.show("mean > 10")
    three.table.save(tmp_path / "objects")
    with (tmp_path / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["2", "3"]
    assert [row["class"] for row in rows] == ["nucleus, large", ""]
    assert float(rows[0]["area_um2"]) == 9
    assert float(rows[0]["centroid_col"]) == 16
    assert "Saved 2 objects in objects.csv" in three.status
    with pytest.raises(OSError):
        three.table.save(tmp_path / "nowhere" / "objects.csv")


def test_the_view_goes_to_an_object(session, viewer):
    stack = np.zeros((3, 40, 50), np.uint8)
    session.choose_image(viewer.add_image(stack, contrast_limits=(0, 2), scale=(5, 2, 2)))
    viewer.dims.set_current_step(0, 2)
    session.add_point((10, 20))
    session.accept()
    viewer.dims.set_current_step(0, 0)
    assert session.table.go_to(1)
    assert viewer.dims.current_step[0] == 2
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (22, 42))  # the square's middle (11, 21), times 2
    assert viewer.scene.camera.zoom == pytest.approx(20.0)  # 40 screen pixels a pixel, which are 2 units
    session.table.measure()
    viewer.scene.camera.zoom = 1.0
    viewer.scene.camera.center = (25.0, 45.0)
    assert session.table.go_to(1, zoom=False)
    assert viewer.scene.camera.zoom == 1.0
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (25, 45), err_msg="it was in view")
    assert session.table.frame["slice_0"].tolist() == [2]
    assert not session.table.go_to(7)


@pytest.mark.parametrize(
    ("options", "pixel", "unit", "depth"),
    [
        ({}, [(1, 0), (0, 1)], "px", None),
        ({"scale": (4, 3, 2)}, [(3, 0), (0, 2)], "", None),
        ({"scale": (4, 3, 2), "units": ("um",) * 3}, [(3, 0), (0, 2)], "um", 4.0),
        ({"scale": (4, 3, 2), "units": ("um", "um", "nm")}, [(3000, 0), (0, 2)], "nm", 4000.0),
        ({"scale": (4, 3, 2), "units": ("s", "um", "um")}, [(3, 0), (0, 2)], "um", None),
        ({"scale": (4, 3, 2), "units": ("um", "s", "um")}, [(1, 0), (0, 1)], "px", None),
    ],
)
def test_pixels_in_the_units_of_a_layer(options, pixel, unit, depth):
    found = pixel_geometry(Labels(np.zeros((2, 3, 4), int), **options), (1, 2))
    np.testing.assert_allclose(found.pixel, pixel, atol=1e-12)
    assert (found.unit, found.depth) == (unit, pytest.approx(depth) if depth else None)


def test_a_rotated_layer_has_pixels_of_the_same_size():
    found = pixel_geometry(Labels(np.zeros((3, 4), int), scale=(3, 2), rotate=30), (0, 1))
    np.testing.assert_allclose(np.abs(np.linalg.det(found.pixel)), 6)
    np.testing.assert_allclose(np.linalg.norm(found.pixel, axis=1), (3, 2))
