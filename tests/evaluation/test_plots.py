from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.evaluation.metrics import Interval, calibration
from napari_segany.evaluation.plots import MatplotlibMissingError, plot_calibration, plot_iou
from napari_segany.evaluation.report import Row

ROWS = [
    Row("cells", 1, 2, {"iou_1": Interval(0.5, 0.4, 0.6), "iou_3": Interval(0.8, 0.7, 0.9)}),
    Row("worms", 1, 2, {"iou_1": Interval(0.1, 0.0, 0.3), "iou_3": Interval(np.nan, np.nan, np.nan)}),
]


def colours(path: Path) -> int:
    return len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0))


def test_pictures_are_written_and_not_blank(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_iou(ROWS, tmp_path / "iou.png")
    plot_calibration(calibration([0.2, 0.9, 0.95], [0.3, 0.7, 1]), tmp_path / "calibration.png")
    assert colours(tmp_path / "iou.png") > 10
    assert colours(tmp_path / "calibration.png") > 10


def test_without_points_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_iou([Row("cells", 1, 2, {"iou_baseline": Interval(0.5, 0.4, 0.6)})], tmp_path / "iou.png")


def test_without_matplotlib_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MatplotlibMissingError, match="pip install matplotlib"):
        plot_iou(ROWS, tmp_path / "iou.png")
