"""How objects came about, while it is being saved."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from napari.layers import Labels

from napari_segany.engine.progress import drain
from napari_segany.widgets import work_log
from napari_segany.widgets.pixel_changes import PixelChange, changed_pixels
from napari_segany.widgets.work_log import WorkLog, pixels_by_plane


def test_two_savings_at_once_save_the_same(monkeypatch):
    data = np.zeros((6, 8), np.int32)
    log = WorkLog()
    log.take_up(Labels(data))
    log.note(changed_pixels(data, (1, 2), np.ones((2, 3), bool), np.full((2, 3), 4)))
    encoded, others = work_log._encoded, []

    def encoded_after_the_other(*given):
        monkeypatch.setattr(work_log, "_encoded", encoded)
        others.append(drain(log.saved_steps()))
        return encoded(*given)

    monkeypatch.setattr(work_log, "_encoded", encoded_after_the_other)
    saved = drain(log.saved_steps())
    assert saved.to_dict() == others[0].to_dict()
    assert saved.steps[0].planes[()][4].area == 6


def test_a_log_that_begins_anew_while_it_is_saved_keeps_its_new_start():
    layer = Labels(np.ones((2, 4, 5), np.uint16))
    log = WorkLog()
    log.take_up(layer)
    autosave = log.saved_steps()
    next(autosave)
    layer.data = np.full((2, 4, 5), 7, np.uint16)
    log.begin_anew(layer)
    assert set(drain(autosave).start[0,]) == {1}, "what was to be saved is what there was then"
    assert set(drain(log.saved_steps()).start[0,]) == {7}


def changed(after, became):
    """The change that gives the pixels that are set in `became` what they are in `after`."""
    indices = np.flatnonzero(became).astype(np.int32)
    return PixelChange(after.shape, indices, np.zeros(len(indices), after.dtype), after.ravel()[indices])


@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (2, 2, 7, 9)])
def test_pixels_are_told_by_plane_and_label_those_that_were_erased_too(shape, monkeypatch):
    monkeypatch.setattr(work_log, "_PIXELS_AT_A_TIME", 5)
    random = np.random.default_rng(0)
    after, became = random.integers(0, 4, shape).astype(np.uint8), random.random(shape) < 0.4
    became[..., :2, :] = False
    if len(shape) > 2:
        became[1] = False
    found = pixels_by_plane(changed(after, became))
    planes = [index for index in np.ndindex(*shape[:-2]) if became[index].any()]
    assert list(found) == planes
    for index in planes:
        assert list(found[index]) == np.unique(after[index][became[index]]).tolist()
        for label, mask in found[index].items():
            np.testing.assert_array_equal(mask.decode(), became[index] & (after[index] == label))


@pytest.mark.parametrize(("rows", "most"), [(slice(100, 140), 0.5), (slice(None), 8)])
def test_telling_them_takes_memory_of_the_labels_type(rows, most):
    after, became = np.full((1000, 2000), 3, np.uint8), np.zeros((1000, 2000), bool)
    became[rows] = True
    change = changed(after, became)
    tracemalloc.start()
    try:
        found = pixels_by_plane(change)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found[()][3].area == became.sum()
    assert peak < most * after.nbytes, f"{peak / after.nbytes:.1f} planes of the labels"
