"""A click at a known place of the world gives the object that is there, for every kind and placement of an image.

The place is reckoned here, with numpy alone. The click goes through napari's own mouse callbacks, without a canvas.
"""

from __future__ import annotations

from types import SimpleNamespace

import dask.array
import numpy as np
import pytest
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks

from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SIDES = (4, 5, 30, 40)
CLICK = (2, 3, 14, 23)
"""Pixel that is clicked on, in four axes; images of fewer axes have the last ones."""

BOX = ((2, 3), (2, 4), (12, 18), (20, 29))
"""Where the object is on each axis."""

KINDS = ("2D", "3D", "4D", "RGB", "multiscale", "dask")
PLACES = ("scale", "translate", "rotate", "transposed axes", "mixed units")


class SameGrey:
    """Answers with all pixels of the image that are as bright as the clicked one."""

    name = "same grey"

    def encode_steps(self, image, *, contrast_limits=None):
        yield Progress(1, 1, "encoding")
        image = np.asarray(image)
        return SimpleNamespace(nbytes=1, image_shape=image.shape[:2], image=image)

    def predict(self, embedding, *, points=None, labels=None, box=None, mask=None):
        row, col = (round(value) for value in points[0])
        grey = embedding.image if embedding.image.ndim == 2 else embedding.image[..., 0]
        found = (grey == grey[row, col])[None]
        score = np.ones(1, np.float32)
        return Prediction(found, score, score, np.zeros((1, 4, 4), np.float32))


def known_object(ndim):
    """Return (..., H, W) bool of a block, and the pixel in it that is clicked on."""
    there = np.zeros(SIDES[-ndim:], bool)
    there[tuple(slice(*edges) for edges in BOX[-ndim:])] = True
    return there, CLICK[-ndim:]


def data_of(kind, there):
    """Return an image in which the block is bright, and everything else is of other, changing greys."""
    greys = 40 + np.arange(there.size, dtype=np.uint8).reshape(there.shape) % 50
    image = np.where(there, 200, greys).astype(np.uint8)
    if kind == "RGB":
        return np.stack([image, image, image], axis=-1)
    if kind == "multiscale":
        return [image, image[::2, ::2]]
    return dask.array.from_array(image, chunks=(1, 30, 40)) if kind == "dask" else image


def turned(ndim, degrees=30.0):
    """Return the matrix that turns the last two axes."""
    matrix, angle = np.eye(ndim), np.deg2rad(degrees)
    matrix[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def placed(place, ndim):
    """Return how the layer is placed, and the (ndim,) -> (ndim,) map from its pixels to the world."""
    scale = np.array((3.0, 0.5, 0.25, 2.0))[-ndim:]
    shift = np.array((10.0, -7.0, 100.0, 33.0))[-ndim:]
    if place == "scale":
        return {"scale": scale}, lambda pixel: scale * pixel
    if place == "translate":
        return {"translate": shift}, lambda pixel: pixel + shift
    if place == "rotate":
        matrix = turned(ndim)
        return {"rotate": matrix, "scale": scale, "translate": shift}, lambda pixel: matrix @ (scale * pixel) + shift
    if place == "mixed units":
        return {"scale": scale, "units": ("um",) * ndim}, lambda pixel: scale * pixel
    return {"scale": scale, "translate": shift}, lambda pixel: scale * pixel + shift  # transposed axes


def click(viewer, position):
    """Press and release the left button at a position of the world."""
    layer = viewer.layers.selection.active
    event = {
        "position": tuple(position),
        "pos": np.zeros(2),
        "dims_displayed": list(viewer.dims.displayed),
        "view_direction": None,
        "modifiers": [],
        "button": 1,
    }
    for kind, calls in (("mouse_press", mouse_press_callbacks), ("mouse_release", mouse_release_callbacks)):
        for target in (viewer, layer):
            calls(target, read_only_mouse_event(type=kind, **event))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_click_at_a_known_place_gives_the_known_object(viewer, kind, place):
    ndim = {"2D": 2, "3D": 3, "4D": 4, "RGB": 2, "multiscale": 2, "dask": 3}[kind]
    there, pixel = known_object(ndim)
    how, to_world = placed(place, ndim)
    if place == "mixed units":  # of a layer beside it, which the viewer shows at the same size
        viewer.add_image(np.zeros(SIDES[-ndim:], np.uint8), units=("nm",) * ndim, scale=(500.0,) * ndim)
    image = viewer.add_image(
        data_of(kind, there), rgb=kind == "RGB", multiscale=kind == "multiscale", contrast_limits=(0, 255), **how
    )
    world = np.asarray(to_world(np.asarray(pixel)), float)
    if place == "mixed units" and "nano" in str(viewer.dims.units[-1]):
        world = world * 1000
    if place == "transposed axes":
        viewer.dims.order = (*range(2, ndim), 0, 1)[::-1] if ndim > 2 else (1, 0)
    hidden = [axis for axis in range(ndim) if axis not in viewer.dims.displayed]
    for axis in hidden:
        viewer.dims.set_point(axis, world[axis])

    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: SameGrey())
    session.choose_image(image)
    session.choose_tool("points")
    click(viewer, world)
    assert session.prompts.points, session.status
    assert session.accept() == 1

    expected = np.zeros(SIDES[-ndim:], bool)
    on_plane = tuple(pixel[axis] if axis in hidden else slice(None) for axis in range(ndim))
    expected[on_plane] = there[on_plane]
    np.testing.assert_array_equal(session.objects.layer.data == 1, expected)
    assert sorted(session.plane.axes) == sorted(viewer.dims.displayed)
