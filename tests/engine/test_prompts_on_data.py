"""Nothing is asked where a raster has no data."""

from __future__ import annotations

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")

from napari_segany.engine.progress import drain  # noqa: E402
from napari_segany.engine.prompts import Prompt  # noqa: E402
from napari_segany.engine.prompts_on_data import split_by_data, why_without_data  # noqa: E402
from napari_segany.formats.geo_view import view_steps  # noqa: E402

SHAPE = (40, 60)


@pytest.fixture
def view(tmp_path):
    """A raster with nodata left of column 20."""
    pixels = np.full((1, *SHAPE), 9, np.uint8)
    pixels[:, :, :20] = 0
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    with rasterio.open(
        tmp_path / "a.tif", "w", count=1, height=40, width=60, dtype="uint8", nodata=0, **profile
    ) as file:
        file.write(pixels)
    return drain(view_steps(tmp_path / "a.tif"), lambda step: None)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"points": [(5, 19.6)]}, None),
        ({"points": [(5, 19.4)]}, "a.tif has no data at the point (5, 19.4)"),
        ({"points": [(5, 30), (6, 2)], "labels": [1, 0]}, "a.tif has no data at the point (6, 2)"),
        ({"box": (1, 2, 9, 19)}, "a.tif has no data in the box (1, 2, 9, 19)"),
        ({"box": (1, 2, 9, 20)}, None),
        ({"points": [(5, 30)], "box": (1, 2, 9, 12)}, "a.tif has no data in the box (1, 2, 9, 12)"),
    ],
)
def test_what_is_asked_without_data_is_named(view, given, why):
    assert why_without_data(Prompt.checked(**given, image_shape=SHAPE), view) == why


def test_a_batch_is_split(view):
    points = np.array([[[5, 30]], [[5, 3]], [[9, 50]]], float)
    kept, left_out = split_by_data(Prompt.checked(points, image_shape=SHAPE), view)
    np.testing.assert_array_equal(kept.points, points[[0, 2]])
    np.testing.assert_array_equal(kept.labels, [[1], [1]])
    assert (kept.batch_size, left_out) == (2, (1,))
    boxes = [(1, 2, 9, 12), (1, 2, 9, 30), (3, 4, 5, 6)]
    kept, left_out = split_by_data(Prompt.checked(box=boxes, image_shape=SHAPE), view)
    assert (kept.box.tolist(), left_out) == ([[1, 2, 9, 30]], (0, 2))
    assert split_by_data(Prompt.checked(box=boxes[::2], image_shape=SHAPE), view) == (None, (0, 1))
