from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.mask_embedding import (
    MaskEmbeddings,
    box_with_margin,
    cell_counts,
    embed_mask_crops,
    embed_masks,
)
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.similarity import rank_by_similarity
from napari_segany.formats.record import MaskRecord
from napari_segany.model import PyramidConfig, SamConfig, build_sam


def record(shape, top, left, bottom, right) -> MaskRecord:
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return MaskRecord.from_mask(mask)


def embedding_of(features, image_shape, input_shape=None, high_resolution=()) -> ImageEmbedding:
    """Features by hand, (C, h, w) at stride 16 of the model's input."""
    return ImageEmbedding(
        torch.from_numpy(np.asarray(features, np.float32))[None],
        tuple(torch.from_numpy(np.asarray(level, np.float32))[None] for level in high_resolution),
        image_shape,
        input_shape or image_shape,
        (0.0, 255.0),
        "by hand",
    )


def vectors_by_hand(*rows, areas=None) -> MaskEmbeddings:
    vectors = np.asarray(rows, np.float32)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return MaskEmbeddings(vectors, np.full(len(rows), 10) if areas is None else np.array(areas), "image", "by hand")


@pytest.fixture(scope="module")
def pyramid() -> Predictor:
    """The kind of model that `light` is, with random weights."""
    torch.manual_seed(0)
    encoder = PyramidConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), fine_channels=(4, 6))
    return Predictor(build_sam(SamConfig(image_size=128, encoder=encoder, max_enlargement=1.0)), device="cpu")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90)).astype(np.uint8)


# --- masks on grids -------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    mask=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**81 - 1)),
    corner=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    ratios=st.tuples(st.sampled_from([1 / 16, 0.1, 0.37, 1.0, 2.5, 7.0]), st.sampled_from([1 / 16, 0.3, 3.0])),
)
def test_every_pixel_counts_once_in_the_cell_of_its_centre(mask, corner, ratios):
    rows, cols, bits = mask
    pixels = np.array([bits >> index & 1 for index in range(rows * cols)], bool).reshape(rows, cols)
    (row, col), counts = cell_counts(pixels, corner, ratios)
    expected: dict[tuple[int, int], int] = {}
    for r, c in np.argwhere(pixels):
        cell = int((r + corner[0] + 0.5) * ratios[0]), int((c + corner[1] + 0.5) * ratios[1])
        expected[cell] = expected.get(cell, 0) + 1
    found = {(row + r, col + c): int(counts[r, c]) for r, c in np.argwhere(counts)}
    assert found == expected


def test_boxes_grow_by_their_longer_side_and_stay_in_the_image():
    assert box_with_margin((10, 20, 20, 40), 0.25, (100, 100)) == (5, 15, 25, 45)
    assert box_with_margin((0, 0, 1, 1), 0.25, (100, 100)) == (0, 0, 3, 3), "specks have surroundings too"
    assert box_with_margin((90, 95, 100, 100), 1.0, (100, 100)) == (80, 85, 100, 100)


# --- vectors of the whole image -------------------------------------------------------------------


def test_the_average_within_and_around_by_hand():
    # Two cells of 16 x 16 pixels side by side, (3, 0) and (0, 4).
    embedding = embedding_of([[[3, 0]], [[0, 4]]], (16, 32))
    masks = [record((16, 32), 0, 8, 16, 24), record((16, 32), 0, 0, 16, 32), record((16, 32), 0, 0, 0, 0)]
    found = drain(embed_masks(embedding, masks))
    # The first has half of both cells, (1.5, 2), and margins of four columns in both, (1.5, 2) again.
    np.testing.assert_allclose(found.vectors[0], np.array([0.6, 0.8, 0.6, 0.8]) / np.sqrt(2), rtol=1e-6)
    # Nothing is around the second: what is within stands for it.
    np.testing.assert_allclose(found.vectors[1], np.array([0.6, 0.8, 0.6, 0.8]) / np.sqrt(2), rtol=1e-6)
    assert not found.vectors[2].any()
    assert found.areas.tolist() == [256, 512, 0]
    assert (found.view, found.model_name, len(found)) == ("image", "by hand", 3)


def test_the_finest_features_are_taken_and_padding_is_not():
    # An image of 32 x 64 pixels, halved to 16 x 32, in an input of 32 x 32: the lower half is padding.
    fine4 = np.full((1, 8, 8), 1000.0)
    fine4[0, :4] = np.arange(32).reshape(4, 8) + 1
    fine8 = np.full((3, 4, 4), -1000.0)
    embedding = embedding_of(np.full((2, 2, 2), -1000.0), (32, 64), (16, 32), (fine4, fine8))
    two = np.stack([fine4[0], np.ones((8, 8))])
    both = embedding_of(np.full((2, 2, 2), -1000.0), (32, 64), (16, 32), (two, fine8))
    # Rows 24 to 32 and columns 0 to 16 of the image are the cells (3, 0) and (3, 1): 25 and 26.
    masks = [record((32, 64), 24, 0, 32, 16), record((32, 64), 0, 0, 32, 64)]
    assert drain(embed_masks(embedding, masks)).vectors.shape == (2, 2)
    within = drain(embed_masks(both, masks)).vectors[:, :2]
    np.testing.assert_allclose(within[:, 0] / within[:, 1], [25.5, 16.5], rtol=1e-5)


def test_a_part_of_an_object_is_told_from_the_object():
    bright, dark = np.zeros((2, 8, 8)), np.zeros((8, 8))
    bright[1] = 1
    for top, left in ((1, 1), (1, 5), (5, 1)):
        bright[:, top : top + 2, left : left + 2] = np.array([1, 0])[:, None, None]
    embedding = embedding_of(bright, (128, 128))
    shape = dark.shape[0] * 16, dark.shape[1] * 16
    squares = [record(shape, 16, 16, 48, 48), record(shape, 16, 80, 48, 112), record(shape, 80, 16, 112, 48)]
    part, ground = record(shape, 26, 26, 38, 38), record(shape, 60, 60, 76, 76)
    found = rank_by_similarity(drain(embed_masks(embedding, [*squares, part, ground])), [0])
    assert found.similarity[[0, 1, 2]] == pytest.approx(1)
    assert found.similarity[3] == pytest.approx(0.5, abs=1e-6), "the same within, another one around"
    assert found.order.tolist()[-1] == 4


def test_masks_of_another_image_are_refused(pyramid, picture):
    embedding = embedding_of([[[3, 0]], [[0, 4]]], (16, 32))
    with pytest.raises(ValueError, match=r"\(32, 16\) pixels and the image of \(16, 32\)"):
        drain(embed_masks(embedding, [record((32, 16), 0, 0, 2, 2)]))
    with pytest.raises(ValueError, match="give masks of this image"):
        drain(embed_mask_crops(pyramid, picture, [record((32, 16), 0, 0, 2, 2)]))
    with pytest.raises(ValueError, match="margin is -1"):
        drain(embed_mask_crops(pyramid, picture, [], margin=-1))


def test_memory_does_not_grow_with_image_times_objects():
    side = 2048
    embedding = embedding_of(np.ones((8, side // 16, side // 16)), (side, side))
    square = np.ones((20, 20), bool)
    boxes = [(30 * index, 40, 30 * index + 20, 60) for index in range(60)]
    masks = [MaskRecord.from_mask(run_lengths_in_box(square, box, (side, side))) for box in boxes]
    tracemalloc.start()
    try:
        drain(embed_masks(embedding, masks))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < side * side / 4  # bytes: a single bool mask of the image takes four times that


def test_progress_counts_masks():
    embedding = embedding_of(np.ones((2, 4, 4)), (64, 64))
    seen = []
    drain(embed_masks(embedding, [record((64, 64), 0, 0, 4, 4)] * 40), seen.append)
    assert [progress.done for progress in seen] == [0, 16, 32, 40]
    assert {progress.total for progress in seen} == {40}


# --- vectors of crops -----------------------------------------------------------------------------


def test_a_mirrored_image_gives_the_same_vectors(pyramid, predictor, picture):
    masks = [record(picture.shape, 10, 12, 30, 25), record(picture.shape, 40, 60, 60, 90)]
    mirrored = [MaskRecord.from_mask(mask.mask[:, ::-1]) for mask in masks]
    for model in (pyramid, predictor):
        one = drain(embed_mask_crops(model, picture, masks))
        other = drain(embed_mask_crops(model, picture[:, ::-1], mirrored))
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-5)
        assert np.linalg.norm(one.vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert one.view == "crop"
        assert one.model_name == model.name
    assert drain(embed_mask_crops(pyramid, picture, masks)).vectors.shape == (2, 256 + 6 + 4)
    assert drain(embed_mask_crops(predictor, picture, masks)).vectors.shape == (2, 256)


def test_a_crop_is_the_paper_s_average_over_the_mask(predictor, picture):
    # The mask's crop is the whole image here, so that the embedding of the image itself tells what to expect.
    mask = np.zeros(picture.shape, bool)
    mask[5:50, 5:85] = True
    mask[20:30, 20:60] = False
    found = drain(embed_mask_crops(predictor, picture, [MaskRecord.from_mask(mask)], margin=1.0))
    expected = np.zeros(256)
    for seen, shown in ((picture, mask), (picture[:, ::-1], mask[:, ::-1])):
        embedding = predictor.encode(seen)
        features = embedding.features[0].numpy()
        sums = np.zeros(256)
        for row, col in np.argwhere(shown):
            # 90 columns become 128, in a square input of 8 x 8 cells.
            sums += features[:, int((row + 0.5) * 85 / 60 / 16), int((col + 0.5) * 128 / 90 / 16)]
        expected += sums / shown.sum()
    np.testing.assert_allclose(found.vectors[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_all_crops_have_the_intensities_of_the_image(pyramid, picture, monkeypatch):
    limits = []
    compute = Predictor.compute_steps

    def remembered(self, image, *, contrast_limits=None):
        limits.append(contrast_limits)
        return (yield from compute(self, image, contrast_limits=contrast_limits))

    monkeypatch.setattr(Predictor, "compute_steps", remembered)
    values = picture.astype(np.float32)
    drain(embed_mask_crops(pyramid, values, [record(picture.shape, 3, 3, 9, 9), record(picture.shape, 0, 0, 0, 0)]))
    assert len(set(limits)) == 1
    assert len(limits) == 2, "an empty mask has no crop"
    assert limits[0] == pytest.approx(np.percentile(values, (0.1, 99.9)))


def test_closing_stops_before_the_next_block(pyramid, picture):
    masks = [record(picture.shape, 10, 12, 30, 25)] * 3
    steps = embed_mask_crops(pyramid, picture, masks)
    blocks = []
    hook = pyramid.sam.image_encoder.stages[0][0].register_forward_hook(lambda *_: blocks.append(1))
    try:
        while len(blocks) < 3:  # the first mask twice, the second once
            progress = next(steps)
        steps.close()
    finally:
        hook.remove()
    assert len(blocks) == 3
    assert (progress.done, progress.total) == (1, 3)


def test_a_candidate_of_every_size_has_a_vector(pyramid, picture):
    embedding = pyramid.encode(picture)
    masks = [record(picture.shape, 0, 0, 60, 90), record(picture.shape, 59, 89, 60, 90)]
    for found in (drain(embed_masks(embedding, masks)), drain(embed_mask_crops(pyramid, picture, masks))):
        assert np.isfinite(found.vectors).all()
        assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-5)


# --- the ranking ----------------------------------------------------------------------------------


def test_the_nearest_of_the_chosen_counts():
    embeddings = vectors_by_hand([1, 0], [0, 1], [1, 1], [3, 4], [-1, 0])
    found = rank_by_similarity(embeddings, [0])
    np.testing.assert_allclose(found.similarity, [1, 0, np.sqrt(0.5), 0.6, -1], atol=1e-6)
    assert found.order.tolist() == [0, 2, 3, 1, 4]
    both = rank_by_similarity(embeddings, [1, 0])
    np.testing.assert_allclose(both.similarity, [1, 1, np.sqrt(0.5), 0.8, 0], atol=1e-6)
    assert both.order.tolist() == [1, 0, 3, 2, 4]


def test_a_threshold_takes_what_reaches_it_and_always_the_chosen_ones():
    found = rank_by_similarity(vectors_by_hand([1, 0], [0, 1], [1, 1], [3, 4]), [0])
    assert found.above(0.6 - 1e-6).tolist() == [0, 2, 3]
    assert found.above(2).tolist() == [0]
    assert found.above(-1).tolist() == [0, 2, 3, 1]
    with pytest.raises(ValueError, match="threshold is NaN"):
        found.above(float("nan"))


def test_size_counts_where_it_is_wanted():
    embeddings = vectors_by_hand([1, 0], [1, 0], [3, 4], [1, 0], areas=[100, round(100 * np.e), 100, 0])
    assert rank_by_similarity(embeddings, [0]).order.tolist() == [0, 1, 2, 3]
    found = rank_by_similarity(embeddings, [0], size_weight=0.5)
    np.testing.assert_allclose(found.similarity[:3], [1, 0.5, 0.6], atol=1e-3)
    assert found.order.tolist() == [0, 2, 1, 3]
    assert found.above(-np.inf).tolist() == [0, 2, 1, 3]
    assert found.similarity[3] == -np.inf, "an empty mask resembles nothing"


@pytest.mark.parametrize(
    ("chosen", "words"),
    [([], "no mask is chosen"), ([3], "there are 3"), ([-1], "there are 3"), ([0, 0], "twice"), ([2], "no pixel")],
)
def test_choices_that_cannot_be_are_told(chosen, words):
    embeddings = vectors_by_hand([1, 0], [0, 1], [0, 0], areas=[4, 4, 0])
    with pytest.raises(ValueError, match=words):
        rank_by_similarity(embeddings, chosen)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="size_weight is -1"):
        rank_by_similarity(vectors_by_hand([1, 0]), [0], size_weight=-1)
