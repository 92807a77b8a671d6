"""A click on a drawn pixel is a prompt on that pixel, wherever the layer lies and however it is shown."""

from __future__ import annotations

import numpy as np
import pytest

FLAT = np.random.default_rng(0).integers(0, 255, (80, 100), dtype=np.uint8)
STACK = np.random.default_rng(1).integers(0, 255, (5, 80, 100), dtype=np.uint8)

# Kinds of images and placements go together here, for a viewer takes long to open; `test_correctness_matrix` has each
# with each.
CASES = {
    "rotated RGB": (
        np.stack([FLAT] * 3, axis=-1),
        {"rotate": 30.0, "scale": (2.0, 1.0), "translate": (5.0, 9.0)},
        (20, 70),
    ),
    "affine multiscale": (
        [FLAT, FLAT[::2, ::2], FLAT[::4, ::4]],
        {
            "multiscale": True,
            "affine": [[0.0, 2.0, 7.0], [-1.0, 0.0, 3.0], [0.0, 0.0, 1.0]],
            "units": ("um", "um"),
        },
        (20, 70),
    ),
    "stack of floats": (
        STACK / 255.0,
        {"scale": (5e-3, 1e-3, 2e-3), "translate": (10e-3, 20e-3, 30e-3)},
        (2, 20, 70),
    ),
}


def prompt_at(person, position) -> tuple[float, float]:
    person.wait_ready()
    person.click(person.session.image, position)
    person.wait_answer(3)
    return person.session.prompts.points[0]


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_click_ends_at_the_pixel(drive, case):
    data, where, position = CASES[case]

    def add(viewer):
        viewer.add_image(data, **where)
        if viewer.dims.ndim == 3:
            viewer.dims.set_current_step(0, position[0])

    person = drive(before=add)
    found = prompt_at(person, position)
    assert np.abs(np.subtract(found, position[-2:])).max() < 0.75

    person.session.accept()
    objects = person.session.objects.layer
    assert objects.data.shape == np.shape(data[0] if "multiscale" in case else data)[: objects.ndim]
    assert objects.data[position] == 1
    rows, cols = np.nonzero(objects.data[position[0]] if objects.ndim == 3 else objects.data)
    assert (rows.mean(), cols.mean()) == pytest.approx(found, abs=0.3)
    np.testing.assert_allclose(objects.data_to_world(position), person.session.image.data_to_world(position))
    assert objects.units == person.session.image.units


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0)])
def test_click_ends_at_the_voxel_in_any_axis_order(drive, order):
    volume = np.random.default_rng(2).integers(0, 255, (60, 70, 80), dtype=np.uint8)
    position = (20, 40, 55)

    def add(viewer):
        viewer.add_image(volume, scale=(2.0, 1.0, 1.0))
        viewer.dims.order = order
        for axis in range(3):
            viewer.dims.set_current_step(axis, position[axis])

    person = drive(before=add)
    found = prompt_at(person, position)
    shown = sorted(order[1:])
    assert person.session.plane.axes == tuple(shown)
    assert np.abs(np.subtract(found, np.take(position, shown))).max() < 0.75
    # the slices beside it are encoded ahead: the click has to be answered by the embedding of the shown one
    plane = np.take(volume, position[order[0]], axis=order[0])
    assert any(np.array_equal(encoded, plane) for encoded in person.predictor.encoded)
    assert person.predictor.asked[-1]["of"] == plane.mean()
    preview = person.viewer.layers["mask 1"]
    assert preview.get_value(person.session.image.data_to_world(position), world=True) == 1
    person.session.accept()
    assert person.session.objects.layer.data[position] == 1


def test_click_ends_at_the_pixel_beside_a_layer_with_other_units(drive):
    def add(viewer):
        viewer.add_image(np.zeros((80, 100), np.uint8), scale=(100.0, 100.0), units=("nm", "nm"), name="in nm")
        viewer.add_image(FLAT, scale=(0.1, 0.1), units=("um", "um"), name="in um")

    person = drive(before=add)
    assert person.session.image.name == "in um"
    assert person.viewer.layers.units != person.session.image.units
    found = prompt_at(person, (20, 70))
    assert np.abs(np.subtract(found, (20, 70))).max() < 0.75


def test_a_transposed_view_asks_about_the_same_pixel(drive):
    def add(viewer):
        viewer.add_image(FLAT)
        viewer.dims.order = (1, 0)

    person = drive(before=add)
    found = prompt_at(person, (20, 70))
    assert np.abs(np.subtract(found, (20, 70))).max() < 0.75
    np.testing.assert_array_equal(person.predictor.encoded[-1], FLAT)
