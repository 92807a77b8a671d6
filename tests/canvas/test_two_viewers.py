"""Two viewers with a dock each: what is done in one changes nothing in the other."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tests.canvas.conftest import DiscPredictor
from tests.canvas.hands import choose, press, tick

IMAGES = [np.random.default_rng(seed).integers(0, 255, (120, 160), dtype=np.uint8) for seed in (0, 1)]


def state_of(person):
    """Everything that a person sees of a viewer and its dock."""
    widget = person.widget
    return {
        "layers": [(one.name, one.visible, np.asarray(one.data).tobytes()) for one in person.viewer.layers],
        "active": person.viewer.layers.selection.active.name,
        "status": widget.status_label.text(),
        "masks": [widget.candidate_list.item(row).text() for row in range(widget.candidate_list.count())],
        "overlap": widget.objects_row.overlap.currentText(),
        "cleaning": widget.objects_row.cleaning,
        "polarity": widget.tool_row.polarity.text(),
        "classes": [widget.classes_panel.list.item(row).text() for row in range(widget.classes_panel.list.count())],
        "undo": widget.objects_row.undo.isEnabled(),
        "docks": sorted(person.viewer.window.dock_widgets),
        "camera": person.viewer.scene.camera.zoom,
    }


def work(person, position):
    """Clicks, keys, choices, and a mask under work at the end."""
    widget = person.widget
    QTest.keyClicks(widget.classes_panel.name, "nucleus")
    QTest.keyClick(widget.classes_panel.name, Qt.Key_Return)
    choose(widget.objects_row.overlap, "new object wins")
    tick(widget.objects_row.fill_holes)
    person.click(person.session.image, position)
    person.wait_answer(3)
    person.press(Qt.Key_W)
    person.press(Qt.Key_N)
    person.click(person.session.image, (80, 120))
    person.wait_answer(3)
    press(widget.classes_panel.table_button)
    person.press(Qt.Key_Q)


def test_what_is_done_in_one_viewer_changes_nothing_in_the_other(drive):
    first = drive(IMAGES[0], name="cells")
    second = drive(IMAGES[1], name="cells", predictor=DiscPredictor(radii=(10, 14, 18)))
    for person in (first, second):
        person.wait_ready()
    untouched = state_of(second)
    work(first, (40, 50))
    done = state_of(first)
    assert done["docks"] != untouched["docks"]
    assert state_of(second) == untouched
    assert second.predictor.asked == []

    work(second, (40, 50))
    assert state_of(first) == done
    small, large = (person.viewer.layers["objects"].data for person in (first, second))
    assert large.sum() > 2 * small.sum() > 0, "each is answered by its own model"
    press(second.widget.accept_button)
    second.press(Qt.Key_Z, Qt.ControlModifier)
    assert state_of(first) == done

    # The tables are docks of their own, and go with the dock of prompts.
    second.viewer.window.remove_dock_widget(second.widget)
    assert state_of(first) == done
    first.press(Qt.Key_Q)
    press(first.widget.accept_button)
    assert first.viewer.layers["objects"].data.max() == 2
    assert second.viewer.layers["objects"].data.max() == 1
