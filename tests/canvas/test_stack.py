"""A stack with real events: click on a slice, Propagate, Cancel, correct on another slice, undo."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.widgets.stack_oracle import StackOracle, squares

from napari_segany.widgets.settings import Settings

COUNT = 12
STACK = squares(COUNT, (1, 8, 8, 14, range(COUNT)), (2, 40, 36, 14, range(COUNT)))


class SlowOracle(StackOracle):
    """Answers no more until it is let go on, from a number of answers on."""

    def __post_init__(self):
        super().__post_init__()
        self.left = 10**9

    def encode_steps(self, image, *, contrast_limits=None):
        from time import sleep

        from napari_segany.engine.progress import Progress

        while self.left <= 0:
            yield Progress(0, 1, "Computing the image embedding")
            sleep(0.005)
        self.left -= 1
        return (yield from super().encode_steps(image, contrast_limits=contrast_limits))


@pytest.fixture
def driver(drive):
    return drive(STACK, predictor=SlowOracle(), settings=Settings(compute_ahead=False), contrast_limits=(0, 10))


def press(button):
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def on_slices(driver, label=1):
    layer = driver.session.objects.layer
    return [] if layer is None else np.flatnonzero((np.asarray(layer.data) == label).any(axis=(1, 2))).tolist()


def click_on(driver, place, position, button=Qt.MouseButton.LeftButton):
    driver.session.stack.show(place)
    driver.wait_ready()
    driver.click(driver.session.image, (place, *position), button)
    driver.wait_answer(1)


def wait_over(driver):
    driver.qtbot.waitUntil(lambda: not driver.session.stack.state.is_working, timeout=20_000)


def test_click_propagate_correct_and_undo(driver):
    panel = driver.widget.stack_section.panel
    assert panel.isVisibleTo(driver.widget)
    assert panel.axis.currentText() == "axis 0"
    click_on(driver, 4, (14, 14))
    press(panel.propagate)
    wait_over(driver)
    assert on_slices(driver) == list(range(COUNT))
    np.testing.assert_array_equal(np.asarray(driver.session.objects.layer.data) == 1, STACK == 1)
    click_on(driver, 7, (46, 42))
    press(panel.correct)
    wait_over(driver)
    found = np.asarray(driver.session.objects.layer.data)
    np.testing.assert_array_equal(found[:7] == 1, STACK[:7] == 1)
    np.testing.assert_array_equal(found[7:] == 1, STACK[7:] == 2)
    driver.press(Qt.Key_Z, Qt.ControlModifier)
    np.testing.assert_array_equal(np.asarray(driver.session.objects.layer.data) == 1, STACK == 1)
    driver.press(Qt.Key_Z, Qt.ControlModifier)  # the click on slice 7
    driver.press(Qt.Key_Z, Qt.ControlModifier)
    assert on_slices(driver) == []
    assert driver.session.prompts.points


def test_cancel_keeps_what_was_found(driver):
    panel = driver.widget.stack_section.panel
    click_on(driver, 4, (14, 14))
    driver.predictor.left = 3
    press(panel.propagate)
    driver.qtbot.waitUntil(lambda: len(on_slices(driver)) == 4, timeout=20_000)
    assert panel.cancel.isEnabled()
    assert not panel.propagate.isEnabled()
    press(panel.cancel)
    assert not driver.session.stack.state.is_working
    assert driver.session.status.startswith("Stopped. Object 1 is on 4 slices")
    driver.predictor.left = 10**9
    driver.press(Qt.Key_Z, Qt.ControlModifier)
    assert on_slices(driver) == []


def test_slices_are_made_ready_and_a_tick_goes_there(driver):
    panel = driver.widget.stack_section.panel
    driver.wait_ready()
    panel.ahead.click()
    driver.qtbot.waitUntil(lambda: panel.ready.text() == f"{COUNT} of {COUNT} slices ready", timeout=20_000)
    QTest.mouseClick(panel.strip, Qt.MouseButton.LeftButton, pos=panel.strip.rect().topRight())
    assert driver.session.plane.index == (COUNT - 1,)
