from __future__ import annotations

import numpy as np
import pytest

from napari_segany.evaluation.latent import LatentMask, mask_tile, nearest_masks, queries_of, same_dataset_share
from napari_segany.formats.record import MaskRecord


def mask(dataset, image, angle):
    vector = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))], np.float32)
    return LatentMask(dataset, image, vector, np.zeros((96, 96, 3)))


MASKS = [mask("a", "1", 0), mask("a", "1", 1), mask("a", "2", 10), mask("b", "1", 30), mask("b", "2", 90)]


def test_neighbours_are_of_other_images_and_nearest_first():
    numbers, similarities = nearest_masks(MASKS, 0, 2)
    assert numbers == [2, 3]  # not 1, which is of the same image
    np.testing.assert_allclose(similarities, np.cos(np.deg2rad([10, 30])), rtol=1e-6)


def test_the_share_of_the_own_data_set_by_hand():
    found, chance = same_dataset_share(MASKS, 1)
    # nearest: 0 -> 2 (a), 1 -> 2 (a), 2 -> 1 (a), 3 -> 2 (a), 4 -> 3 (b)
    assert found == pytest.approx(4 / 5)
    assert chance == pytest.approx(np.mean([1 / 3, 1 / 3, 2 / 4, 1 / 4, 1 / 4]))


def test_queries_take_turns_among_data_sets():
    assert [MASKS[number].dataset for number in queries_of(MASKS, 4)] == ["a", "b", "a", "b"]
    assert sorted(queries_of(MASKS, 99)) == [0, 1, 2, 3, 4]


def test_the_tile_dims_what_is_around():
    image = np.full((40, 60), 200, np.uint8)
    inside = np.zeros((40, 60), bool)
    inside[10:20, 30:40] = True
    tile = mask_tile(image, MaskRecord.from_mask(inside))
    assert tile.shape[-1] == 3
    assert max(tile.shape) == 96
    assert tile[48, 48, 0] == pytest.approx(200 / 255)
    assert tile[2, 2, 0] == pytest.approx(0.45 * 200 / 255 + 0.25)
