"""The simulated user on drawn shapes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.training.prompts import (
    correction_points,
    noisy_boxes,
    rounds_without_points,
    sample_points,
    to_pixels,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rectangle(top: int, left: int, bottom: int, right: int, size: int = 40) -> torch.Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


@given(seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_points_lie_in_their_regions(seed: int) -> None:
    generator = seeded(seed)
    regions = torch.rand(5, 9, 13, generator=generator) > 0.9
    regions[:, 4, 7] = True
    points = sample_points(regions, generator)
    assert all(regions[i, y, x] for i, (x, y) in enumerate(points.tolist()))


def test_points_are_uniform_in_the_region() -> None:
    region = torch.zeros(1, 3, 4, dtype=torch.bool)
    region[0, 0, 0] = region[0, 1, 2] = region[0, 2, 3] = True
    points = sample_points(region.expand(3000, -1, -1), seeded())
    counts = [int((points == torch.tensor(place)).all(dim=1).sum()) for place in ((0, 0), (2, 1), (3, 2))]
    assert sum(counts) == 3000
    assert all(900 < count < 1100 for count in counts)  # 1000 expected, standard deviation 26


def test_an_empty_region_gives_the_origin() -> None:
    assert sample_points(torch.zeros(1, 4, 4, dtype=torch.bool), seeded()).tolist() == [[0, 0]]


def test_grid_positions_become_pixel_centres() -> None:
    # Cell 3 of a grid of step 4 covers the pixels 12 to 15, whose middle is 13.5.
    assert to_pixels(torch.tensor([[3, 0]]), 4).tolist() == [[13.5, 1.5]]
    assert to_pixels(torch.tensor([[3, 0]]), 1).tolist() == [[3.0, 0.0]]


def test_a_box_without_noise_is_the_bounding_box() -> None:
    masks = torch.stack([rectangle(3, 7, 10, 30), rectangle(0, 0, 39, 0)])
    assert noisy_boxes(masks, seeded(), noise=0).tolist() == [[7, 3, 30, 10], [0, 0, 0, 39]]


def test_the_noise_of_a_box_is_a_tenth_of_its_side() -> None:
    mask = rectangle(150, 100, 249, 299, size=400)  # 200 wide, 100 high
    boxes = noisy_boxes(mask.expand(2000, -1, -1), seeded(), limit=1000)
    spread = boxes.std(dim=0)
    assert spread.tolist() == pytest.approx([20, 10, 20, 10], rel=0.1)
    assert boxes.mean(dim=0).tolist() == pytest.approx([100, 150, 299, 249], abs=2)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_boxes_stay_near_in_order_and_inside(seed: int) -> None:
    mask = rectangle(2, 5, 3, 38)
    boxes = noisy_boxes(mask.expand(20, -1, -1), seeded(seed), noise=2.0, limit=6)
    assert (boxes[:, :2] <= boxes[:, 2:]).all()
    assert (boxes >= 0).all()
    assert (boxes <= 39).all()
    assert (boxes[:, 0] <= 11).all()  # 5 and at most 6 more


def test_corrections_are_where_the_answer_is_wrong() -> None:
    truth = rectangle(5, 5, 20, 20)
    missing = rectangle(5, 5, 20, 12)  # the right part was missed
    spilled = truth | rectangle(30, 30, 35, 35)
    points, labels = correction_points(
        torch.stack([missing, spilled]).repeat(50, 1, 1), truth.expand(100, -1, -1), seeded()
    )
    assert labels.tolist() == [1, 0] * 50
    assert ((points[::2, 0] >= 13) & (points[::2, 0] <= 20)).all()
    assert (points[1::2] >= 30).all()


def test_without_error_the_object_is_clicked() -> None:
    truth = rectangle(5, 6, 7, 8)
    points, labels = correction_points(truth[None], truth[None], seeded())
    assert labels.tolist() == [1]
    assert truth[points[0, 1], points[0, 0]]


def test_two_of_eleven_rounds_bring_no_new_point() -> None:
    chosen = [rounds_without_points(11, seeded(seed)) for seed in range(200)]
    assert all(10 in rounds and len(rounds) == 2 and min(rounds) >= 1 for rounds in chosen)
    assert {min(rounds) for rounds in chosen} == set(range(1, 10))
    assert rounds_without_points(5, seeded()) == frozenset()
