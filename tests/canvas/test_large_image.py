"""Windows of a large image become ready, and are outlined, while somebody clicks with a real mouse."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_segany.engine import tiling

SIDE, WINDOW = 1200, 128


def test_windows_become_ready_while_somebody_clicks(drive, tiles, monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 1000)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[590:610, 590:610] = pixels[660:676, 660:676] = 200
    predictor = tiles.ComponentPredictor(side=WINDOW)
    person = drive(pixels, predictor=predictor, contrast_limits=(0, 255))
    session, viewer, qtbot = person.session, person.viewer, person.qtbot
    image = viewer.layers[0]
    panel = person.widget.windows_panel
    viewer.scene.camera.zoom, viewer.scene.camera.center = 2.0, (620, 620)
    person.wait_ready()
    qtbot.wait(100)
    assert "0 windows are ready" in panel.note.text()

    person.click(image, (600, 600))
    person.wait_answer(1)
    qtbot.waitUntil(lambda: len(session.windows.ready) > 4 and not session.windows.is_working, timeout=20_000)
    qtbot.wait(50)
    assert f"{len(session.windows.ready)} windows are ready" in panel.note.text()
    outlines = viewer.layers["ready windows"]
    assert len(outlines.data) == len(session.windows.ready)
    assert viewer.layers.selection.active is session.prompt_layers.points, "the next click is a prompt"
    edge = outlines.data[0][0]
    node = person.on_canvas(image, (edge + outlines.data[0][1]) / 2)
    shown = viewer.screenshot(canvas_only=True, flash=False)
    around = shown[node.y() - 4 : node.y() + 5, node.x() - 4 : node.x() + 5, :3].reshape(-1, 3).astype(int)
    assert any(green > red + 40 and green > blue + 20 for red, green, blue in around)

    session.accept()
    count = len(predictor.encoded)
    panel.ahead.click()
    assert not session.windows.enabled
    person.click(image, (668, 668))
    person.wait_answer(1)
    assert len(predictor.encoded) == count, "it lay in a window that was ready"
    assert session.candidates[0].mask.sum() == 16 * 16

    panel.outlines.click()
    assert not outlines.visible
    assert pytest.approx(person.widget.session.objects.layer.data.sum()) == 20 * 20


def test_a_click_never_waits_for_a_window_that_is_being_encoded(drive, tiles, monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 1000)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[595:605, 595:605] = pixels[730:740, 730:740] = pixels[500:508, 700:708] = 200
    predictor = tiles.ComponentPredictor(side=WINDOW)
    person = drive(pixels, predictor=predictor, contrast_limits=(0, 255))
    session, viewer, qtbot = person.session, person.viewer, person.qtbot
    row, bar = person.widget.progress_row, person.widget.progress_row.bar
    image = viewer.layers[0]
    viewer.scene.camera.zoom, viewer.scene.camera.center = 2.0, (620, 620)
    person.wait_ready()
    session.windows.enabled = False
    person.click(image, (600, 600))
    person.wait_answer(1)
    assert len(predictor.encoded) == 1
    predictor.held = True  # from now on no window is finished
    predict, worked_meanwhile = predictor.predict, []

    def watched(*args, **kwargs):
        worked_meanwhile.append(session.windows.is_working)
        return predict(*args, **kwargs)

    monkeypatch.setattr(predictor, "predict", watched)

    session.windows.enabled = True
    qtbot.waitUntil(lambda: len(predictor.begun) == 2, timeout=20_000)
    assert session.windows.is_working
    person.click(image, (602, 602))
    person.wait_answer(1)
    assert len(session.prompts.points) == 2
    assert worked_meanwhile == [False], "the work ahead makes way"
    qtbot.waitUntil(lambda: session.windows.is_working, timeout=20_000)
    session.accept()

    def encoding(count):
        return lambda: len(predictor.begun) == count and session.embedding_state.phase == "working"

    person.click(image, (735, 735))
    qtbot.waitUntil(encoding(3), timeout=20_000)
    assert not session.windows.is_working, "the question has the processor for itself"
    told = "Computing the embedding of a part of the image"  # after that of reading it
    qtbot.waitUntil(lambda: bar.format() == told, timeout=20_000)
    assert row.button.text() == "Cancel"
    person.press(Qt.Key_U)
    qtbot.waitUntil(lambda: bar.format() == "Image embedding ready", timeout=20_000)
    person.click(image, (600, 600))
    person.wait_answer(1)
    assert session.candidates[0].mask.sum() == 10 * 10
    assert len(predictor.encoded) == 1, "it was answered while the windows were held"
    qtbot.waitUntil(lambda: session.windows.is_working, timeout=20_000)
    person.press(Qt.Key_U)

    person.click(image, (504, 704))
    qtbot.waitUntil(encoding(4), timeout=20_000)
    row.button.click()
    assert session.embedding_state.phase == "ready"
    assert "Stopped" in person.widget.status_label.text()
    qtbot.waitUntil(lambda: session._conversation._asker._answering is None, timeout=20_000)
    assert not session.windows.is_working

    predictor.released.set()
    person.click(image, (505, 704))
    person.wait_answer(1)
    assert session.candidates[0].mask.sum() == 8 * 8
    qtbot.waitUntil(lambda: len(session.windows.ready) > 4 and not session.windows.is_working, timeout=20_000)
