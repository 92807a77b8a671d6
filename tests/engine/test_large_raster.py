"""A raster with a place on Earth done tile by tile: nothing on nodata, and outlines where the objects are."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

from napari_segany.engine.automatic_settings import AutomaticSettings  # noqa: E402
from napari_segany.engine.candidates import run_lengths_in_box  # noqa: E402
from napari_segany.engine.large.raster import MapOutputs, RasterAtPath  # noqa: E402
from napari_segany.engine.large.run import ThisProcess, large_steps  # noqa: E402
from napari_segany.engine.progress import Progress, drain  # noqa: E402
from napari_segany.engine.tiling import TilingSettings, Window  # noqa: E402
from napari_segany.formats.geo_view import view_steps  # noqa: E402
from napari_segany.formats.record import MaskRecord  # noqa: E402
from napari_segany.formats.table import read_table  # noqa: E402

SHAPE, SIDE = (300, 400), 128
PLACE = rasterio.Affine(0.5, 0.0, 500_000.0, 0.0, 0.5, 5_400_000.0)  # south-up


class Bright:
    """Takes connected bright pixels, and those of nodata, which are dark, as one object more."""

    def steps(self, pixels, settings, contrast_limits):
        yield Progress(0, 1)
        (points,) = settings.point_grids
        self.asked = [*getattr(self, "asked", []), *points]
        records = []
        for bright in (pixels > 128, pixels == 0):
            labels, _ = ndimage.label(bright)
            for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
                box = rows.start, cols.start, rows.stop, cols.stop
                mask = run_lengths_in_box(labels[rows, cols] == number, box, pixels.shape)
                records.append(MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.9))
        return records


def class_model():
    class Model:
        def digest_steps(self):
            yield Progress(0, 1)
            return "bright"

    return Model()


def test_tiles_of_a_raster_become_features_where_they_are(tmp_path):
    pixels = np.full(SHAPE, 60, np.uint8)
    boxes = [(20, 30, 60, 80), (100, 115, 150, 140), (200, 240, 260, 330)]  # the second across edges of tiles
    for top, left, bottom, right in boxes:
        pixels[top:bottom, left:right] = 200
    pixels[:, 300:] = 0  # nodata, over the third
    path = tmp_path / "town.tif"
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": PLACE, "nodata": 0}
    with rasterio.open(path, "w", count=1, height=SHAPE[0], width=SHAPE[1], dtype="uint8", **profile) as file:
        file.write(pixels, 1)
    view = drain(view_steps(path), lambda step: None)
    raster = RasterAtPath(path, "town.tif", view)
    assert raster.valid(Window(0, (0, 0, 9, 300))) is None
    assert raster.valid(Window(1, (0, 148, 2, 152))).tolist() == [[True, True, False, False]] * 2
    out = MapOutputs(raster, (tmp_path / "out/town.gpkg", tmp_path / "out/town.geojson"))
    segment = Bright()
    steps = large_steps(
        raster, "town", tmp_path / "out", class_model(), AutomaticSettings(points_per_side=8),
        tiling=TilingSettings(side=SIDE), contrast_limits=raster.contrast_limits, workers=ThisProcess(segment),
        on_map=out,
    )  # fmt: skip
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = drain(steps)
    assert any("longitude and latitude" in str(warning.message) for warning in told)
    with rasterio.open(result.labels.with_suffix(".tif")) as file:
        labels = file.read(1)
        assert file.transform == PLACE
    expected = pixels == 200
    np.testing.assert_array_equal(labels > 0, expected)
    _, _, geometry, values = pyogrio.raw.read(tmp_path / "out/town.gpkg")
    areas = dict(zip(values[0].tolist(), shapely.area(shapely.from_wkb(geometry)).tolist(), strict=True))
    for number in range(1, labels.max() + 1):
        assert areas[number] == pytest.approx(0.25 * np.count_nonzero(labels == number))
        row, col = np.argwhere(labels == number).mean(axis=0) + 0.5
        outline = shapely.from_wkb(geometry)[values[0].tolist().index(number)]
        assert outline.centroid.distance(shapely.Point(PLACE @ (col, row))) < 1e-6
    assert labels.max() == 3
    table = read_table(result.table)
    assert table["area"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    assert table["intensity_mean"].tolist() == [200.0] * 3, "and nothing of nodata"
    np.testing.assert_allclose(table["area_m2"], 0.25 * table["area"])
