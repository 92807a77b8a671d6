"""Napari's list of layers hears of what its rows show once and a moment later, of layers that come and go at once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.widgets.calm_layer_list import CalmLayerList
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


class List:
    """Hears what napari's list of layers hears."""

    def __init__(self, viewer) -> None:
        self.heard: list[tuple[str, int]] = []
        viewer.layers.events.connect(self._process_event)

    def _process_event(self, event) -> None:
        if hasattr(event, "index"):
            self.heard.append((event.type, event.index))


@pytest.fixture
def shown(viewer):
    return List(viewer)


@pytest.fixture
def waiting():
    """What waits for a turn of the event loop."""
    return []


@pytest.fixture
def calm(viewer, shown, waiting):
    viewer.add_image(np.zeros((4, 5)), name="under")
    viewer.add_image(np.zeros((4, 5)), name="over")
    calm = CalmLayerList(viewer, lambda callback, delay_ms: waiting.append(callback))
    shown.heard.clear()
    return calm


def test_rows_are_told_of_once_and_later(viewer, shown, waiting, calm):
    for layer in viewer.layers:
        layer.visible = False
        layer.visible = True
        layer.opacity = 0.5
    assert shown.heard == []
    assert len(waiting) == 1
    waiting.pop()()
    assert [one for one in shown.heard if one[0] == "visible"] == [("visible", 0), ("visible", 1)]
    assert "opacity" not in [name for name, _ in shown.heard], "no row shows it"
    viewer.layers[0].name = "another"
    waiting.pop()()
    assert shown.heard[-1] == ("name", 0)


def test_layers_that_come_go_and_move_are_told_of_at_once(viewer, shown, waiting, calm):
    viewer.layers["over"].name = "first"
    viewer.layers["under"].name = "gone"
    viewer.layers.remove("gone")
    assert ("removed", 0) in shown.heard
    viewer.add_image(np.zeros((4, 5)), name="third")
    assert ("inserted", 1) in shown.heard
    viewer.layers.move(1, 0)
    shown.heard.clear()
    waiting.pop()()
    assert ("name", 1) in shown.heard, "where the layer lies by then"
    assert ("name", 0) not in shown.heard, "that one is gone"


def test_what_waits_is_told_at_the_end_and_nothing_is_kept_any_more(viewer, shown, waiting, calm):
    viewer.layers[0].visible = False
    calm.close()
    calm.close()
    assert ("visible", 0) in shown.heard
    viewer.layers[0].opacity = 0.5
    assert shown.heard[-1] == ("opacity", 0)
    shown.heard.clear()
    waiting.pop()()
    assert shown.heard == []


def test_a_session_calms_the_list_while_it_is_there(viewer, shown, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    image = viewer.add_image(np.zeros((4, 5)))
    shown.heard.clear()
    image.opacity = 0.5
    assert ("opacity", 0) not in shown.heard
    session.close()
    image.opacity = 0.6
    assert shown.heard[-1] == ("opacity", 0)
