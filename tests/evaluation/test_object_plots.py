from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_segany.evaluation.mask_ap import NUMBERS
from napari_segany.evaluation.object_plots import plot_mask_ap, plot_recall
from napari_segany.evaluation.proposals import BUDGETS, SIZES

pytest.importorskip("matplotlib")


def colours(path) -> int:
    return len(np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0))


def test_sizes_without_objects_are_left_out_of_the_pictures(tmp_path) -> None:
    recall = {f"AR@{budget} {size}": 0.1 + budget / 2000 for budget in BUDGETS for size in SIZES}
    missing = {key: float("nan") if key.endswith("large") else value for key, value in recall.items()}
    plot_recall({"cells": recall, "worms": missing}, tmp_path / "recall.png")
    precision = dict(zip(NUMBERS, (0.5, 0.9, 0.4, 0.3, 0.6, float("nan")), strict=True))
    plot_mask_ap({"cells": precision, "worms": dict.fromkeys(NUMBERS, float("nan"))}, tmp_path / "ap.png")
    assert colours(tmp_path / "recall.png") > 10
    assert colours(tmp_path / "ap.png") > 10
