"""How objects came about, while it is being saved."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

from napari_segany.engine.progress import drain
from napari_segany.widgets import work_log
from napari_segany.widgets.pixel_changes import changed_pixels
from napari_segany.widgets.work_log import WorkLog


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
