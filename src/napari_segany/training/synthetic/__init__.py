"""Scenes drawn by chance, with exact objects: what real training data has too little of. Knows no files, no model.

Every recipe is a function `(size, rng) -> Scene` with a square image of `size` pixels in 0 to 255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from napari_segany.training.scene import Scene
from napari_segany.training.synthetic.aerial import buildings
from napari_segany.training.synthetic.cells import fluorescent_cells, stained_cells
from napari_segany.training.synthetic.filaments import filaments
from napari_segany.training.synthetic.leaves import dead_leaves
from napari_segany.training.synthetic.membranes import membranes
from napari_segany.training.synthetic.neurites import neurites
from napari_segany.training.synthetic.phase_contrast import phase_contrast_cells
from napari_segany.training.synthetic.seedlings import seedlings

Recipe = Callable[[int, np.random.Generator], Scene]

RECIPES: Mapping[str, tuple[Recipe, float]] = {
    "fluorescent_cells": (fluorescent_cells, 2.0),
    "stained_cells": (stained_cells, 3.0),
    "dead_leaves": (dead_leaves, 3.0),
    "membranes": (membranes, 1.5),
    "neurites": (neurites, 3.0),
    "phase_contrast_cells": (phase_contrast_cells, 3.0),
    "buildings": (buildings, 1.5),
    "filaments": (filaments, 1.0),
    "seedlings": (seedlings, 2.0),
}


def kind_chances(weights: Mapping[str, float]) -> np.ndarray:
    """Return the chance of every kind in `RECIPES`: by the weights that are given, or by their own for none.

    Raises
    ------
    ValueError
        For a kind that there is not, or weights that leave nothing.
    """
    unknown = sorted(set(weights) - set(RECIPES))
    if unknown:
        raise ValueError(f"there is no drawn scene called {', '.join(unknown)}; known are {', '.join(RECIPES)}")
    own = {name: weight for name, (_, weight) in RECIPES.items()}
    chances = np.array([(weights or own).get(name, 0.0) for name in RECIPES])
    if not chances.sum():
        raise ValueError(f"these weights leave no kind of scene to draw: {dict(weights)}")
    return chances / chances.sum()


def draw_scene(size: int, rng: np.random.Generator, weights: Mapping[str, float] | None = None) -> Scene:
    """Draw a scene of a kind chosen by chance, see `kind_chances`."""
    name = rng.choice(list(RECIPES), p=kind_chances(weights or {}))
    recipe, _ = RECIPES[str(name)]
    return recipe(size, rng)
