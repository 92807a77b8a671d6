from __future__ import annotations

import numpy as np

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.crops import Crop, crops_of, grid_of, points_of


def test_the_grid_is_the_middle_of_equal_cells_row_by_row():
    points = grid_of(0, AutomaticSettings(points_per_side=2))
    np.testing.assert_allclose(points, [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)])


def test_later_layers_ask_fewer_points():
    settings = AutomaticSettings(points_per_side=32, crop_n_points_downscale_factor=2)
    assert [len(grid_of(layer, settings)) for layer in range(3)] == [1024, 256, 64]
    assert len(grid_of(9, settings)) == 1


def test_crops_of_a_layer_overlap_by_the_ratio_and_cover_the_image():
    # By hand: overlap int(0.25 * 300 * 2 / 2) = 75; sides ceil((75 + 300) / 2) = 188 and ceil((75 + 420) / 2) = 248.
    crops = crops_of((300, 420), 1, 0.25)
    assert [crop.box for crop in crops] == [
        (0, 0, 300, 420),
        (0, 0, 188, 248),
        (113, 0, 300, 248),
        (0, 173, 188, 420),
        (113, 173, 300, 420),
    ]
    assert len(crops_of((300, 420), 2, 0.25)) == 1 + 4 + 16
    covered = np.zeros((300, 420), bool)
    for crop in crops_of((300, 420), 2, 0.25)[5:]:
        covered[crop.box[0] : crop.box[2], crop.box[1] : crop.box[3]] = True
    assert covered.all()


def test_own_grids_replace_the_regular_one():
    settings = AutomaticSettings(point_grids=([(0.5, 0.25)],))
    np.testing.assert_allclose(points_of(Crop((10, 20, 110, 220), 0), settings, None), [(50, 50)])


def test_points_on_forbidden_pixels_are_not_asked():
    allowed = np.zeros((40, 40), bool)
    allowed[:, 20:] = True
    crop = Crop((0, 10, 40, 40), 1)
    points = points_of(crop, AutomaticSettings(points_per_side=6), allowed)
    assert 0 < len(points) < 36
    assert (points[:, 1] + 10 >= 19.5).all()


def test_points_stay_on_the_image_where_cells_are_smaller_than_pixels():
    points = points_of(Crop((0, 0, 3, 2), 0), AutomaticSettings(points_per_side=32), None)
    assert (points <= (2.5, 1.5)).all()
