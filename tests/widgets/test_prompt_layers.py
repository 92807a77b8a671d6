from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.session import PromptSession

PLANE = Plane((1, 2), (2,))


@pytest.fixture
def layers(viewer):
    layers = PromptLayers(viewer, lambda callback: callback())
    layers.attach(viewer.add_image(np.zeros((5, 40, 50)), scale=(2.0, 1.0, 1.0), name="image"))
    return layers


def press(viewer, button=1, modifiers=()):
    """Tell the viewer's own callbacks of a mouse press, as napari does before it tells the layer."""
    event = SimpleNamespace(button=button, modifiers=modifiers)
    for callback in viewer.mouse_drag_callbacks:
        if getattr(callback, "__self__", None).__class__ is PromptLayers:
            callback(viewer, event)


def test_points_have_colour_and_symbol_by_label(layers):
    layers.add_points(PLANE, [(1, 2), (3, 4), (5, 6)], [0, 1, 0])
    assert [str(symbol) for symbol in layers.points.symbol] == ["cross", "disc", "cross"]
    np.testing.assert_allclose(layers.points.face_color[:, :3], [[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(layers.points.data[:, 0], 2)


@pytest.mark.parametrize(
    ("polarity", "button", "modifiers", "label"),
    [
        ("foreground", 1, (), 1),
        ("foreground", 2, (), 0),
        ("foreground", 1, ("Control",), 0),
        ("background", 1, (), 0),
        ("background", 2, (), 1),
    ],
)
def test_the_press_decides_the_label(layers, viewer, polarity, button, modifiers, label):
    if layers.polarity != polarity:
        layers.toggle_polarity()
    layers.use("points")
    press(viewer, button, modifiers)
    layers.points.add((2, 5, 6))
    assert layers.read(PLANE).labels == (label,)


def test_a_press_into_another_layer_changes_nothing(layers, viewer):
    layers.use("points")
    viewer.layers.selection.active = viewer.layers["image"]
    press(viewer, 2)
    assert layers.points.feature_defaults["label"][0] == "foreground"


def test_only_prompts_of_the_plane_and_in_the_image_are_read(layers):
    layers.points.add([(2, 5, 6), (3, 5, 6), (2, 39.4, 49.4), (2, 39.6, 6), (2, -0.6, 6)])
    assert layers.read(PLANE).points == ((5, 6), (39.4, 49.4))
    assert layers.read(Plane((1, 2), (3,))).points == ((5, 6),)
    assert layers.read(Plane((0, 2), (5,))).points == ((2, 6), (3, 6))


def test_boxes_are_upright_inside_and_one_for_a_plane(layers):
    changes = []
    layers.changed.connect(lambda: changes.append(True))
    layers.boxes.add_rectangles([[2, 30, 40], [2, 30, 10], [2, 10, 10], [2, 10, 40]])
    assert layers.read(PLANE).box == (10, 10, 30, 40)
    layers.boxes.add_rectangles([[3, 1, 1], [3, 1, 9], [3, 9, 9], [3, 9, 1]])
    assert layers.boxes.nshapes == 2
    layers.boxes.add_rectangles([[2, 35, 45], [2, 35, 80], [2, 80, 80], [2, 80, 45]])
    assert layers.boxes.nshapes == 2
    assert layers.read(PLANE).box == (35, 45, 39.5, 49.5)
    assert layers.read(Plane((1, 2), (3,))).box == (1, 1, 9, 9)
    assert len(changes) == 3


def test_a_slip_of_the_hand_is_no_box(layers):
    layers.boxes.add_rectangles([[2, 5, 5], [2, 5, 6], [2, 6, 6], [2, 6, 5]])
    assert layers.boxes.nshapes == 0
    assert layers.read(PLANE).box is None


def test_clearing_a_plane_leaves_the_others(layers):
    layers.add_points(PLANE, [(1, 2)], [1])
    layers.add_points(Plane((1, 2), (3,)), [(5, 6)], [0])
    layers.set_box(PLANE, (5, 5, 20, 20))
    layers.clear(PLANE)
    assert not layers.read(PLANE)
    assert layers.read(Plane((1, 2), (3,))).labels == (0,)


def test_layers_lie_on_the_image_and_follow_it(layers, viewer):
    image = viewer.layers["image"]
    np.testing.assert_array_equal(layers.points.scale, image.scale)
    image.scale = (1.0, 5.0, 5.0)
    layers.follow()
    np.testing.assert_array_equal(layers.boxes.scale, (1.0, 5.0, 5.0))


def test_pause_and_resume_give_the_tool_back(layers):
    layers.use("boxes")
    layers.pause()
    layers.pause()
    assert layers.boxes.mode == "pan_zoom"
    layers.resume()
    assert layers.boxes.mode == "add_rectangle"
    assert layers.points.mode == "pan_zoom"


def test_closing_takes_layers_and_callback_away(layers, viewer):
    before = len(viewer.mouse_drag_callbacks)
    layers.close()
    layers.close()
    assert [layer.name for layer in viewer.layers] == ["image"]
    assert len(viewer.mouse_drag_callbacks) == before - 1


def test_layers_without_prompts_are_taken_along_to_the_next_image_on_top_of_it(viewer, session):
    """Napari takes up to a second to remove a layer: it collects all of Python's garbage each time."""
    first = viewer.add_image(np.zeros((40, 50), np.uint8), contrast_limits=(0, 1), name="first")
    session.choose_image(first)
    session.add_point((10, 20))
    session.accept()
    points, boxes, mask = session.prompt_layers.points, session.prompt_layers.boxes, viewer.layers["mask 1"]
    second = viewer.add_image(
        np.zeros((400, 300), np.uint8), contrast_limits=(0, 1), name="second", scale=(2, 2), units=("um", "um")
    )
    removed = []
    viewer.layers.events.removed.connect(lambda event: removed.append(event.value.name))
    session.choose_image(second)
    assert removed == []
    assert (session.prompt_layers.points, session.prompt_layers.boxes) == (points, boxes)
    assert points.current_size == pytest.approx(300 / 45)
    assert [layer.name for layer in viewer.layers][-5:] == [
        "mask 1",
        "mask 2",
        "mask 3",
        "prompt boxes",
        "prompt points",
    ]
    assert all(layer.units == second.units for layer in list(viewer.layers)[-5:])
    session.add_point((100, 200))
    assert mask.data.shape == (400, 300)
    np.testing.assert_allclose(mask.data_to_world((5, 6)), second.data_to_world((5, 6)))
    session.choose_image(first)
    assert removed == [], "a layer with a click waits for its image"
    assert session.prompts.points == ()
    session.choose_image(second)
    assert session.prompts.points == ((100, 200),)
    stack = viewer.add_image(np.zeros((3, 40, 50), np.uint8), contrast_limits=(0, 1), name="stack")
    session.choose_image(stack)
    assert session.prompt_layers.points.ndim == 3


def test_points_that_are_to_stay_are_left_alone_when_marks_are_put(layers):
    layers.add_points(PLANE, [(1, 2), (3, 4)], [1, 0])
    two = layers.marks
    layers.add_points(PLANE, [(5, 6), (7, 8), (9, 9)], [0, 0, 1])
    five, said = layers.marks, []
    layers.points.events.data.connect(lambda event: said.append((str(event.action), len(layers.points.data))))
    layers.put(two)
    assert said[-1] == ("removed", 2)
    said.clear()
    layers.put(five)
    assert [one for one in said if one[0] == "added"] == [("added", 4), ("added", 5)], "one for those of a kind"
    assert layers.marks == five
    assert [str(symbol) for symbol in layers.points.symbol] == ["disc", "cross", "cross", "cross", "disc"]
    np.testing.assert_allclose(layers.points.face_color[2:, :2], [[1, 0], [1, 0], [0, 1]])
    said.clear()
    layers.put(five)
    assert said == []
    layers.add_points(PLANE, [(2, 2)], [1])
    assert layers.read(PLANE).labels[-1] == 1


def test_one_pair_of_layers_serves_all_images_and_their_prompts_wait(viewer, session):
    """Napari takes a tenth of a second to add a layer."""
    one, two = (viewer.add_image(np.zeros((40, 50), np.uint8), contrast_limits=(0, 1), name=name) for name in "ab")
    two.scale = (2, 3)
    session.choose_image(one)
    session.add_point((10, 20))
    session.add_point((11, 21), label=0)
    session.prompt_layers.set_box(Plane((0, 1), ()), (5, 6, 25, 26))
    layers, of_one = list(viewer.layers), session.prompt_layers.marks
    assert (len(of_one.points), len(of_one.boxes)) == (2, 1)
    for _ in range(2):
        session.choose_image(two)
        assert not session.prompt_layers.marks
        assert not session.history.can_undo, "bringing prompts back is nothing that is undone"
        session.choose_image(one)
        assert session.prompt_layers.marks == of_one
        np.testing.assert_array_equal(session.prompt_layers.points.scale, one.scale)
        assert [str(symbol) for symbol in session.prompt_layers.points.symbol] == ["disc", "cross"]
    assert list(viewer.layers) == layers
    assert session.undo()
    assert session.prompts.box is None
    assert session.redo()
    assert session.prompt_layers.marks == of_one


def test_an_image_that_goes_before_its_turn_has_come_is_not_worked_on(viewer, slow_session, by_hand):
    session, images = slow_session, [viewer.add_image(np.zeros((40, 50), np.uint8)) for _ in range(3)]
    session.choose_image(images[0])
    by_hand.finish_all()
    session.add_point((10, 20))
    done, chosen = [], []
    session.image_changed.connect(chosen.append)
    session.choose_image_in_turns(images[1], lambda: done.append(1))
    assert session.image is None
    session.choose_image_in_turns(images[2], lambda: done.append(2))
    by_hand.finish_all()
    assert (session.image, chosen, done) == (images[2], [images[2]], [2])
    session.choose_image_in_turns(images[1], lambda: done.append(3))
    viewer.layers.remove(images[1])
    by_hand.finish_all()
    assert (session.image, done) == (None, [2])
    session.choose_image(images[0])
    assert session.prompts.points == ((10, 20),)


def test_prompts_that_wait_get_layers_when_the_session_is_closed(viewer, session, predictor):
    one, two, three = (viewer.add_image(np.zeros((40, 50), np.uint8), contrast_limits=(0, 1)) for _ in range(3))
    for number, image in enumerate((one, two, three)):
        session.choose_image(image)
        session.add_point((10, 20 + number))
    session.prompt_layers.set_box(Plane((0, 1), ()), (5, 6, 25, 26))
    session.choose_image(one)
    viewer.layers.remove(two)
    session.close()
    there = [layer for layer in viewer.layers if layer.name.startswith("prompt")]
    assert sorted(type(layer).__name__ for layer in there) == ["Points", "Points", "Shapes"], "none of the image gone"
    again = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    again.choose_image(three)
    assert (again.prompts.points, again.prompts.box) == (((10, 22),), (5, 6, 25, 26))
    again.choose_image(one)
    assert (again.prompts.points, again.prompts.box) == (((10, 20),), None)


def test_layers_are_made_one_at_each_turn_of_the_event_loop(viewer):
    waiting = []
    layers = PromptLayers(viewer, waiting.append)
    layers.attach(viewer.add_image(np.zeros((40, 50))))
    made = []
    while waiting:
        there = len(viewer.layers)
        waiting.pop(0)()
        made.append(len(viewer.layers) - there)
    assert [count for count in made if count] == [1, 1]
    assert None not in (layers.points, layers.boxes)
