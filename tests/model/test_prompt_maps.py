from __future__ import annotations

import math

import pytest
import torch

from napari_segany.model.prompt_maps import (
    BOX_EDGE,
    BOX_MAPS,
    CLICK_MAPS,
    CLICK_RADII,
    MASK_MAPS,
    box_maps,
    click_maps,
    mask_maps,
)


def test_a_click_is_a_bell_around_its_pixel():
    # The centre of cell (row 2, column 3) at stride 8 is the pixel (2 * 8 + 3.5, 3 * 8 + 3.5).
    maps = click_maps(torch.tensor([[[27.5, 19.5]]]), torch.ones(1, 1), (6, 8), 8)
    assert maps.shape == (1, CLICK_MAPS, 6, 8)
    foreground, background = maps[0].chunk(2)
    assert not background.any()
    for bell, radius in zip(foreground, CLICK_RADII, strict=True):
        assert bell[2, 3] == 1
        assert bell[2, 4].item() == pytest.approx(math.exp(-64 / (2 * radius**2)))
        assert bell[4, 4].item() == pytest.approx(math.exp(-(64 + 256) / (2 * radius**2)))


def test_of_several_clicks_the_nearest_counts_and_kinds_stay_apart():
    points = torch.tensor([[[3.5, 3.5], [59.5, 3.5], [31.5, 31.5], [0.0, 0.0]]])
    maps = click_maps(points, torch.tensor([[1, 1, 0, -1]]), (8, 8), 8)[0]
    alone = [click_maps(points[:, [i]], torch.tensor([[label]]), (8, 8), 8)[0] for i, label in enumerate((1, 1, 0))]
    expected = torch.maximum(torch.maximum(alone[0], alone[1]), alone[2])
    torch.testing.assert_close(maps, expected)


def test_a_padding_point_is_not_drawn():
    assert not click_maps(torch.tensor([[[5.0, 5.0]]]), torch.tensor([[-1]]), (4, 4), 8).any()


def test_a_box_says_for_every_cell_where_it_lies():
    boxes = torch.tensor([[8.0, 0.0, 31.0, 15.0]])  # columns 1 to 3, rows 0 and 1
    inside, left, right, across, top, bottom, down = box_maps(boxes, (4, 6), 8)[0]
    assert inside.nonzero().tolist() == [[row, col] for row in (0, 1) for col in (1, 2, 3)]
    # Cell (1, 2) has its centre at x = 19.5, y = 11.5; the box's is at (19.5, 7.5), its half sides are 11.5 and 7.5.
    for value, distance in ((left, 11.5), (right, 11.5), (top, 11.5), (bottom, 3.5)):
        assert value[1, 2].item() == pytest.approx(math.tanh(distance / BOX_EDGE))
    assert across[1, 2].item() == pytest.approx(0)
    assert down[1, 2].item() == pytest.approx(4 / 7.5)
    assert across[0, 5] == 2
    assert left[0, 0] < 0 < right[0, 0]


def test_a_box_of_no_extent_stays_finite():
    maps = box_maps(torch.tensor([[5.0, 5.0, 5.0, 5.0]]), (4, 4), 8)
    assert maps.shape[1] == BOX_MAPS
    assert maps.isfinite().all()


def test_a_mask_prompt_is_squashed_averaged_and_announced():
    logits = torch.tensor([[4.0, -4.0], [4.0, 400.0]])[None, None]
    fine = mask_maps(logits, (2, 2))
    assert fine.shape == (1, MASK_MAPS, 2, 2)
    torch.testing.assert_close(fine[0, 0], torch.tanh(logits[0, 0] / 4))
    assert (fine[0, 1] == 1).all()
    coarse = mask_maps(logits, (1, 1))
    assert coarse[0, 0].item() == pytest.approx((math.tanh(1) + 1) / 4, abs=1e-6)


def test_no_prompt_is_no_map():
    assert click_maps(None, None, (2, 2), 8) is None
    assert box_maps(None, (2, 2), 8) is None
    assert mask_maps(None, (2, 2)) is None
