from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import coffee

from napari_segany.generators import drain
from napari_segany.model import ImageFeatures, Sam, SamConfig, build_sam
from napari_segany.model.config import PRESETS

Weights = Callable[[str], dict[str, torch.Tensor]]


def close(found: torch.Tensor, expected: np.ndarray) -> None:
    """Equal as the reference numbers define it: within 1e-3 of the largest magnitude."""
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-3 * np.abs(expected).max())


def model_input(sam: Sam, shape: tuple[int, int]) -> torch.Tensor:
    resized = np.array(Image.fromarray(coffee()).resize(shape[::-1], Image.Resampling.BILINEAR))
    return sam.preprocess(torch.from_numpy(resized).permute(2, 0, 1)[None].float())


def prompts_of(numbers: Any, name: str, scale: torch.Tensor) -> dict[str, torch.Tensor]:
    """The prompt of a reference, from pixels of the image to pixels of the model's input."""
    prompt = {}
    if f"{name}/point_coords" in numbers:
        prompt["points"] = torch.from_numpy(numbers[f"{name}/point_coords"])[None] * scale
        prompt["labels"] = torch.from_numpy(numbers[f"{name}/point_labels"])[None]
    if f"{name}/box" in numbers:
        prompt["boxes"] = torch.from_numpy(numbers[f"{name}/box"])[None] * scale.repeat(2)
    if name.startswith("mask"):
        prompt["masks"] = torch.from_numpy(numbers["mask/mask_input"])[None]
    return prompt


@pytest.mark.parametrize("name", ["mini", "vit_t", "vit_b", "vit_l", "vit_h"])
def test_names_and_shapes_are_the_published_ones(
    name: str, mini_config: SamConfig, published_keys: Callable[[str], dict[str, tuple[int, ...]]]
):
    with torch.device("meta"):
        sam = Sam({**PRESETS, "mini": mini_config}[name])
    assert {key: tuple(value.shape) for key, value in sam.state_dict().items()} == published_keys(name)


@torch.inference_mode()
def test_mini_gives_the_published_numbers(mini: Sam, published_weights: Weights, parity: Path):
    mini.load_state_dict(published_weights("mini"))
    with np.load(parity / "mini.npz") as numbers:
        x = mini.preprocess(torch.from_numpy(numbers["resized"]).permute(2, 0, 1)[None].float())
        features = mini.encode(x)
        close(features.embedding[0], numbers["embedding"])
        close(mini.prompt_encoder.get_dense_pe()[0], numbers["dense_pe"])
        scale = torch.tensor([256 / 600, 171 / 400])
        answers = [key.removesuffix("/low_res") for key in numbers.files if key.endswith("/low_res")]
        assert len(answers) == 10
        for answer in answers:
            name, mode = answer.split("/")
            logits, iou = mini.decode(features, **prompts_of(numbers, name, scale), multimask=mode == "multi")
            close(logits[0], numbers[f"{answer}/low_res"])
            np.testing.assert_allclose(iou[0].numpy(), numbers[f"{answer}/iou"], rtol=0, atol=1e-3)
            if f"{answer}/area" in numbers:
                full = mini.upscale(logits, (171, 256), (400, 600))[0]
                close(full[:, ::8, ::8], numbers[f"{answer}/logits_8"])
                area = (full > mini.mask_threshold).sum(dim=(1, 2)).numpy()
                np.testing.assert_allclose(area, numbers[f"{answer}/area"], rtol=1e-3)


@torch.inference_mode()
def test_decoder_gives_the_published_numbers_for_batches_of_prompts(published_weights: Weights, parity: Path):
    sam = Sam(PRESETS["vit_t"])  # any encoder: prompt encoder and mask decoder are the same in all
    weights = published_weights("vit_t")
    sam.load_state_dict(weights)
    embedding = np.random.RandomState(7).standard_normal((1, 256, 64, 64)).astype(np.float32)
    features = ImageFeatures(torch.from_numpy(embedding))
    with np.load(parity / "decoder.npz") as numbers:
        points = {
            "points": torch.from_numpy(numbers["point_coords"]),
            "labels": torch.from_numpy(numbers["point_labels"]),
        }
        boxes = {"boxes": torch.from_numpy(numbers["boxes"])}
        for name, prompt in {"points": points, "boxes": boxes, "both": {**points, **boxes}}.items():
            sparse, _ = sam.prompt_encoder(
                (prompt["points"], prompt["labels"]) if "points" in prompt else None, prompt.get("boxes"), None
            )
            close(sparse, numbers[f"{name}/sparse"])
            for mode in ("multi", "single"):
                logits, iou = sam.decode(features, **prompt, multimask=mode == "multi")
                close(logits[..., ::8, ::8], numbers[f"{name}/{mode}/low_res_8"])
                np.testing.assert_allclose(iou.numpy(), numbers[f"{name}/{mode}/iou"], rtol=0, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["vit_t", pytest.param("vit_b", marks=pytest.mark.slow)])
def test_whole_models_give_the_published_numbers(name: str, published_weights: Weights, parity: Path):
    with torch.device("meta"):
        sam = Sam(PRESETS[name]).eval()
    sam.load_state_dict(published_weights(name), assign=True)
    features = sam.encode(model_input(sam, (683, 1024)))
    with np.load(parity / f"{name}.npz") as numbers:
        close(features.embedding[0, :, ::8, ::8], numbers["embedding_8"])
        assert features.embedding.mean().item() == pytest.approx(numbers["mean"].item(), abs=1e-3)
        assert features.embedding.std().item() == pytest.approx(numbers["std"].item(), abs=1e-3)
        points = torch.from_numpy(numbers["point_coords"])[None] * torch.tensor([1024 / 600, 683 / 400])
        labels = torch.from_numpy(numbers["point_labels"])[None]
        logits, iou = sam.decode(features, points=points, labels=labels, multimask=True)
        close(logits[0, :, ::8, ::8], numbers["low_res_8"])
        np.testing.assert_allclose(iou[0].numpy(), numbers["iou"], rtol=0, atol=1e-3)
        area = (sam.upscale(logits, (683, 1024), (400, 600))[0] > 0).sum(dim=(1, 2)).numpy()
        np.testing.assert_allclose(area, numbers["area"], rtol=1e-3)


def some_prompts(number: int, side: int, grid: int) -> dict[str, torch.Tensor]:
    corner = torch.rand(number, 2) * side / 2
    return {
        "points": torch.rand(number, 3, 2) * side,
        "labels": torch.tensor([[1, 0, -1]]).expand(number, 3),
        "boxes": torch.cat([corner, corner + side / 3], dim=1),
        "masks": torch.randn(number, 1, 4 * grid, 4 * grid),
    }


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("name", ["mini_config", "tiny_config", "pyramid_config"])
def test_every_parameter_learns(name: str, depth: int, request: pytest.FixtureRequest):
    config = dataclasses.replace(request.getfixturevalue(name), image_size=64, decoder_depth=depth)
    sam = build_sam(config).train()
    for parameter in sam.parameters():  # a residual branch that begins at zero hides its first layers
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    features = sam.encode(sam.preprocess(torch.rand(2, 3, 64, 48) * 255))
    prompts = some_prompts(2, side=64, grid=4)
    masks, iou = sam.decode_all(features, **prompts)
    unmasked, _ = sam.decode_all(features, points=prompts["points"], labels=prompts["labels"])
    (masks.square().mean() + iou.square().mean() + unmasked.square().mean()).backward()
    for key, parameter in sam.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        # What is added to all keys alike does not change attention.
        assert parameter.grad.any() or key.endswith("k_proj.bias"), key


def test_light_learns_from_scratch():
    sam = build_sam("light").train()
    target = torch.zeros(2, 4, 32, 32)
    target[:, :, 8:20, 10:22] = 1
    optimizer = torch.optim.AdamW(sam.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        features = sam.encode(torch.nn.functional.interpolate(target[:, :3], size=(128, 128)) * 2 - 1)
        assert [tuple(scale.shape[1:]) for scale in features.high_resolution] == [(16, 32, 32), (32, 16, 16)]
        masks, _ = sam.decode_all(features, points=torch.full((2, 1, 2), 60.0), labels=torch.ones(2, 1))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(masks, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_light_fits_into_the_package():
    parameters = sum(parameter.numel() for parameter in build_sam("light").parameters())
    assert 2 * parameters < 15.9e6


@torch.no_grad()
@pytest.mark.parametrize("shape", [(64, 64), (32, 64), (64, 48)])
def test_steps_give_what_encoding_gives(any_sam: Sam, shape: tuple[int, int]):
    x = torch.randn(1, 3, *shape)
    steps = any_sam.encode_steps(x)
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            features = end.value
            break
    total = seen[0][1]
    assert seen == sorted(seen)
    assert {(done, total) for done in range(1, total + 1)} <= set(seen)
    whole = any_sam.encode(x)
    assert torch.equal(features.embedding, whole.embedding)
    assert torch.equal(any_sam.image_encoder(x), whole.embedding)
    assert len(features.high_resolution) == len(whole.high_resolution)
    for ours, theirs in zip(features.high_resolution, whole.high_resolution, strict=True):
        assert torch.equal(ours, theirs)
    logits, _ = any_sam.decode(features, points=torch.ones(1, 1, 2), labels=torch.ones(1, 1), multimask=True)
    assert logits.shape == (1, 3, shape[0] // 4, shape[1] // 4)
    assert logits.isfinite().all()


@torch.no_grad()
def test_closing_the_steps_stops_the_work(mini: Sam):
    blocks_run = []
    for index, block in enumerate(mini.image_encoder.blocks):
        block.mlp.register_forward_hook(lambda *_, index=index: blocks_run.append(index))
    steps = mini.encode_steps(torch.randn(1, 3, 64, 64))
    assert next(done for done in steps if done[0] == 2) == (2, 5)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
    assert blocks_run == [0, 1]


@torch.no_grad()
def test_a_batch_of_prompts_is_answered_as_one_by_one(any_sam: Sam):
    features = any_sam.encode(torch.randn(1, 3, 64, 64))
    prompts = some_prompts(3, side=64, grid=4)
    logits, iou = any_sam.decode(features, **prompts, multimask=True)
    assert logits.shape == (3, 3, 16, 16)
    for index in range(3):
        one = {name: values[index : index + 1] for name, values in prompts.items()}
        alone, alone_iou = any_sam.decode(features, **one, multimask=True)
        torch.testing.assert_close(logits[index], alone[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(iou[index], alone_iou[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_features_of_several_images_are_paired_with_prompts(any_sam: Sam):
    x = torch.randn(2, 3, 64, 64)
    prompts = some_prompts(2, side=64, grid=4)
    paired, _ = any_sam.decode(any_sam.encode(x), **prompts, multimask=False)
    for index in range(2):
        one = {name: values[index : index + 1] for name, values in prompts.items()}
        alone, _ = any_sam.decode(any_sam.encode(x[index : index + 1]), **one, multimask=False)
        torch.testing.assert_close(paired[index], alone[0], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="2 image embeddings for 3 prompts"):
        any_sam.decode(any_sam.encode(x), **some_prompts(3, side=64, grid=4), multimask=False)


@torch.no_grad()
def test_points_that_pad_add_one_token_each_but_no_position(any_sam: Sam):
    features = any_sam.encode(torch.randn(1, 3, 64, 64))
    labels = torch.tensor([[1, -1]])
    here, _ = any_sam.decode(features, points=torch.tensor([[[9.0, 9], [0, 0]]]), labels=labels, multimask=True)
    there, _ = any_sam.decode(features, points=torch.tensor([[[9.0, 9], [50, 3]]]), labels=labels, multimask=True)
    assert torch.equal(here, there)


@torch.no_grad()
def test_a_crop_keeps_its_place_in_the_canvas(mini: Sam):
    features = mini.encode(torch.randn(1, 3, 256, 256))
    crop = ImageFeatures(features.embedding[:, :, 4:12, 2:10])
    points, labels = torch.tensor([[[40.0, 70.0]]]), torch.ones(1, 1)
    calls = []
    mini.mask_decoder.transformer.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    mini.decode(features, points=points + torch.tensor([32.0, 64.0]), labels=labels, multimask=True)
    mini.decode(crop, points=points, labels=labels, multimask=True, origin=(32, 64))
    (image, positions, tokens), (crop_image, crop_positions, crop_tokens) = calls
    assert torch.equal(crop_image, image[:, :, 4:12, 2:10])
    assert torch.equal(crop_positions, positions[:, :, 4:12, 2:10])
    torch.testing.assert_close(crop_tokens, tokens)


def test_pixels_are_normalised_and_padded(mini: Sam):
    image = torch.tensor([123.675, 116.28 + 57.12, 103.53 - 57.375]).view(1, 3, 1, 1).expand(1, 3, 10, 20)
    x = mini.preprocess(image)
    assert x.shape == (1, 3, 256, 256)
    torch.testing.assert_close(x[0, :, 9, 19], torch.tensor([0.0, 1, -1]), atol=1e-5, rtol=0)
    assert not x[:, :, 10:].any()
    assert not x[..., 20:].any()


def test_upscaling_drops_the_padding(mini: Sam):
    logits = torch.full((1, 1, 64, 64), -5.0)
    logits[:, :, :32] = 5  # the upper half of the canvas holds the image
    full = mini.upscale(logits, (100, 256), (50, 128))
    assert full.shape == (1, 1, 50, 128)
    torch.testing.assert_close(full, torch.full_like(full, 5))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "there is no prompt"),
        ({"points": torch.zeros(1, 1, 2)}, "points and labels belong together"),
        ({"labels": torch.zeros(1, 1)}, "points and labels belong together"),
        ({"points": torch.zeros(1, 2), "labels": torch.zeros(1)}, r"expected \(B, N, 2\)"),
        ({"points": torch.zeros(1, 2, 2), "labels": torch.zeros(1, 1)}, r"expected \(B, N, 2\)"),
        ({"boxes": torch.zeros(4)}, r"expected \(B, 4\)"),
        ({"boxes": torch.zeros(2, 4), "masks": torch.zeros(1, 1, 16, 16)}, "the same number"),
    ],
)
def test_prompts_that_make_no_sense_are_refused(mini: Sam, prompt: dict[str, torch.Tensor], message: str):
    with pytest.raises(ValueError, match=message):
        mini.decode(ImageFeatures(torch.zeros(1, 256, 4, 4)), **prompt, multimask=True)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 60, 64), (1, 3, 0, 64)])
def test_inputs_of_another_shape_are_refused(mini: Sam, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="multiples of 16"):
        mini.encode(torch.zeros(shape))
    with pytest.raises(ValueError, match="up to 256"):
        mini.preprocess(torch.zeros(1, 3, 257, 10))


def test_networks_that_cannot_be_are_refused(mini_config: SamConfig):
    with pytest.raises(ValueError, match="image_size is 250"):
        Sam(dataclasses.replace(mini_config, image_size=250))


def test_half_precision_autocast_gives_nearly_the_same(any_sam: Sam):
    x, point, label = torch.randn(1, 3, 64, 64), torch.full((1, 1, 2), 20.0), torch.ones(1, 1)
    with torch.no_grad():
        exact = drain(any_sam.encode_steps(x))
        with torch.autocast("cpu", torch.bfloat16):
            rough = any_sam.encode(x)
            logits, _ = any_sam.decode(rough, points=point, labels=label, multimask=True)
    assert logits.isfinite().all()
    difference = (rough.embedding.float() - exact.embedding).abs().mean()
    assert difference < 0.1 * exact.embedding.abs().mean()
