from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.draw import disk

from napari_segany.engine.progress import drain
from napari_segany.evaluation.baseline import classical_regions
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.plan import SinglePointProtocol, plan
from napari_segany.evaluation.single_point import single_point

EXPECTED = {
    "fluorescence_dsb2018": 0.61,
    "fluorescence_coelho": 0.64,
    "histology_dsb2018": 0.53,
    "phase_usiigaci": 0.24,
    "natural_bsds": 0.28,
}
"""The sets that are quick; docs/light.md has the table of all nine."""


@pytest.fixture
def touching_disks() -> tuple[np.ndarray, np.ndarray]:
    """Two touching disks as masks (2, H, W), and a noisy image of them."""
    masks = np.zeros((2, 60, 100), bool)
    masks[0][disk((30, 30), 18)] = True
    masks[1][disk((30, 62), 18)] = True
    masks[1] &= ~masks[0]
    image = 20 + 100 * masks.any(axis=0) + np.random.default_rng(0).normal(0, 5, masks.shape[1:])
    return masks, image


@pytest.mark.parametrize("sign", [1, -1])
def test_touching_objects_are_told_apart_be_they_bright_or_dark(touching_disks, sign: int) -> None:
    masks, image = touching_disks
    regions = classical_regions(sign * image)
    assert intersection_over_union(regions.region(30, 30), masks[0]) > 0.9
    assert intersection_over_union(regions.region(30, 62), masks[1]) > 0.9


def test_colours_and_colour_types_give_the_same_regions(touching_disks) -> None:
    _, image = touching_disks
    grey = image.round().astype(np.uint8)
    as_colours = classical_regions(np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(as_colours.labels, classical_regions(grey.astype(np.uint16) * 100).labels)


def test_every_pixel_has_a_region_and_regions_keep_to_their_side(touching_disks) -> None:
    _, image = touching_disks
    labels = classical_regions(image).labels
    assert labels.min() == 1
    assert labels[0, 0] != labels[30, 30]


def test_a_constant_image_is_one_region() -> None:
    assert classical_regions(np.full((20, 30), 7, np.uint8)).region(3, 4).all()


@pytest.mark.slow
def test_numbers_on_real_images(shared: Path) -> None:
    """One centre click on the first twelve images of each set, against numbers measured independently."""
    every = find_samples(shared / "data" / "bench", images_per_dataset=12)
    samples = [sample for sample in every if sample.dataset in EXPECTED]
    protocol = SinglePointProtocol(points=(1,))
    scores = drain(single_point(drain(plan(samples, protocol)).tasks, protocol, None, baseline=True))
    iou = {name: [score.values["iou_baseline"] for score in scores if score.dataset == name] for name in EXPECTED}
    found = {name: np.mean(values) for name, values in iou.items()}
    assert found == pytest.approx(EXPECTED, abs=0.025)
