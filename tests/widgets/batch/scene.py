"""What a batch finds: discs, and a model that is loaded once."""

from __future__ import annotations

import csv
from pathlib import Path

from napari_segany.engine.progress import Progress

SHAPE = (64, 64)
ONE = ((20, 20, 12, 200),)
TWO = (*ONE, (45, 45, 10, 240))
LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5}


class Maker:
    """Makes the model that finds discs; counts how often it is loaded."""

    def __init__(self, finder):
        self.finder, self.loaded, self.asked = finder, 0, []

    def __call__(self, model, device):
        self.asked.append((model, device))
        return self

    def digest_steps(self):
        yield Progress(0, 1)
        return self.finder.name

    def load(self):
        self.loaded += 1
        return self.finder


def report(out: Path) -> list[dict[str, str]]:
    with (out / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))
