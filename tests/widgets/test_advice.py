from __future__ import annotations

import pytest

from napari_segany.widgets.advice import advice
from napari_segany.widgets.drafts import Prompts

ONE = Prompts(((1.0, 2.0),), (1,))


@pytest.mark.parametrize(
    ("has_image", "phase", "prompts", "candidates", "words"),
    [
        (False, "none", Prompts(), 0, "Open an image"),
        (True, "none", Prompts(), 0, "Click on an object"),
        (True, "ready", Prompts(), 0, "Right click or Ctrl-click: background"),
        (True, "working", ONE, 0, "kept and answered"),
        (True, "ready", ONE, 0, "Looking"),
        (True, "ready", ONE, 3, "W shows the next, N accepts"),
        (True, "ready", ONE, 1, "N accepts the mask"),
        (True, "working", ONE, 3, "W shows the next"),
    ],
)
def test_the_next_step_is_named(has_image, phase, prompts, candidates, words):
    assert words in advice(has_image, phase, prompts, candidates)


def test_earlier_work_is_offered_to_those_who_have_not_begun():
    assert advice(True, "ready", Prompts(), 0, "There is earlier work.") == "There is earlier work."
    assert "Looking" in advice(True, "ready", ONE, 0, "There is earlier work.")
    assert "Open" in advice(False, "none", Prompts(), 0, "There is earlier work.")
