"""What a person waits for at the first click, in a shown viewer: nothing has to be made any more."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt


def test_layers_and_characters_are_there_before_the_first_click(drive):
    person = drive(np.zeros((120, 160), np.uint8), ahead=True, contrast_limits=(0, 1))
    person.wait_ready()
    person.qtbot.waitUntil(lambda: person.widget.layers_ahead.is_over, timeout=20_000)
    viewer, text = person.viewer, person.viewer.canvas.overlays.text
    assert (text.text, text.visible, text.opacity, text.box) == ("", False, 1, True), "nothing is seen of it"
    before = list(viewer.layers)
    person.click(person.session.image, (60, 60))
    person.wait_answer(3)
    person.qtbot.waitUntil(lambda: "stability" in text.text)
    person.press(Qt.Key_N)
    assert person.session.objects.labels == (1,)
    assert list(viewer.layers) == before
    assert viewer.layers["objects"].data[60, 60] == 1
