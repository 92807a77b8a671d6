"""How long it takes to choose again among 3,000 answers of segmenting everything when a setting changes.

Two sets of answers in an image of 1024 pixels: the three masks of 1,000 points on 120 objects, as a model gives them,
and masks that lie anywhere, so that hardly any gives way to another: harder than any image. A third set has masks of
500 to 1,600 pixels along a side in an image of 4096. Every third mask has a hole and an island. After asking, most is
prepared before anything is shown, and the rest in the background (the times of both are printed); then each kind of
change is made with values that were not there before, so that every time is that of a first time. Times are those of
the processor, so that other programs count little.

    python benchmarks/refilter.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_segany.engine.automatic import refilter
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.candidates import Candidate, RawCandidates
from napari_segany.engine.crops import Crop
from napari_segany.engine.filtering import prepare_rest_steps, prepare_steps
from napari_segany.engine.mask_statistics import mask_statistics
from napari_segany.engine.progress import Steps
from napari_segany.engine.upsampling import Upsampling

SHAPE = (1024, 1024)
LOW = 256
EVERY = AutomaticSettings(pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None)
CHANGES: dict[str, tuple[Any, ...]] = {
    "pred_iou_thresh": (0.3, 0.5, 0.2, 0.7, 0.05),
    "stability_score_thresh": (0.9, 0.97, 0.95, 0.99, 0.8),
    "box_nms_thresh": (1.0, 0.99, 0.9, 0.5, 0.3),
    "crop_nms_thresh": (1.0, 0.9, 0.5, 0.3, 0.1),
    "min_mask_region_area": (10, 50, 100, 200, 1000),
    "max_mask_area_fraction": (0.002, 0.005, 0.01, 0.0005, 0.001),
    "ranking": ("mean", "stability_score", "predicted_iou", "mean", "stability_score"),
}


def main() -> None:
    for title, make in (("three masks of each point", of_points), ("anywhere", anywhere), ("large", large)):
        candidates = make()
        first, rest = (prepared(steps(candidates)) for steps in (prepare_steps, prepare_rest_steps))
        print(f"\n{len(candidates)} masks, {title}: prepared in {first[0]:.2f} s before they are shown,")
        print(f"and in {rest[0]:.2f} s in the background in steps of {1000 * rest[1]:.0f} ms at most; ", end="")
        print(f"they take {candidates.nbytes / 1e6:.0f} MB\n")
        print("| changed | masks kept | median, ms | slowest, ms |\n|---|---|---|---|")
        for name, values in CHANGES.items():
            times, counts = [], []
            for value in values:
                start = time.process_time()
                counts.append(len(refilter(candidates, EVERY.replaced(**{name: value}))))
                times.append(1000 * (time.process_time() - start))
            kept = f"{min(counts)} to {max(counts)}"
            print(f"| `{name}` | {kept} | {statistics.median(times):.0f} | {max(times):.0f} |")


def prepared(steps: Steps[None]) -> tuple[float, float]:
    """Run some work; return how many seconds it took, and its longest step."""
    begin = last = time.process_time()
    longest = 0.0
    for _ in steps:
        now = time.process_time()
        longest, last = max(longest, now - last), now
    return time.process_time() - begin, longest


def large() -> RawCandidates:
    """Return three nested large squares for each of 1,000 points of an image of 4096 pixels."""
    random = np.random.default_rng(2)

    def squares() -> Iterator[tuple[int, int, int, float]]:
        for _ in range(1000):
            row, col = (int(value) for value in random.integers(0, LOW - 104, 2))
            side = int(random.integers(42, 78))
            for part in (1.0, 1.28, 0.8):
                yield row, col, round(part * side), float(random.random())

    return _candidates(squares, (4096, 4096))


def anywhere() -> RawCandidates:
    """Return 3,000 squares of 16 to 96 pixels with random scores."""
    random = np.random.default_rng(0)

    def squares() -> Iterator[tuple[int, int, int, float]]:
        for _ in range(3000):
            row, col = (int(value) for value in random.integers(0, LOW - 26, 2))
            yield row, col, int(random.integers(4, 24)), float(random.random())

    return _candidates(squares)


def of_points() -> RawCandidates:
    """Return three nested squares for each of 1,000 points, most of them the same three a little moved."""
    random = np.random.default_rng(1)
    objects = [
        (*(int(value) for value in random.integers(0, LOW - 60, 2)), int(random.integers(8, 40))) for _ in range(120)
    ]

    def squares() -> Iterator[tuple[int, int, int, float]]:
        for number in range(1000):
            row, col, side = objects[number % len(objects)]
            for part in (1.0, 1.3, 0.6):
                moved = random.integers(-1, 2, 2)
                top, left = (max(0, int(value)) for value in (row + moved[0], col + moved[1]))
                yield top, left, round(part * side), float(random.random())

    return _candidates(squares)


def _candidates(
    squares: Callable[[], Iterator[tuple[int, int, int, float]]], shape: tuple[int, int] = SHAPE
) -> RawCandidates:
    """Return candidates from (row, col, side, predicted IoU) in low-resolution logits."""
    upsampling, items = Upsampling((LOW, LOW), (1024, 1024), shape), []
    for number, (row, col, side, score) in enumerate(squares()):
        logits = np.full((LOW, LOW), -8, np.float32)
        logits[row : row + side, col : col + side] = 8
        if number % 3 == 0:
            logits[row + side // 2, col + side // 2] = -8
            logits[row + side + 2, col] = 8
        # one side is soft, so that stability scores differ
        logits[row : row + side, col + side] = -1 + 2 * (number % 7) / 7
        window = upsampling.window(logits, -1.0)
        found = mask_statistics(upsampling, window, 0.0, 1.0)
        items.append(Candidate(0, (float(row), float(col)), score, found, window))
    return RawCandidates(shape, EVERY, (Crop((0, 0, *shape), 0),), (upsampling,), tuple(items), 0.0)


if __name__ == "__main__":
    main()
