"""Selecting, deleting, merging, splitting, cleaning and opening accepted objects, without Qt."""

from __future__ import annotations

import json

import numpy as np
import pytest
from napari.layers import Labels

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.widgets.keys import KEYS

STACK = np.stack([np.full((40, 50), index, np.uint8) for index in range(3)])


@pytest.fixture
def stack(session, viewer):
    session.choose_image(viewer.add_image(STACK, name="stack", contrast_limits=(0, 2)))
    return session


@pytest.fixture
def three(stack):
    """Squares of nine pixels: 1 and 2 on slice 1, 3 on slice 2."""
    for index, position in ((1, (5, 5)), (1, (20, 20)), (2, (30, 30))):
        stack.viewer.dims.set_current_step(0, index)
        stack.add_point(position)
        stack.accept()
    stack.viewer.dims.set_current_step(0, 1)
    return stack


def areas(session) -> dict[int, int]:
    labels, counts = np.unique(session.objects.layer.data, return_counts=True)
    return dict(zip(labels[1:].tolist(), counts[1:].tolist(), strict=True))


def origin(session, label) -> dict:
    return json.loads(session.objects.row(label)["prompts"])


def test_objects_are_selected_by_number_and_by_place(three, viewer):
    editor = three.editor
    assert editor.labels == (1, 2, 3)
    editor.select_at((6, 6))
    assert editor.selection == (1,)
    editor.select_at((21, 21), add=True)
    assert editor.selection == (1, 2)
    editor.select_at((6, 6), add=True)
    assert editor.selection == (2,)
    assert "Object 2 selected" in three.status
    editor.select_at((1, 1))
    assert editor.selection == ()
    with pytest.raises(ValueError, match="there is no object 9"):
        editor.select([1, 9])


def test_the_outline_lies_around_the_selected_object_and_goes_with_its_slice(three, viewer):
    three.editor.select([2])
    outline = viewer.layers["selected objects"]
    assert outline.visible
    inside = outline.data_to_world(np.argwhere(outline.data)[0])
    np.testing.assert_allclose(inside, viewer.layers["stack"].data_to_world((1, 20, 20)))
    viewer.dims.set_current_step(0, 2)
    assert not outline.visible
    three.editor.select([3])
    assert outline.visible
    three.editor.delete()
    assert three.editor.selection == ()
    assert not outline.visible


def test_a_deleted_object_leaves_pixels_and_table_and_its_number_is_not_given_again(three):
    assert three.editor.delete([3]) == (3,)
    assert areas(three) == {1: 9, 2: 9}
    assert three.objects.row(3) == {}
    three.add_point((30, 5))
    assert three.accept() == 4


def test_merged_objects_have_the_number_of_the_first_and_the_clicks_of_all(three):
    three.editor.select([2, 1])
    assert three.editor.merge() == 2
    assert areas(three) == {2: 18, 3: 9}
    assert origin(three, 2)["points"] == [[20, 20], [5, 5]]
    assert origin(three, 2)["edits"] == ["merge"]
    assert three.objects.row(2)["area"] == 18
    assert "predicted_iou" not in three.objects.row(2), "the model has not seen this object"
    assert three.editor.selection == (2,)


def test_one_object_is_not_merged(three):
    three.editor.select([1])
    assert three.editor.merge() is None
    assert "Only object 1" in three.status


def test_separate_parts_become_objects_and_the_largest_keeps_the_number(three):
    three.editor.merge([1, 2, 3])
    layer = three.objects.layer
    layer.data_setitem((np.array([1, 1]), np.array([8, 8]), np.array([5, 6])), 1)
    parts = three.editor.split(1)
    assert parts == (1, 4, 5)
    assert areas(three) == {1: 11, 4: 9, 5: 9}
    assert layer.data[1, 8, 5] == 1


def test_an_object_in_one_piece_is_cut_between_clicks_in_it(three, viewer):
    layer = three.objects.layer
    layer.data_setitem(np.nonzero(np.isin(np.arange(40), range(10, 20))[None, :, None] & (STACK == 1)), 8)
    assert three.editor.split(8) == ()
    assert "click once in each part" in three.status
    three.add_point((15, 5))
    three.add_point((15, 45))
    first, second = three.editor.split(8)
    assert (first, second) == (8, 9)
    assert layer.data[1, 15, 5] == 8
    assert layer.data[1, 15, 45] == 9
    assert not three.prompts, "the clicks were for this"
    assert three.undo()
    assert three.editor.labels == (1, 2, 3, 8)
    assert len(three.prompts.points) == 2


def test_clean_up_goes_through_all_slices_and_leaves_others_their_pixels(three):
    layer = three.objects.layer
    ring = np.zeros((40, 50), bool)
    ring[20:30, 30:40] = True
    ring[22:28, 32:38] = False
    for index in (0, 2):
        layer.data_setitem(
            tuple(np.full(ring.sum(), index) if axis == 0 else np.nonzero(ring)[axis - 1] for axis in range(3)), 7
        )
    layer.data_setitem((np.array([0]), np.array([24]), np.array([34])), 2)
    assert three.editor.clean_up([7], CleanUp(fill_holes=True)) == (7,)
    assert (layer.data[0] == 7).sum() == 99
    assert layer.data[0, 24, 34] == 2
    assert (layer.data[2] == 7).sum() == 100, "object 3 lies outside of the hole"
    assert origin(three, 7)["edits"] == ["brush", "clean-up"]
    assert three.editor.clean_up([7], CleanUp(fill_holes=True)) == ()
    three.editor.select([7])
    assert three.editor.clean_up() == ()
    assert "Choose what to clean up" in three.status


def test_masks_can_be_cleaned_as_they_are_accepted(stack):
    stack.editor.cleaning, stack.editor.clean_accepted = CleanUp(smooth=2), True
    stack.add_point((10, 10))
    stack.accept()
    assert areas(stack) == {1: 5}, "the corners of a square of three are in the minority"


def test_smaller_wins_and_a_covered_object_is_told_of(stack):
    stack.overlap = "smaller"
    stack.add_point((10, 10))
    stack.select_candidate(2)
    stack.accept()
    stack.add_point((12, 12))
    stack.accept()
    assert areas(stack) == {1: 40, 2: 9}
    stack.overlap = "overwrite"
    assert stack.overlap == "overwrite"
    stack.add_point((12, 12))
    stack.accept()
    assert "nothing is left of object 2, Ctrl-Z brings it back" in stack.status
    assert stack.editor.labels == (1, 3)
    stack.undo()
    assert areas(stack) == {1: 40, 2: 9}
    assert stack.objects.row(2)["predicted_iou"] == pytest.approx(0.9)


def test_an_object_is_opened_again_with_its_prompts_on_its_slice(three, predictor):
    three.viewer.dims.set_current_step(0, 0)
    asked = len(predictor.asked)
    assert three.editor.reopen(3)
    assert three.plane.index == (2,)
    assert three.prompts.points == ((30.0, 30.0),)
    assert three.prompts.mask.label == 3
    assert len(predictor.asked) == asked, "its mask is there already"
    np.testing.assert_array_equal(three.candidates[0].mask, three.objects.layer.data[2] == 3)
    assert three.candidates[0].predicted_iou == pytest.approx(0.9)
    assert three.accept() == 3
    assert areas(three)[3] == 9
    three.editor.reopen(3)
    three.add_point((31, 31))
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], three.objects.layer.data[2] == 3)
    three.objects.layer.name = "renamed meanwhile"
    assert three.accept() == 3
    assert origin(three, 3)["points"] == [[30, 30], [31, 31]]


def test_an_object_of_another_view_is_opened_by_its_mask_alone(three):
    cell = json.loads(three.objects.row(3)["prompts"])
    cell["axes"], cell["plane"], cell["points"] = [0, 2], [2], [[2, 30]]  # as if clicked on row 2, in another view
    three.objects.layer.features.loc[3, "prompts"] = json.dumps(cell)
    assert three.editor.reopen(3)
    assert three.plane.index == (2,)
    assert three.prompts.points == ()
    assert three.prompts.mask.label == 3


def test_an_open_object_that_is_dropped_stays_as_it_is(three):
    before = three.objects.layer.data.copy()
    three.editor.reopen(1)
    three.clear_prompts()
    np.testing.assert_array_equal(three.objects.layer.data, before)


def test_a_painted_object_is_opened_by_its_mask(three):
    three.objects.layer.data_setitem((np.array([0, 0]), np.array([7, 8]), np.array([9, 9])), 6)
    assert three.editor.reopen(6)
    assert three.plane.index == (0,)
    assert three.prompts.points == ()
    assert three.candidates[0].mask.sum() == 2


def test_what_cannot_be_done_is_said(three):
    for action in (three.editor.delete, three.editor.merge, three.editor.split, three.editor.reopen):
        assert not action()
        assert "No object is selected" in three.status
    three.editor.select([1, 2])
    assert not three.editor.split()
    assert "select the one to split" in three.status
    assert not three.editor.reopen()
    three.attempt("editor.toggle_here")
    three.choose_image(None)
    assert three.editor.labels == ()
    assert not three.undo()


def test_every_key_calls_something_that_is_there(three):
    for key in KEYS:
        three.attempt(key.method, *key.arguments)


def test_objects_of_an_earlier_session_are_counted_and_can_be_edited(session, viewer):
    image = viewer.add_image(STACK, name="stack")
    labels = np.zeros(STACK.shape, np.uint16)
    labels[1, 3:6, 3:6] = 4
    from napari_segany.widgets.objects import OWNER_KEY

    viewer.add_layer(Labels(labels, name="kept", metadata={OWNER_KEY: image.unique_id}))
    session.choose_image(image)
    assert session.editor.labels == (4,)
    assert viewer.layers["kept"].features["area"][4] == 9
    session.editor.delete([4])
    assert not viewer.layers["kept"].data.any()
    session.undo()
    assert viewer.layers["kept"].features["area"][4] == 9


def test_the_outline_is_drawn_once_for_each_step(three, viewer):
    three.editor.select([1, 2])
    outline, drawn = viewer.layers["selected objects"], []
    outline.events.data.connect(drawn.append)
    three.editor.merge()
    assert len(drawn) == 1
    drawn.clear()
    three.undo()
    assert len(drawn) == 1
    assert outline.data.sum() == 9, "object 1 alone: it stayed selected"
