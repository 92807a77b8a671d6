from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from napari_segany.engine.automatic_settings import AutomaticSettings


@pytest.mark.parametrize(
    "changes",
    [
        {"points_per_side": 0},
        {"points_per_side": 2.5},
        {"points_per_batch": True},
        {"crop_n_layers": -1},
        {"pred_iou_thresh": 1.5},
        {"stability_score_thresh": float("nan")},
        {"stability_score_offset": -1},
        {"max_mask_area_fraction": 2},
        {"crop_overlap_ratio": 1},
        {"ranking": "size"},
        {"point_grids": ([(0.5, 2)],)},
        {"point_grids": ([(0.5, 0.5)],), "crop_n_layers": 1},
        {"points": 3},
    ],
)
def test_values_out_of_range_are_refused_by_name(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        AutomaticSettings().replaced(**changes)


def test_settings_are_values():
    grids = AutomaticSettings(point_grids=([[0.5, 0.5]],))
    assert grids == AutomaticSettings(point_grids=(((0.5, 0.5),),))
    assert hash(grids) != hash(AutomaticSettings())


def test_thresholds_do_not_change_what_is_asked():
    default = AutomaticSettings()
    assert default.asks_as(default.replaced(pred_iou_thresh=0.1, min_mask_region_area=9, ranking="mean"))
    assert not default.asks_as(default.replaced(stability_score_offset=2.0))


def test_numpy_s_numbers_are_taken_for_python_s():
    given = AutomaticSettings(
        points_per_side=np.int64(8), min_mask_region_area=np.uint8(3), pred_iou_thresh=np.float32(0.5)
    )
    assert json.loads(json.dumps(asdict(given))) == asdict(
        AutomaticSettings(points_per_side=8, min_mask_region_area=3, pred_iou_thresh=0.5)
    )
