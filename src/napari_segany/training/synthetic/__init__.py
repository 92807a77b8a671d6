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
}


def draw_scene(size: int, rng: np.random.Generator) -> Scene:
    """Draw a scene of a kind chosen by chance."""
    weights = np.array([weight for _, weight in RECIPES.values()])
    name = rng.choice(list(RECIPES), p=weights / weights.sum())
    recipe, _ = RECIPES[str(name)]
    return recipe(size, rng)
