from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import generate_binary_structure, label

from napari_segany.engine.mask_cleaning import (
    CleanUp,
    drop_islands,
    fill_holes,
    largest_part,
    smooth,
    split_at,
    split_parts,
)

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
EVERYWHERE = np.ones((3, 3), bool)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


DRAWN = drawn(
    "####....",
    "#..#...#",
    "#..#..#.",
    "####....",
)


def test_largest_part_counts_corners_as_connected():
    np.testing.assert_array_equal(largest_part(DRAWN), drawn("####....", "#..#....", "#..#....", "####...."))
    diagonal = drawn("#..", ".#.", "..#")
    np.testing.assert_array_equal(largest_part(diagonal), diagonal)


def test_islands_below_the_limit_go_and_the_largest_part_stays():
    assert drop_islands(DRAWN, 2).sum() == 14
    assert drop_islands(DRAWN, 3).sum() == 12
    assert drop_islands(DRAWN, 100).sum() == 12


def test_holes_are_what_the_outline_encloses():
    np.testing.assert_array_equal(fill_holes(DRAWN)[:, :4], np.ones((4, 4), bool))
    np.testing.assert_array_equal(fill_holes(DRAWN)[:, 4:], DRAWN[:, 4:])


def test_smoothing_by_one_pixel_takes_the_majority_of_five():
    notched = drawn(".....", ".###.", ".#.#.", ".###.", "....#")
    # hand-worked: of each pixel and its four neighbours, at least three
    np.testing.assert_array_equal(smooth(notched, 1), drawn(".....", ".###.", ".###.", ".###.", "....#"))


def test_smoothing_keeps_an_object_at_the_border_and_a_disc_its_size():
    half = np.zeros((20, 20), bool)
    half[:, :10] = True
    np.testing.assert_array_equal(smooth(half, 4), half)
    rows, cols = np.indices((61, 61))
    disc = np.hypot(rows - 30, cols - 30) <= 20
    assert (smooth(disc, 3) ^ disc).sum() < 0.02 * disc.sum()


def test_clean_up_in_its_order():
    mask = np.zeros((12, 20), bool)
    mask[1:8, 1:8] = True
    mask[3:5, 3:5] = False
    mask[10, 10] = mask[1:5, 12:15] = True
    assert CleanUp(drop_islands=2).apply(mask).sum() == mask.sum() - 1
    assert CleanUp(largest_part=True).apply(mask).sum() == 45
    assert CleanUp(largest_part=True, fill_holes=True).apply(mask).sum() == 49
    assert not CleanUp()
    assert CleanUp().apply(mask) is mask


def test_a_mask_too_small_for_the_disc_stays():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    np.testing.assert_array_equal(CleanUp(smooth=3).apply(mask), mask)


@pytest.mark.parametrize(("wrong", "message"), [({"smooth": 99}, "radius from 0"), ({"drop_islands": -1}, "pixels")])
def test_wrong_numbers_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        CleanUp(**wrong)


@settings(deadline=None)
@given(MASKS)
def test_parts_are_those_of_scipy_and_make_up_the_mask(mask):
    parts = split_parts(mask)
    assert len(parts) == label(mask, EVERYWHERE)[1]
    assert [part.sum() for part in parts] == sorted((part.sum() for part in parts), reverse=True)
    np.testing.assert_array_equal(np.sum([*parts, np.zeros_like(mask)], axis=0), mask)
    if parts:
        assert largest_part(mask).sum() == parts[0].sum()


@settings(deadline=None)
@given(MASKS, st.integers(1, 20))
def test_islands_and_holes_go_and_cleaning_twice_changes_nothing(mask, least):
    without = drop_islands(mask, least)
    assert (without <= mask).all()
    assert without.any() == mask.any()
    np.testing.assert_array_equal(drop_islands(without, least), without)
    filled = fill_holes(mask)
    assert (filled >= mask).all()
    _, count = label(np.pad(~filled, 1, constant_values=True), generate_binary_structure(2, 1))
    assert count == 1, "all background reaches the border"
    np.testing.assert_array_equal(fill_holes(filled), filled)


@settings(deadline=None)
@given(MASKS, st.integers(1, 4))
def test_smoothing_is_a_vote_of_the_disc_and_treats_both_sides_alike(mask, radius):
    padded = np.pad(mask, radius, mode="edge")
    rows, cols = np.indices((2 * radius + 1,) * 2) - radius
    disc = rows**2 + cols**2 <= radius**2
    expected = [
        [
            2 * padded[row : row + 2 * radius + 1, col : col + 2 * radius + 1][disc].sum() > disc.sum()
            for col in range(w)
        ]
        for h, w in [mask.shape]
        for row in range(h)
    ]
    np.testing.assert_array_equal(smooth(mask, radius), expected)
    np.testing.assert_array_equal(smooth(~mask, radius), ~smooth(mask, radius))


@settings(deadline=None)
@given(MASKS, st.booleans(), st.integers(0, 9), st.booleans(), st.integers(0, 3))
def test_cleaning_never_empties_a_mask(mask, largest, islands, holes, radius):
    cleaned = CleanUp(largest, islands, holes, radius).apply(mask)
    assert cleaned.shape == mask.shape
    assert cleaned.any() == mask.any()


def test_two_touching_discs_are_cut_at_their_neck():
    rows, cols = np.indices((30, 50))
    first, second = np.hypot(rows - 15, cols - 14) <= 11, np.hypot(rows - 15, cols - 34) <= 11
    mask = first | second
    parts = split_at(mask, [(15, 12), (15, 36)])
    np.testing.assert_array_equal(parts[0] | parts[1], mask)
    assert not (parts[0] & parts[1]).any()
    assert (parts[0] ^ (first & (cols <= 24))).sum() <= 20
    assert parts[1][15, 34]


def test_seeds_outside_or_of_the_same_pixel_do_not_cut():
    mask = np.ones((5, 5), bool)
    with pytest.raises(ValueError, match="1 of the seeds lie in the mask; two are needed"):
        split_at(mask, [(1, 1), (1.2, 0.9), (9, 9)])


@settings(deadline=None)
@given(MASKS.filter(lambda mask: mask.sum() >= 2), st.data())
def test_every_seed_gets_a_part_and_nothing_is_lost(mask, data):
    pixels = np.argwhere(mask).tolist()
    seeds = data.draw(st.lists(st.sampled_from(pixels), min_size=2, max_size=5, unique_by=tuple))
    parts = split_at(mask, seeds)
    np.testing.assert_array_equal(np.sum(parts, axis=0), mask)
    assert all(part[tuple(seed)] for part, seed in zip(parts, seeds, strict=True))
