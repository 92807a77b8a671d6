"""Scenes whose objects have names: shapes of several kinds and colours, none of them twice in a scene.

What words as prompts are tried on. Unlike the other recipes these are not mixed into training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.numbered import NumberedScene
from napari_segany.training.synthetic.outlines import Outline, fill, rotate
from napari_segany.training.synthetic.textures import texture

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.9, 0.1, 0.1),
    "green": (0.1, 0.7, 0.2),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.95, 0.85, 0.1),
}
SHAPES = ("disc", "square", "triangle", "cross")
NAMES = tuple(f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""Every name that there is."""

_ATTEMPTS = 40
_TILT = 0.3  # most, in radians: a square that stands on its corner is none to a small CLIP
_NAMED = 3  # ends the seeds of named images; those of other drawn scenes end otherwise


@dataclass(frozen=True, eq=False)
class NamedScene:
    """A scene and what its objects are called.

    Attributes
    ----------
    scene : Scene
        With one layer; object i of it has the label i + 1.
    names : tuple of str
        Of the objects, each once.
    """

    scene: Scene
    names: tuple[str, ...]


@dataclass(frozen=True)
class NamedImage(NumberedScene):
    """A scene with names as an annotated image, to be trained on.

    Attributes
    ----------
    one_of_a_colour : bool
        As for `named_shapes`.
    """

    size: int = 64
    one_of_a_colour: bool = False

    @property
    def dataset(self) -> str:
        """Say that it is drawn."""
        return "named"

    def draw(self) -> NamedScene:
        """Return the scene with its names."""
        rng = np.random.default_rng((self.seed, self.number, _NAMED))
        return named_shapes(self.size, rng, one_of_a_colour=self.one_of_a_colour)

    def read(self) -> tuple[NDArray[np.uint8], tuple[NDArray[np.integer[Any]], ...]]:
        """Return the image and its objects."""
        scene = self.draw().scene
        return scene.image.astype(np.uint8), scene.layers

    def objects(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_], tuple[str, ...]]:
        """Return the image, its objects as masks (N, H, W), and their names."""
        drawn = self.draw()
        labels = np.arange(1, len(drawn.names) + 1)[:, None, None]
        return drawn.scene.image.astype(np.uint8), drawn.scene.layers[0] == labels, drawn.names


def named_shapes(size: int, rng: np.random.Generator, most: int = 4, *, one_of_a_colour: bool = False) -> NamedScene:
    """Draw two or more shapes of different names apart from each other on a dull ground.

    Parameters
    ----------
    size : int
        Side of the image, in pixels.
    rng : numpy.random.Generator
        Source of all chance.
    most : int
        Most shapes in the scene.
    one_of_a_colour : bool
        Whether no two have the same colour, so that the colour alone says which is meant.
    """
    image = np.repeat(rng.uniform(0.2, 0.6) + 0.06 * texture(size, rng)[..., None], 3, axis=2)
    layer = np.zeros((size, size), np.int32)
    wanted = int(rng.integers(2, most + 1))
    names: list[str] = []
    for _ in range(_ATTEMPTS):
        name = NAMES[rng.integers(len(NAMES))]
        _, colour, shape = name.split()
        if len(names) == wanted or name in names or (one_of_a_colour and any(colour in one for one in names)):
            continue
        radius = size * rng.uniform(0.11, 0.19)
        centre = rng.uniform(radius, size - radius, 2)
        drawn = fill(rotate(_outline(shape) * radius, rng.uniform(-_TILT, _TILT)) + centre, size)
        if drawn is None or layer[drawn[0]].any():  # apart: no other shape in the whole box
            continue
        window, mask = drawn
        names.append(name)
        layer[window][mask] = len(names)
        image[window][mask] = np.clip(np.array(COLOURS[colour]) + rng.normal(0, 0.06, 3), 0, 1)
    image = ndimage.gaussian_filter(image, (0.5, 0.5, 0)) + rng.normal(0, 0.02, image.shape)
    return NamedScene(Scene(np.clip(image * 255, 0, 255).astype(np.float32), (layer,)), tuple(names))


def _outline(shape: str) -> Outline:
    """Return a closed outline (M, 2) around the origin, within a circle of radius 1."""
    if shape == "disc":
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        return 0.9 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    if shape == "square":
        return 0.8 * np.array([[-1.0, -1], [-1, 1], [1, 1], [1, -1]])
    if shape == "triangle":
        angle = np.array([0, 2, 4]) * np.pi / 3
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)
    arm = np.array([[0.28, 0.28], [0.28, 1], [-0.28, 1]])  # of the cross: an inner corner, and the end of an arm
    return np.concatenate([rotate(arm, -turn * np.pi / 2) for turn in range(4)])
