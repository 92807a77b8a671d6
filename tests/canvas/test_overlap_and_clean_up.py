"""What is chosen in the dock for overlaps and for clean-up, and what becomes of `objects` by it, with real events."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.ndimage import binary_fill_holes, convolve, label
from tests.canvas.conftest import DiscPredictor
from tests.canvas.hands import choose, press, tick, type_number

from napari_segany.engine.prediction import Prediction

SHAPE = (120, 160)
IMAGE = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
UNDO = (Qt.Key_Z, Qt.ControlModifier)


def accept(person, position, mask=1):
    person.click(person.session.image, position)
    person.wait_answer(3)
    for _ in range(mask - 1):
        person.press(Qt.Key_W)
    pixels = person.viewer.layers[f"mask {mask}"].data > 0
    person.press(Qt.Key_N)
    return pixels


@pytest.mark.parametrize(
    ("rule", "winners"),
    [  # of the second object over the first, and of the third over the second
        ("others keep theirs", (False, False)),
        ("new object wins", (True, True)),
        ("smaller one wins", (True, False)),
    ],
)
def test_the_rule_decides_who_has_the_pixels_of_two_objects(drive, rule, winners):
    person = drive(IMAGE)
    person.wait_ready()
    choose(person.widget.objects_row.overlap, rule)
    large = accept(person, (50, 50), mask=3)
    small = accept(person, (50, 62))
    middle = accept(person, (50, 70), mask=2)
    expected = np.where(large, 1, 0)
    expected[small & ~(large & (not winners[0]))] = 2
    expected[middle & ~(expected == 1) & ~((expected == 2) & (not winners[1]))] = 3
    assert (large & small).any()
    assert (small & middle).any()
    assert not (large & middle & ~small).any(), "the test means pairs"
    objects = person.viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data, expected)
    assert objects.features["area"][1:].tolist() == [(expected == number).sum() for number in (1, 2, 3)]
    for _ in range(2):  # the third object, and its click
        person.press(*UNDO)
    np.testing.assert_array_equal(objects.data == 2, small & ~(large & (not winners[0])))


def test_the_dock_says_that_an_object_lies_wholly_under_another(drive):
    person = drive(IMAGE)
    person.wait_ready()
    accept(person, (50, 50), mask=3)
    before = person.viewer.layers["objects"].data.copy()
    accept(person, (50, 50))
    np.testing.assert_array_equal(person.viewer.layers["objects"].data, before)
    assert "choose another rule for overlaps" in person.widget.status_label.text()
    assert person.widget.candidate_list.count() == 3, "the mask is still on offer"
    choose(person.widget.objects_row.overlap, "new object wins")
    press(person.widget.accept_button)
    assert person.viewer.layers["objects"].data[50, 50] == 2


def ragged():
    """A disc with a hole, a spike, a large island and two small ones."""
    rows, cols = np.indices(SHAPE)
    mask = np.hypot(rows - 60, cols - 60) <= 20
    mask[58:62, 58:62] = False
    mask[60, 80:95] = True
    mask[20:26, 20:26] = True
    mask[100:102, 100:102] = mask[10, 120] = True
    return mask


class Ragged(DiscPredictor):
    """Answers with one mask that nobody would draw."""

    def predict(self, embedding, **prompts):
        return Prediction(
            ragged()[None], np.array([0.9], np.float32), np.array([0.9], np.float32), np.zeros((1, 8, 8))
        )


def parts_of(mask, keep):
    """Return the parts of a mask whose pixels are as `keep` wants, largest first."""
    parts, count = label(mask, structure=np.ones((3, 3)))
    sizes = [(parts == number).sum() for number in range(1, count + 1)]
    return sum((parts == number for number in range(1, count + 1) if keep(sizes[number - 1], max(sizes))), 0) > 0


def smoothed(mask, radius):
    rows, cols = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    disc = (rows**2 + cols**2 <= radius**2).astype(int)
    return 2 * convolve(mask.astype(int), disc, mode="nearest") > disc.sum()


CLEANED = {
    "largest part only": lambda: parts_of(ragged(), lambda size, largest: size == largest),
    "fill holes": lambda: binary_fill_holes(ragged()),
    "islands below": lambda: parts_of(ragged(), lambda size, largest: size >= 10),
    "smooth by": lambda: smoothed(ragged(), 3),
}


def set_choice(row, name, on):
    """Switch one kind of clean-up on or off, with the mouse or by typing."""
    boxes = {"largest part only": row.largest_part, "fill holes": row.fill_holes}
    if name in boxes:
        tick(boxes[name])
    elif name == "islands below":
        type_number(row.drop_islands, 10 if on else 0)
    else:
        type_number(row.smooth, 3 if on else 0)


def test_each_clean_up_that_is_chosen_cleans_what_is_accepted(drive):
    person = drive(IMAGE, predictor=Ragged())
    person.wait_ready()
    row = person.widget.objects_row
    tick(row.clean_accepted)
    for name, expected in CLEANED.items():
        assert (expected() != ragged()).any()
        set_choice(row, name, True)
        person.click(person.session.image, (60, 50))
        person.wait_answer(1)
        person.press(Qt.Key_N)
        np.testing.assert_array_equal(person.viewer.layers["objects"].data == 1, expected(), err_msg=name)
        set_choice(row, name, False)
        press(row.undo)
        press(row.undo)
        assert not person.viewer.layers["objects"].data.any()


def test_the_button_cleans_the_selected_object_and_undo_gives_it_back(drive):
    person = drive(IMAGE, predictor=Ragged())
    person.wait_ready()
    image, row = person.session.image, person.widget.objects_row
    set_choice(row, "fill holes", True)
    set_choice(row, "islands below", True)
    person.click(image, (60, 50))
    person.wait_answer(1)
    person.press(Qt.Key_N)
    objects = person.viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data == 1, ragged(), err_msg="not at accepting: that is not ticked")
    assert not row.clean.isEnabled(), "nothing is selected"
    person.point_at(image, (60, 50))
    person.press(Qt.Key_G)
    press(row.clean)
    expected = binary_fill_holes(CLEANED["islands below"]())
    np.testing.assert_array_equal(objects.data == 1, expected)
    assert objects.features["area"][1] == expected.sum()
    person.press(*UNDO)
    np.testing.assert_array_equal(objects.data == 1, ragged())
    assert objects.features["area"][1] == ragged().sum()
