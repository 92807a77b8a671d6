"""How long it takes to choose again among 3,000 answers of segmenting everything when a setting changes.

The answers are squares of many sizes in an image of 1024 pixels; the first filtering, which writes their run lengths,
is not counted. Times are those of the processor, so that other programs count little; the first row is the slowest
suppression there is: hardly any box gives way.

    python benchmarks/refilter.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from napari_segany.engine.automatic import refilter
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import Candidate, RawCandidates
from napari_segany.engine.crops import Crop
from napari_segany.engine.upsampling import Upsampling

SHAPE = (1024, 1024)
EVERY = AutomaticSettings(pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None)
CHANGES = (
    {"box_nms_thresh": 1.0},
    {"box_nms_thresh": 0.3},
    {"pred_iou_thresh": 0.5},
    {"stability_score_thresh": 0.5},
    {"max_mask_area_fraction": 0.002},
    {"ranking": "mean"},
    {"min_mask_region_area": 50},
)


def main() -> None:
    candidates = squares(3000)
    refilter(candidates, EVERY)
    print("| changed | masks | first time, ms | again, median ms |\n|---|---|---|---|")
    for change in CHANGES:
        settings = EVERY.replaced(**change)
        times = []
        for _ in range(6):
            start = time.process_time()
            count = len(refilter(candidates, settings))
            times.append(1000 * (time.process_time() - start))
        ((name, value),) = change.items()
        print(f"| `{name}` to {value} | {count} | {times[0]:.0f} | {statistics.median(times[1:]):.0f} |")


def squares(count: int) -> RawCandidates:
    """Return candidates that are squares of 16 to 96 pixels with random scores."""
    random = np.random.default_rng(0)
    upsampling, items = Upsampling((256, 256), SHAPE, SHAPE), []
    for _ in range(count):
        row, col = (int(value) for value in random.integers(0, 230, 2))
        side = int(random.integers(4, 24))
        logits = np.full((256, 256), -8, np.float32)
        logits[row : row + side, col : col + side] = 8
        window = upsampling.window(logits, -1.0)
        statistics_of = upsampling.statistics(window, 0.0, 1.0)
        items.append(Candidate(0, (float(row), float(col)), float(random.random()), statistics_of, window))
    return RawCandidates(SHAPE, EVERY, (Crop((0, 0, *SHAPE), 0),), (upsampling,), tuple(items), 0.0)


if __name__ == "__main__":
    main()
