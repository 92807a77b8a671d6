"""Drawn scenes: valid, repeatable, and with objects that can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_segany.training.synthetic import RECIPES, draw_scene
from napari_segany.training.synthetic.cells import stained_cells
from napari_segany.training.synthetic.neurites import neurites
from napari_segany.training.synthetic.outlines import fill
from napari_segany.training.synthetic.phase_contrast import phase_contrast_cells

SIZE = 128


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("seed", range(4))
def test_a_scene_is_valid(name: str, seed: int) -> None:
    scene = RECIPES[name][0](SIZE, np.random.default_rng(seed))
    assert scene.image.shape in ((SIZE, SIZE), (SIZE, SIZE, 3))
    assert np.isfinite(scene.image).all()
    assert scene.image.min() >= 0
    assert scene.image.max() <= 255
    assert scene.image.std() > 1
    assert scene.layers
    for layer in scene.layers:
        assert layer.shape == (SIZE, SIZE)
        assert layer.dtype == np.int32
        assert layer.min() >= 0
    assert scene.layers[0].any()


@pytest.mark.parametrize("name", RECIPES)
def test_chance_is_the_seed_s(name: str) -> None:
    first, second, other = (RECIPES[name][0](SIZE, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, second.image)
    assert (first.image.shape != other.image.shape) or (first.image != other.image).any()


def test_nuclei_lie_in_their_cells() -> None:
    scenes = [stained_cells(SIZE, np.random.default_rng(seed)) for seed in range(8)]
    nested = [scene for scene in scenes if len(scene.layers) == 2]
    assert nested
    for scene in nested:
        cells, nuclei = scene.layers
        assert (cells[nuclei > 0] == nuclei[nuclei > 0]).all()
        assert (nuclei > 0).sum() < (cells > 0).sum()


def test_cells_in_phase_contrast_are_whole_and_hardly_brighter_than_their_ground() -> None:
    for seed in range(6):
        scene = phase_contrast_cells(SIZE, np.random.default_rng(seed))
        cells = scene.layers[0]
        for label in np.unique(cells[cells > 0]):
            assert ndimage.label(cells == label)[1] == 1
        inside, outside = scene.image[cells > 0].mean(), scene.image[cells == 0].mean()
        assert abs(inside - outside) < 40


def test_every_recipe_is_drawn() -> None:
    rng = np.random.default_rng(0)
    kinds = {(scene.image.ndim, len(scene.layers)) for scene in (draw_scene(64, rng) for _ in range(40))}
    assert {(2, 1), (3, 1), (3, 2)} <= kinds


def test_a_filled_outline_is_cut_at_the_image() -> None:
    square = np.array([[-2.0, -2.0], [-2.0, 5.0], [5.0, 5.0], [5.0, -2.0]])
    drawn = fill(square, 10)
    assert drawn is not None
    window, mask = drawn
    assert window == (slice(0, 6), slice(0, 6))
    assert mask.all()
    assert fill(square - 20, 10) is None


def test_mitochondria_lie_in_one_neurite_each_and_membranes_are_dark() -> None:
    scenes = [neurites(SIZE, np.random.default_rng(seed)) for seed in range(8)]
    assert any(len(scene.layers) == 2 for scene in scenes)
    for scene in scenes:
        cells, membrane = scene.layers[0], scene.layers[0] == 0
        if membrane.mean() > 0.02:  # else one cell fills nearly all of the scene
            assert scene.image[membrane].mean() < scene.image[~membrane].mean()
        for mitochondria in scene.layers[1:]:
            for label in np.unique(mitochondria[mitochondria > 0]):
                assert len(np.unique(cells[(mitochondria == label) & (cells > 0)])) <= 1
