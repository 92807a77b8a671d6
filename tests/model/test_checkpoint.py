from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_segany.model import CheckpointError, Sam, SamConfig, build_sam, load_sam, save_sam
from napari_segany.model.config import PRESETS

State = dict[str, torch.Tensor]


def same(ours: State, theirs: State, tolerance: float = 0) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(value, theirs[key].to(value.dtype), atol=tolerance, rtol=tolerance)


def wrapped(state: State) -> dict[str, Any]:
    """As micro-sam's training writes it."""
    return {"model_state": {f"sam.{key}": value for key, value in state.items()}, "epoch": 3, "best_metric": 0.5}


@pytest.mark.parametrize(
    "layout",
    [dict, wrapped, lambda state: {"state_dict": state}, lambda state: {"model": state, "optimizer": {}}],
    ids=["published", "micro-sam", "state_dict", "model"],
)
def test_checkpoints_of_others_load(mini: Sam, tmp_path: Path, layout: Callable[[State], dict[str, Any]]):
    torch.save(layout(mini.state_dict()), tmp_path / "mini.pth")
    loaded = load_sam(tmp_path / "mini.pth")
    assert loaded.config == mini.config
    assert not loaded.training
    same(loaded.state_dict(), mini.state_dict())


def test_files_of_old_torch_load(mini: Sam, tmp_path: Path):
    torch.save(mini.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    same(load_sam(str(tmp_path / "old.pt")).state_dict(), mini.state_dict())


def test_mobile_sam_loads_with_its_classifier(published_weights: Callable[[str], State], tmp_path: Path):
    weights = published_weights("vit_t")
    torch.save(weights, tmp_path / "mobile_sam.pt")
    loaded = load_sam(tmp_path / "mobile_sam.pt")
    assert loaded.config == PRESETS["vit_t"]
    same(loaded.state_dict(), weights)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 0), (torch.float16, 1e-3)])
def test_saved_models_load_as_float32(any_sam: Sam, tmp_path: Path, dtype: torch.dtype | None, tolerance: float):
    path = tmp_path / "sam.safetensors"
    save_sam(any_sam, path, dtype=dtype, metadata={"licence": "BSD-3-Clause"})
    loaded = load_sam(path)
    assert loaded.config == any_sam.config
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    same(loaded.state_dict(), any_sam.state_dict(), tolerance)
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["licence"] == "BSD-3-Clause"
    prompt = {"points": torch.full((1, 1, 2), 20.0), "labels": torch.ones(1, 1)}
    x = torch.randn(1, 3, 64, 64)
    answers = [sam.decode(sam.encode(x), **prompt, multimask=True)[0] for sam in (any_sam, loaded)]
    torch.testing.assert_close(answers[0], answers[1], atol=20 * tolerance, rtol=0)
    assert [item.name for item in tmp_path.iterdir()] == ["sam.safetensors"]


def test_half_precision_halves_the_file_but_spares_the_positions(tiny: Sam, tmp_path: Path):
    save_sam(tiny, tmp_path / "half.safetensors")
    save_sam(tiny, tmp_path / "full.safetensors", dtype=None)
    half, full = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full"))
    assert half < 0.55 * full
    stored = load_file(tmp_path / "half.safetensors")
    assert stored["prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"].dtype == torch.float32
    assert stored["mask_decoder.transformer.layers.0.mlp.lin1.weight"].dtype == torch.float16


def test_a_loaded_model_does_not_hold_its_file(tiny: Sam, tiny_config: SamConfig, tmp_path: Path):
    path = tmp_path / "sam.safetensors"
    save_sam(tiny, path, dtype=None)
    loaded = load_sam(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    same(loaded.state_dict(), tiny.state_dict())
    save_sam(build_sam(tiny_config), path)
    assert load_sam(path).config == tiny_config


def test_a_failed_save_leaves_the_file_as_it_was(tiny: Sam, tmp_path: Path):
    path = tmp_path / "sam.safetensors"
    save_sam(tiny, path)
    before = path.read_bytes()
    with torch.no_grad():
        tiny.mask_decoder.transformer.layers[0].mlp.lin1.weight[0, 0] = 1e6
    with pytest.raises(ValueError, match=r"lin1.weight holds values up to 1e\+06, which torch.float16 cannot"):
        save_sam(tiny, path)
    with pytest.raises(ValueError, match="metadata must be texts"):
        save_sam(tiny, path, metadata={"epoch": 3})  # type: ignore[dict-item]
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        save_sam(tiny, tmp_path / "nowhere" / "sam.safetensors", dtype=None)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["sam.safetensors"]


def test_positions_are_interpolated_to_another_image_size(mini: Sam, mini_config: SamConfig, tmp_path: Path):
    torch.save(mini.state_dict(), tmp_path / "mini.pth")
    config = dataclasses.replace(mini_config, image_size=128)
    smaller = load_sam(tmp_path / "mini.pth", config)
    assert smaller.config.image_size == 128
    x = torch.randn(1, 3, 128, 128)
    with torch.no_grad():  # a model that is given a smaller image interpolates likewise
        torch.testing.assert_close(smaller.image_encoder(x), mini.image_encoder(x), atol=1e-4, rtol=1e-4)


def test_models_are_built_by_name_or_configuration(mini_config: SamConfig, mini: Sam, tmp_path: Path):
    assert build_sam("light").config == PRESETS["light"]
    torch.save(mini.state_dict(), tmp_path / "mini.pth")
    same(build_sam(mini_config, tmp_path / "mini.pth").state_dict(), mini.state_dict())
    with pytest.raises(ValueError, match="there is no model 'vit_x'; known are light, vit_t"):
        build_sam("vit_x")


def refusal(path: Path, config: SamConfig | None = None) -> str:
    """The message of the refusal: one line with the file's name, and no traceback of torch's behind it."""
    with pytest.raises(CheckpointError) as caught:
        load_sam(path, config)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def test_another_network_than_expected_is_refused(tiny: Sam, mini: Sam, tmp_path: Path):
    torch.save(mini.state_dict(), tmp_path / "mini.pth")
    message = refusal(tmp_path / "mini.pth", PRESETS["vit_t"])
    assert "holds another model than expected" in message
    assert "weights are missing" in message
    assert "are unknown" in message
    message = refusal(tmp_path / "mini.pth", PRESETS["vit_b"])
    assert "have another shape" in message
    save_sam(tiny, tmp_path / "tiny.safetensors")
    assert "another model" in refusal(tmp_path / "tiny.safetensors", mini.config)


def without(key: str) -> Callable[[State], State]:
    return lambda state: {name: value for name, value in state.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("image_encoder.neck.3.bias"), "1 weights are missing, such as image_encoder.neck.3.bias"),
        (without("image_encoder.pos_embed"), "image_encoder.pos_embed is missing"),
        (lambda state: {**state, "extra.weight": torch.zeros(1)}, "1 are unknown, such as extra.weight"),
        (
            lambda state: {**state, "image_encoder.neck.3.bias": torch.zeros(7)},
            r"1 have another shape, such as image_encoder.neck.3.bias with (7,), expected (256,)",
        ),
        (lambda state: {**state, "image_encoder.pos_embed": torch.zeros(7)}, "cannot be used"),
        (lambda state: {**state, "epoch": 3}, "holds more than the weights of a SAM, such as 'epoch'"),
        (lambda _: {"conv1.weight": torch.zeros(2)}, "does not hold the weights of a SAM"),
        (lambda _: [torch.zeros(2)], "holds a list"),
    ],
)
def test_weights_that_do_not_fit_are_refused(mini: Sam, tmp_path: Path, change: Callable[[State], Any], message: str):
    torch.save(change(mini.state_dict()), tmp_path / "odd.pth")
    assert message in refusal(tmp_path / "odd.pth")


@pytest.mark.parametrize(
    "config", ["not json", "[]", json.dumps({"encoder": 3}), json.dumps({"image_size": "big"}), json.dumps({"a": 1})]
)
def test_a_configuration_that_makes_no_sense_is_refused(tiny: Sam, tmp_path: Path, config: str):
    save_file(tiny.state_dict(), tmp_path / "odd.safetensors", metadata={"segany.config": config})
    assert "cannot be used" in refusal(tmp_path / "odd.safetensors")


def test_safetensors_without_our_configuration_are_recognised(mini: Sam, tmp_path: Path):
    save_file(mini.state_dict(), tmp_path / "mini.safetensors")
    assert load_sam(tmp_path / "mini.safetensors").config == mini.config


@torch.no_grad()
@pytest.mark.parametrize("missing", [("mask_refinement", "fine_boxes"), ("fine_boxes",)])
def test_files_from_before_something_was_added_answer_as_they_did(
    pyramid: Sam, tmp_path: Path, missing: tuple[str, ...]
):
    before = build_sam(dataclasses.replace(pyramid.config, **dict.fromkeys(missing, False)))
    assert not set(missing) & set(before.config.to_dict())  # what earlier versions can read
    save_sam(before, tmp_path / "before.safetensors", dtype=None)
    image = torch.randn(1, 3, 64, 64)
    points, boxes = torch.tensor([[[20.0, 30.0]]]), torch.tensor([[10.0, 10.0, 40.0, 50.0]])
    prompts = {"points": points, "labels": torch.tensor([[1]]), "boxes": boxes}
    expected, scores = before.decode_all(before.encode(image), **prompts)
    for config in (None, pyramid.config):
        loaded = load_sam(tmp_path / "before.safetensors", config)
        assert loaded.config == before.config
        masks, iou = loaded.decode_all(loaded.encode(image), **prompts)
        assert torch.equal(masks, expected)
        assert torch.equal(iou, scores)
