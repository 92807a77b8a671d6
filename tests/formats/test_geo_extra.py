from __future__ import annotations

import numpy as np
import pytest

from napari_segany.formats.geo_extra import GeoMissingError, geo_module
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_polygons import pixel_polygon
from napari_segany.formats.geo_prompts import GeoPrompt, write_prompts
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.rle import RunLengths


@pytest.mark.usefixtures("without_geo")
def test_one_sentence_says_what_is_missing_and_what_brings_it(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"")
    mask = RunLengths.from_mask(np.ones((3, 3), bool))
    with pytest.raises(
        GeoMissingError, match=r"need rasterio, which is not installed; `pip install 'napari-segany\["
    ):
        read_raster(tmp_path / "a.tif")
    with pytest.raises(GeoMissingError, match="shapely"):
        pixel_polygon(mask)
    with pytest.raises(GeoMissingError, match="pip install"):
        write_prompts(
            tmp_path / "a.gpkg", [GeoPrompt(1, mask=mask)], GeoGrid((3, 3), (1, 0, 0, 0, 1, 0), "EPSG:32633")
        )


def test_a_module_that_is_there_is_given():
    assert geo_module("json").loads("1") == 1
