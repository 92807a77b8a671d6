"""Crops against scenes whose every pixel is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_segany.model import SamConfig
from napari_segany.training import augment
from napari_segany.training.augment import PADDING_COLOUR, change_light, choose_masks, make_crop
from napari_segany.training.config import TrainingConfig
from napari_segany.training.scene import Scene

PLAIN = TrainingConfig(crop_size=64, scale_jitter=(1.0, 1.0), min_object_area=1, masks_per_image=50)


@pytest.fixture
def unchanged_light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "change_light", lambda image, rng: image)


def squares(size: int) -> Scene:
    """Return a scene whose objects are as bright as 40 times their label."""
    labels = np.zeros((size, size), np.int32)
    labels[4:20, 6:30] = 1
    labels[40:60, 10:50] = 2
    return Scene((labels * 40).astype(np.uint8), (labels,))


@pytest.mark.usefixtures("unchanged_light")
@pytest.mark.parametrize("seed", range(8))
def test_masks_stay_on_their_objects(seed: int) -> None:
    crop = make_crop(squares(64), PLAIN, SamConfig(image_size=64), np.random.default_rng(seed))
    assert crop.image.shape == (64, 64, 3)
    assert sorted(crop.masks.sum(axis=(1, 2))) == [16 * 24, 20 * 40]  # the whole scene, turned or mirrored
    for mask in crop.masks:
        assert len(np.unique(crop.image[mask])) == 1
        assert crop.image[mask][0, 0] in (40, 80)


@pytest.mark.usefixtures("unchanged_light")
def test_small_images_are_enlarged_to_the_model_input() -> None:
    crop = make_crop(squares(64), replace(PLAIN, crop_size=128), SamConfig(image_size=128), np.random.default_rng(0))
    assert sorted(crop.masks.sum(axis=(1, 2))) == [4 * 16 * 24, 4 * 20 * 40]


@pytest.mark.usefixtures("unchanged_light")
def test_what_is_no_image_has_the_colour_of_padding() -> None:
    config = replace(PLAIN, scale_jitter=(0.5, 0.5))
    crop = make_crop(squares(64), config, SamConfig(image_size=64), np.random.default_rng(0))
    padded = np.isclose(crop.image, PADDING_COLOUR).all(axis=2)
    assert padded.sum() == 64 * 64 - 32 * 32
    assert not crop.masks[:, padded].any()


@pytest.mark.usefixtures("unchanged_light")
def test_crops_are_stretched_along_an_axis_with_their_objects() -> None:
    scene = Scene(np.full((256, 256), 9, np.uint8), (np.pad(np.ones((40, 40), np.int32), 108),))
    config = replace(PLAIN, crop_size=256, aspect_jitter=0.6)
    ratios = []
    for seed in range(40):
        (mask,) = make_crop(scene, config, SamConfig(image_size=256), np.random.default_rng(seed)).masks
        rows, columns = (int(mask.any(axis=axis).sum()) for axis in (1, 0))
        assert rows * columns == pytest.approx(40 * 40, rel=0.06)  # the area stays
        ratios.append(np.log(rows / columns))
    assert np.abs(ratios).max() < 0.65
    assert np.ptp(ratios) > 0.6


def test_only_objects_of_a_permitted_size_are_asked_for() -> None:
    labels = np.zeros((20, 20), np.int32)
    labels[:] = 1
    labels[0, 0] = 2
    labels[10:15, 10:15] = 3  # leaves 374 pixels, 93.5 % of the image, to object 1
    masks = choose_masks([labels], replace(PLAIN, min_object_area=10), np.random.default_rng(0))
    assert masks.sum(axis=(1, 2)).tolist() == [25]


def test_layers_may_overlap_and_the_number_is_limited() -> None:
    cells, nuclei = np.zeros((2, 20, 20), np.int32)
    cells[2:12, 2:12], nuclei[4:8, 4:8] = 1, 1
    rng = np.random.default_rng(0)
    assert sorted(choose_masks([cells, nuclei], PLAIN, rng).sum(axis=(1, 2))) == [16, 100]
    assert len(choose_masks([cells, nuclei], replace(PLAIN, masks_per_image=1), rng)) == 1


def test_light_stays_within_bounds() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    for seed in range(40):
        changed = change_light(image, np.random.default_rng(seed))
        assert changed.dtype == np.float32
        assert changed.shape == image.shape
        assert changed.min() >= 0
        assert changed.max() <= 255
