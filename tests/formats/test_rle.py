from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from napari_segany.formats import rle
from napari_segany.formats.rle import RunLengths, compress, decompress

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 17), st.integers(1, 17)))


def ring(radius: int = 40, size: int = 101) -> np.ndarray:
    rows, cols = np.indices((size, size + 20)) - size // 2
    distance = np.hypot(rows, cols)
    return (distance < radius) & (distance > radius / 2) | ((rows < -45) & (cols > 50))


HAND_MADE = {
    "ring with a hole and a second part": ring(),
    "empty": np.zeros((4, 7), bool),
    "full": np.ones((4, 7), bool),
    "one pixel": np.eye(1, dtype=bool),
    "first pixel": np.arange(6).reshape(2, 3) == 0,
    "last pixel": np.arange(6).reshape(2, 3) == 5,
    "checkerboard": np.indices((9, 8)).sum(axis=0) % 2 == 0,
    "long runs": np.pad(np.ones((900, 1100), bool), 300),
}


def reference(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


@pytest.mark.parametrize("mask", HAND_MADE.values(), ids=HAND_MADE)
def test_agrees_with_pycocotools_on_hand_made_masks(mask):
    check_against_pycocotools(mask)


def test_a_small_object_of_a_large_image_is_encoded_without_copying_the_image():
    mask = np.zeros((2000, 3000), bool)
    mask[700:801, 1200:1321] = ring()
    tracemalloc.start()
    try:
        encoded = RunLengths.from_mask(mask)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < mask.nbytes / 10
    np.testing.assert_array_equal(encoded.decode(), mask)


@settings(deadline=None)
@given(MASKS)
def test_agrees_with_pycocotools(mask):
    check_against_pycocotools(mask)


def check_against_pycocotools(mask):
    rle, expected = RunLengths.from_mask(mask), reference(mask)
    assert rle.to_dict() == {"size": list(mask.shape), "counts": expected["counts"].decode()}
    np.testing.assert_array_equal(rle.decode(), mask)
    np.testing.assert_array_equal(coco.decode(rle.to_dict()), mask)
    assert RunLengths.from_dict(expected) == rle
    assert rle.area == coco.area(expected)
    if mask.any():
        x, y, width, height = coco.toBbox(expected)
        assert rle.bbox == (y, x, y + height, x + width)
    else:
        assert rle.bbox == (0, 0, 0, 0)


def test_columns_come_first_and_background_too():
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
    assert RunLengths.from_mask(mask).counts.tolist() == [2, 3, 1]
    assert RunLengths.from_mask(~mask).counts.tolist() == [0, 2, 3, 1]


@settings(deadline=None)
@given(MASKS, st.data())
def test_a_window_is_a_slice(mask, data):
    rows, cols = mask.shape
    row_min, row_max = sorted(data.draw(st.tuples(st.integers(0, rows), st.integers(0, rows))))
    col_min, col_max = sorted(data.draw(st.tuples(st.integers(0, cols), st.integers(0, cols))))
    window = RunLengths.from_mask(mask).window((row_min, col_min, row_max, col_max))
    np.testing.assert_array_equal(window, mask[row_min:row_max, col_min:col_max])


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=12))
def test_compressed_strings_go_both_ways(counts):
    assert decompress(compress(counts)).tolist() == counts


def test_empty_runs_in_the_middle_mean_nothing():
    odd = RunLengths(np.array([2, 1, 0, 2, 1, 0]), (2, 3))
    assert odd.counts.tolist() == [2, 3, 1]
    assert odd == RunLengths.from_mask(np.array([[0, 1, 1], [0, 1, 0]], bool))
    assert hash(odd) == hash(RunLengths(np.array([2, 3, 1]), (2, 3)))


def test_equal_means_the_same_mask_of_the_same_size():
    tall, wide = RunLengths.from_mask(np.zeros((2, 3), bool)), RunLengths.from_mask(np.zeros((3, 2), bool))
    assert tall != wide
    assert tall != "mask"


def test_masks_without_pixels():
    rle = RunLengths.from_mask(np.zeros((0, 5), bool))
    assert rle.decode().shape == (0, 5)
    assert RunLengths.from_dict(rle.to_dict()) == rle


def test_counts_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="read-only"):
        RunLengths.from_mask(np.eye(3, dtype=bool)).counts[0] = 1


@pytest.mark.parametrize(
    ("counts", "size"),
    [
        ([1, 2], (2, 3)),
        ([-1, 7], (2, 3)),
        ([1.5, 4.5], (2, 3)),
        ([[6]], (2, 3)),
        ([6], (2, 3, 1)),
        ([6], (-2, -3)),
        ([6], "ab"),
    ],
)
def test_damaged_run_lengths_are_refused(counts, size):
    with pytest.raises(ValueError, match="run lengths"):
        RunLengths(np.array(counts), size)


@pytest.mark.parametrize("text", ["!", "0 1", "o", "é", "oooooooo0"])
def test_damaged_strings_are_refused(text):
    with pytest.raises(ValueError, match="damaged"):
        decompress(text)


@pytest.mark.parametrize("values", [{}, {"size": [2, 3]}, {"counts": [6]}])
def test_missing_keys_are_named(values):
    with pytest.raises(ValueError, match="missing"):
        RunLengths.from_dict(values)


@pytest.mark.parametrize("mask", [np.zeros(4, bool), np.zeros((2, 2), int), np.zeros((1, 2, 2), bool)])
def test_only_masks_are_encoded(mask):
    with pytest.raises(ValueError, match="bool"):
        RunLengths.from_mask(mask)


def test_images_that_32_bits_cannot_count_are_refused():
    with pytest.raises(ValueError, match="tiles"):
        RunLengths(np.array([2**33]), (2**16, 2**17))


@pytest.mark.parametrize("pixels", [1, 7, 50, 10_000])
def test_a_window_does_not_depend_on_how_many_columns_are_decoded_at_a_time(monkeypatch, pixels):
    monkeypatch.setattr(rle, "_PIXELS_AT_A_TIME", pixels)
    mask = np.random.default_rng(0).random((23, 17)) > 0.5
    for box in ((0, 0, 23, 17), (3, 2, 20, 16), (22, 16, 23, 17), (0, 5, 0, 9), (4, 3, 9, 3)):
        top, left, bottom, right = box
        window = RunLengths.from_mask(mask).window(box)
        np.testing.assert_array_equal(window, mask[top:bottom, left:right])
        assert window.flags.c_contiguous
