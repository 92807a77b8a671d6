"""How large the objects of a large image usually are, from a few of its windows: what its tiles are chosen by."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_segany.engine.large.job import LargeJob, digest_of
from napari_segany.engine.large.one_tile import TILE_ERRORS, SegmentTile
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import TilingSettings, Window, tile_plan
from napari_segany.formats.atomic import replacing
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.record import MaskRecord

FEWEST_OBJECTS = 5
"""Of fewer objects at a level nothing is said."""

_WINDOWS_OF_A_LEVEL = 3
_CANDIDATES = 12  # windows of a level that are looked at for contrast
_FILE = "object_size.json"


def measured_diameter_steps(job: LargeJob, image: LazyImage, segment: SegmentTile) -> Steps[float]:
    """Measure the diameter of the usual object, once: it is kept in the job's folder.

    Of every level the windows with most contrast are segmented. What an image has most of is found at one level in
    larger numbers than at any other, if as much were found everywhere in it; the usual diameter is their median.

    Parameters
    ----------
    job : LargeJob
        With the windows of an image of which nothing is known.
    image : LazyImage
        The image.
    segment : SegmentTile
        What finds the objects.

    Yields
    ------
    Progress
        Windows that were looked at.

    Returns
    -------
    float
        In pixels of the image, to two digits, since nothing depends on more; 0 with fewer than `FEWEST_OBJECTS`.

    Raises
    ------
    OSError
        Where the image cannot be read, or the number cannot be kept.
    """
    question = digest_of(
        job.model_digest, job.contrast_limits, job.plan.image_shape, job.plan.side, str(job.settings)
    )
    path = job.folder / _FILE
    known = _kept(path, question)
    if known is None:
        known = yield from _measured(job, image, segment)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"question": question, "diameter": known}), encoding="utf-8")
    return known


def with_objects(job: LargeJob, diameter: float, tiling: TilingSettings) -> LargeJob:
    """Return a job whose windows suit objects of a diameter in pixels of the image; 0 leaves it as it is."""
    if not diameter:
        return job
    settings = replace(tiling, object_size=diameter)
    return replace(job, plan=tile_plan(job.plan.image_shape, job.plan.side, settings))


def _measured(job: LargeJob, image: LazyImage, segment: SegmentTile) -> Steps[float]:
    diameters: dict[int, list[float]] = {}
    expected: dict[int, float] = {}
    chosen = {level: _telling_windows(job, image, level) for level in job.plan.levels}
    total, done = sum(len(windows) for windows in chosen.values()), 0
    for level, windows in chosen.items():
        found: list[float] = []
        for window in windows:
            pixels = image.read(window.box, window.factor)
            yield Progress(done, total, "Measuring the objects")
            done += 1
            try:
                records = yield from segment.steps(pixels, job.settings_in(window), job.contrast_limits)
            except TILE_ERRORS:
                continue  # the run itself will say so of the tiles there
            found += _whole_objects(job, window, records)
        rows, cols = job.plan.grid_shape(level)
        diameters[level], expected[level] = found, len(found) * rows * cols / max(1, len(windows))
    enough = [level for level, found in diameters.items() if len(found) >= FEWEST_OBJECTS]
    if not enough:
        return 0.0
    usual = max(enough, key=lambda level: expected[level])
    return _two_digits(float(np.median(diameters[usual])))


def _telling_windows(job: LargeJob, image: LazyImage, level: int) -> list[Window]:
    """Return those of some windows of a level, evenly spread, in whose middle the image varies most."""
    windows = [window for _, _, window in job.plan.windows(level)]
    places = np.linspace(0, len(windows) - 1, min(len(windows), _CANDIDATES)).round().astype(int)

    def contrast(window: Window) -> float:
        (top, left, _, _), (rows, cols) = window.box, window.shape
        middle = top + rows // 4, left + cols // 4, top + rows - rows // 4, left + cols - cols // 4
        return float(image.read(middle, window.factor).astype(np.float64).std())

    return sorted((windows[place] for place in places), key=contrast, reverse=True)[:_WINDOWS_OF_A_LEVEL]


def _whole_objects(job: LargeJob, window: Window, records: list[MaskRecord]) -> list[float]:
    """Return the diameters, in pixels of the image, of objects that the window does not cut."""
    rows, cols = window.shape
    found = []
    for record in records:
        top, left, bottom, right = record.bbox
        reached = top == 0, left == 0, bottom == rows, right == cols
        if not any(edge and at for edge, at in zip(job.plan.inner_edges(window), reached, strict=True)):
            found.append(math.sqrt(4 * record.area / math.pi) * window.factor)
    return found


def _two_digits(value: float) -> float:
    digits = 1 - math.floor(math.log10(value))
    return round(value, digits)


def _kept(path: Path, question: str) -> float | None:
    """Return the diameter that was measured by the same question before; None where there is none."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        diameter = float(values["diameter"]) if values["question"] == question else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return diameter if diameter is not None and math.isfinite(diameter) and diameter >= 0 else None
