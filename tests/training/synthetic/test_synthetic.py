"""Drawn scenes: valid, repeatable, and with objects that can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from napari_segany.training.synthetic import RECIPES, draw_scene, kind_chances
from napari_segany.training.synthetic.cells import stained_cells
from napari_segany.training.synthetic.neurites import neurites
from napari_segany.training.synthetic.outlines import fill
from napari_segany.training.synthetic.phase_contrast import phase_contrast_cells
from napari_segany.training.synthetic.seedlings import seedlings

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


def test_plants_have_several_leaves_of_one_colour_that_are_not_the_ground() -> None:
    convexities = []
    for seed in range(6):
        scene = seedlings(256, np.random.default_rng(seed))
        plants = scene.layers[0]
        for label, window in enumerate(ndimage.find_objects(plants), start=1):
            if window is None or (plants[window] == label).sum() < 200:
                continue
            mask = plants[window] == label
            around = ndimage.binary_dilation(np.pad(mask, 6), iterations=5)[6:-6, 6:-6] & (plants[window] == 0)
            image = scene.image[window]
            assert np.abs(image[mask].mean(axis=0) - image[around].mean(axis=0)).max() > 5
            convexities.append(regionprops(mask.astype(np.uint8))[0].solidity)
    assert len(convexities) > 15
    assert np.median(convexities) < 0.8  # leaves stand apart: no blob


def test_kinds_are_drawn_by_their_weights() -> None:
    assert kind_chances({}).sum() == pytest.approx(1)
    assert (kind_chances({}) > 0).all()
    chances = dict(zip(RECIPES, kind_chances({"filaments": 3.0, "seedlings": 1.0}), strict=True))
    assert chances["filaments"] == 0.75
    assert sum(chances.values()) == 1
    only = draw_scene(64, np.random.default_rng(0), {"filaments": 1.0})
    np.testing.assert_array_equal(only.layers[0].shape, (64, 64))
    with pytest.raises(ValueError, match="no drawn scene called unicorns; known are fluorescent_cells"):
        kind_chances({"unicorns": 1.0})
    with pytest.raises(ValueError, match="no kind of scene to draw"):
        kind_chances({"filaments": 0.0})
