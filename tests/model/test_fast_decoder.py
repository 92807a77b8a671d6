"""The fast path of the mask decoder against the definition that training uses."""

from __future__ import annotations

import dataclasses
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.model import (
    ImageDecoder,
    ImageFeatures,
    Sam,
    SamConfig,
    ViTConfig,
    build_sam,
    image_decoder,
    prompt_cells,
)
from napari_segany.model.fast_decoder import read_prompts
from napari_segany.model.image_decoder import NOT_DRAWN
from napari_segany.model.mask_drawing import draw_masks
from napari_segany.model.shared_image import share_image

SMALL = SamConfig(
    image_size=128,
    encoder=ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,)),
    decoder_mlp_dim=64,
    iou_head_hidden_dim=32,
)


def lively(config: SamConfig, seed: int, spread: float = 1.0) -> Sam:
    """A model whose normalisations and biases are not those of the beginning."""
    torch.manual_seed(seed)
    sam = build_sam(config)
    with torch.no_grad():
        for parameter in sam.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn_like(parameter)
            else:
                parameter *= spread
    return sam


def relative_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def some_prompts(count: int, points: int, *, boxes: bool) -> dict[str, torch.Tensor]:
    corner = torch.rand(count, 2) * 60
    return {
        "points": torch.rand(count, points, 2) * 120,
        "labels": torch.randint(-1, 2, (count, points)),
        **({"boxes": torch.cat([corner, corner + 40], dim=1)} if boxes else {}),
    }


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    depth=st.integers(1, 3),
    points=st.integers(1, 5),
    boxes=st.booleans(),
    multimask=st.booleans(),
    spread=st.floats(0.5, 2.0),
    numbers=st.sampled_from([1, 1000, 1 << 18]),
)
def test_the_fast_path_gives_the_same_answers(seed, grid, depth, points, boxes, multimask, spread, numbers):
    sam = lively(dataclasses.replace(SMALL, decoder_depth=depth), seed, spread)
    features = ImageFeatures(torch.randn(1, 256, *grid))
    prompts = some_prompts(3, points, boxes=boxes)
    with torch.no_grad():
        logits, iou = sam.decode(features, **prompts, multimask=multimask)
    with mock.patch.object(prompt_cells, "_NUMBERS_AT_A_TIME", numbers):  # one cell at a time, some, all
        found, found_iou = ImageDecoder(sam, features).decode(**prompts, multimask=multimask)
    assert found.shape == logits.shape
    assert relative_difference(found, logits) < 1e-4
    assert relative_difference(found_iou, iou) < 1e-4


@torch.no_grad()
def test_it_is_exact_and_not_merely_close():
    sam = lively(SMALL, seed=3).double()
    image, positions = torch.randn(2, 1, 256, 5, 7, dtype=torch.float64)
    tokens = torch.randn(3, 2, 256, dtype=torch.float64)
    shared = share_image(sam.mask_decoder, image, positions)
    for prompt, reading in zip(tokens, read_prompts(shared, tokens), strict=True):
        expected, iou = sam.mask_decoder.predict_masks(image, positions, prompt[None], torch.zeros_like(image))
        torch.testing.assert_close(draw_masks(shared, reading, slice(None)), expected[0], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(reading.iou, iou[0], rtol=1e-10, atol=1e-10)


def test_it_is_taken(monkeypatch: pytest.MonkeyPatch):
    sam = lively(SMALL, seed=0)
    decoder = ImageDecoder(sam, ImageFeatures(torch.randn(1, 256, 4, 4)))
    monkeypatch.setattr(sam, "decode", None)
    logits, iou = decoder.decode(**some_prompts(2, 1, boxes=False), multimask=True)
    assert (logits.shape, iou.shape) == ((2, 3, 16, 16), (2, 3))


def test_its_weights_are_those_of_the_model():
    sam = lively(SMALL, seed=0)
    features, prompts = ImageFeatures(torch.randn(1, 256, 4, 4)), some_prompts(1, 1, boxes=False)
    before, _ = ImageDecoder(sam, features).decode(**prompts, multimask=True)
    with torch.no_grad():
        weight = sam.mask_decoder.transformer.layers[1].cross_attn_image_to_token.out_proj.weight
        weight += 0.1 * torch.randn_like(weight)
        expected, _ = sam.decode(features, **prompts, multimask=True)
    after, _ = ImageDecoder(sam, features).decode(**prompts, multimask=True)
    assert relative_difference(after, before) > 1e-3
    assert relative_difference(after, expected) < 1e-4


@torch.no_grad()
def test_what_it_cannot_do_takes_the_ordinary_path():
    sam, prompts = lively(SMALL, seed=0), some_prompts(2, 1, boxes=False)
    several = ImageFeatures(torch.randn(2, 256, 4, 4))
    found = ImageDecoder(sam, several).decode(**prompts, multimask=True)
    for tensor, expected in zip(found, sam.decode(several, **prompts, multimask=True), strict=True):
        assert torch.equal(tensor, expected)
    one, masks = ImageFeatures(torch.randn(1, 256, 4, 4)), torch.randn(2, 1, 16, 16)
    found = ImageDecoder(sam, one).decode(**prompts, masks=masks, multimask=False)
    for tensor, expected in zip(found, sam.decode(one, **prompts, masks=masks, multimask=False), strict=True):
        assert torch.equal(tensor, expected)


@torch.no_grad()
def test_the_pyramid_answers_as_it_does(pyramid: Sam):
    features = pyramid.encode(torch.randn(1, 3, 64, 64))
    prompts = {"points": torch.rand(2, 1, 2) * 64, "labels": torch.ones(2, 1)}
    found = ImageDecoder(pyramid, features).decode(**prompts, multimask=True)
    for tensor, expected in zip(found, pyramid.decode(features, **prompts, multimask=True), strict=True):
        assert torch.equal(tensor, expected)


def test_wrong_prompts_are_refused_as_ever():
    decoder = ImageDecoder(lively(SMALL, seed=0), ImageFeatures(torch.randn(1, 256, 4, 4)))
    with pytest.raises(ValueError, match="points and labels belong together"):
        decoder.decode(points=torch.zeros(1, 1, 2), multimask=True)
    with pytest.raises(ValueError, match="there is no prompt"):
        decoder.decode(multimask=True)


def test_points_and_boxes_keep_their_batch():
    sam = lively(SMALL, seed=0)
    decoder = ImageDecoder(sam, ImageFeatures(torch.randn(1, 256, 4, 4)))
    prompts = some_prompts(3, 2, boxes=True)
    logits, iou = decoder.decode(**prompts, multimask=False)
    for index in range(3):
        one, one_iou = decoder.decode(
            **{name: value[index : index + 1] for name, value in prompts.items()}, multimask=False
        )
        torch.testing.assert_close(one[0], logits[index])
        torch.testing.assert_close(one_iou[0], iou[index])


def test_two_images_cannot_be_shared():
    sam = lively(SMALL, seed=0)
    with pytest.raises(ValueError, match="there are 2 image embeddings; give one"):
        share_image(sam.mask_decoder, torch.zeros(2, 256, 4, 4), torch.zeros(1, 256, 4, 4))


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    share=st.floats(0, 1),
    input_shape=st.tuples(st.integers(1, 96), st.integers(1, 128)),
)
def test_only_good_masks_are_drawn_and_only_as_far_as_the_image_needs(seed, share, input_shape):
    sam = lively(SMALL, seed)
    features = ImageFeatures(torch.randn(1, 256, 6, 8))
    prompts = some_prompts(4, 1, boxes=False)
    with torch.no_grad():
        every, every_iou = sam.decode(features, **prompts, multimask=True)
    least = every_iou.flatten().double().quantile(share).item() + 1e-3  # between two of them, or above all
    logits, iou, good = ImageDecoder(sam, features).decode_likely(**prompts, least_iou=least, input_shape=input_shape)
    assert relative_difference(iou, every_iou) < 1e-4
    assert torch.equal(good, iou > least)
    assert logits.shape == (int(good.sum()), 24, 32)
    drawn = logits != NOT_DRAWN
    assert torch.equal(drawn, drawn[:1].expand_as(drawn))
    tolerance = 1e-4 * every.abs().max()
    assert torch.where(drawn, (logits - every[good]).abs(), 0).le(tolerance).all()
    if not good.any():
        return
    # What is not drawn counts for no pixel of the image.
    whole = torch.where(drawn, every[good], 1e6)[None]
    for filled in (whole, torch.where(drawn, every[good], -1e6)[None]):
        expected = sam.upscale(every[good][None], input_shape, input_shape)
        torch.testing.assert_close(sam.upscale(filled, input_shape, input_shape), expected, rtol=0, atol=1e-3)


def test_all_are_drawn_where_none_is_rejected():
    sam = lively(SMALL, seed=0)
    features, prompts = ImageFeatures(torch.randn(1, 256, 4, 4)), some_prompts(2, 1, boxes=False)
    decoder = ImageDecoder(sam, features)
    logits, _, good = decoder.decode_likely(**prompts, least_iou=float("-inf"), input_shape=(64, 64))
    assert good.all()
    expected, _ = decoder.decode(**prompts, multimask=True)
    assert torch.equal(logits, expected.flatten(0, 1))


@pytest.mark.parametrize(
    ("prompts", "threads", "sizes"),
    [(1, 2, [1]), (3, 2, [1, 1, 1]), (20, 2, [8, 8, 4]), (9, 8, 9 * [1]), (6, 8, [6]), (11, 16, [8, 3])],
)
def test_groups_of_prompts_leave_no_thread_without_work(monkeypatch, prompts, threads, sizes):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert [len(group) for group in image_decoder.groups(torch.zeros(prompts, 3, 256))] == sizes


def test_other_models_reject_alike(pyramid: Sam):
    with torch.no_grad():
        features = pyramid.encode(torch.randn(1, 3, 64, 64))
        prompts = {"points": torch.rand(4, 1, 2) * 64, "labels": torch.ones(4, 1)}
        every, every_iou = pyramid.decode(features, **prompts, multimask=True)
    least = every_iou.median().item()
    decoder = ImageDecoder(pyramid, features)
    logits, iou, good = decoder.decode_likely(**prompts, least_iou=least, input_shape=(64, 64))
    assert torch.equal(iou, every_iou)
    assert 0 < good.sum() < 12
    assert torch.equal(logits, every[every_iou > least])
