"""The usual diameter of the objects of a large image, and the tiles that follow from it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from skimage.measure import regionprops
from tests.engine.large_scene import MODEL, SETTINGS, SHAPE, SIDE, Components, greys_of, labels_of

from napari_segany.engine.large.job import ImageAtHand
from napari_segany.engine.large.run import ThisProcess, large_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import lazy_image


def measured(pixels, folder, sampler):
    steps = large_steps(
        ImageAtHand(lazy_image(pixels)), "big", folder, MODEL, SETTINGS, sampler=sampler,
        tiling=TilingSettings(side=SIDE, object_size="auto"), workers=ThisProcess(Components()),
    )  # fmt: skip
    return drain(steps)


def large_discs() -> np.ndarray:
    """Labels of six discs with a diameter of 161 pixels."""
    rows, cols = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint32)
    for number, (row, col) in enumerate([(r, c) for r in (150, 520) for c in (150, 430, 720)], start=1):
        labels[np.hypot(rows - row, cols - col) <= 80] = number
    return labels


def test_it_is_that_of_the_true_objects(truth, image, tmp_path):
    result = measured(image, tmp_path, Components())
    true = np.median([region.equivalent_diameter_area for region in regionprops(truth.astype(int))])
    assert result.object_size == pytest.approx(true, rel=0.2)
    assert result.tiles > 12  # small objects need the finest level


def test_large_objects_leave_out_the_levels_that_cut_them(tmp_path):
    truth = large_discs()
    result = measured(greys_of(truth), tmp_path, Components())
    assert result.object_size == pytest.approx(161, rel=0.1)
    assert result.tiles == 1
    assert result.objects == 6
    found = labels_of(result)
    for number in range(1, 7):
        mask, label = truth == number, np.bincount(found[truth == number]).argmax()
        assert (mask & (found == label)).sum() / (mask | (found == label)).sum() > 0.9


@pytest.mark.parametrize("objects", [0, 3])
def test_of_few_objects_nothing_is_said_and_all_levels_are_looked_at(objects, tmp_path):
    truth = large_discs()
    truth[truth > objects] = 0
    result = measured(greys_of(truth), tmp_path, Components())
    assert result.object_size == 0
    assert result.tiles > 12
    assert result.objects == objects


def test_it_is_measured_once_for_the_same_question(image, tmp_path):
    first, second = Components(), Components()
    result = measured(image, tmp_path, first)
    again = measured(image, tmp_path, second)
    assert first.seen
    assert not second.seen
    assert again.object_size == result.object_size
    assert again.reused == again.tiles
    (kept,) = (tmp_path / ".segany").rglob("object_size.json")
    kept.write_text(json.dumps({"question": "another", "diameter": 400}), encoding="utf-8")
    third = Components()
    assert measured(image, tmp_path, third).object_size == result.object_size
    assert third.seen


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("an error of torch")])
def test_a_window_that_fails_does_not_stop_it(image, tmp_path, error):
    result = measured(image, tmp_path, Components(fails_at=1, error=error))
    assert result.object_size > 0


def test_other_words_than_auto_are_refused():
    with pytest.raises(ValueError, match="'small'; give a number of pixels or auto"):
        TilingSettings(object_size="small")
