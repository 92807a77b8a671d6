from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segany.engine import precision as module
from napari_segany.engine.batch.model_source import LoadedModel, NamedModel
from napari_segany.engine.batch.sources import file_digest_steps
from napari_segany.engine.precision import PrecisionWarning, bfloat16_gain, products_of
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import SamConfig, TinyViTConfig, ViTConfig, build_sam, save_sam
from napari_segany.model.config import EncoderConfig, PyramidConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    encoder = TinyViTConfig(
        embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_heads=(1, 2, 3, 4), window_sizes=(4, 4, 4, 4)
    )
    return build_sam(SamConfig(image_size=64, encoder=encoder, decoder_mlp_dim=64))


@pytest.mark.parametrize(("gain", "chosen"), [(0.3, None), (1.1, None), (1.5, torch.bfloat16)])
def test_auto_takes_what_is_faster(gain: float, chosen: torch.dtype | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: gain)
    assert products_of("auto", CPU) is chosen
    assert products_of("auto", torch.device("mps")) is None
    assert products_of("float32", CPU) is None


@pytest.mark.parametrize(("gain", "chosen"), [(1.3, None), (1.9, None), (2.1, torch.bfloat16)])
def test_light_of_which_a_part_stays_in_float32_has_to_gain_more(
    gain: float, chosen: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: gain)
    assert products_of("auto", CPU, PyramidConfig()) is chosen
    assert products_of("auto", CPU, TinyViTConfig()) is torch.bfloat16


@pytest.mark.parametrize(
    ("encoder", "on_cpu", "on_cuda"),
    [
        (ViTConfig(), torch.bfloat16, torch.bfloat16),
        (TinyViTConfig(), torch.bfloat16, None),
        (PyramidConfig(), torch.bfloat16, None),
    ],
)
def test_auto_spares_encoders_that_it_does_not_suit(
    encoder: EncoderConfig,
    on_cpu: torch.dtype | None,
    on_cuda: torch.dtype | None,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: 8.0)
    assert products_of("auto", CPU, encoder) is on_cpu
    assert products_of("auto", torch.device("cuda"), encoder) is on_cuda
    assert products_of("bfloat16", CPU, encoder) is torch.bfloat16


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
def test_light_keeps_its_masks():
    """A disc on noise, dim enough for a pixel of three digits to lose: the best mask is that of float32."""
    rows, cols = np.indices((96, 96))
    disc = np.hypot(rows - 40, cols - 50) < 20
    image = 1000 + 8 * disc + np.random.default_rng(0).normal(0, 1, disc.shape)
    exact, rounded = (Predictor("light", device="cpu", precision=name) for name in ("float32", "bfloat16"))
    limits = {"contrast_limits": (990, 1030)}
    expected, found = (asked.predict(asked.encode(image, **limits), points=[(40, 50)]) for asked in (exact, rounded))
    iou = [(a & b).sum() / (a | b).sum() for a, b in zip(expected.masks, found.masks, strict=True)]
    assert min(iou) > 0.99
    assert not np.array_equal(expected.logits, found.logits)  # it did round


def test_a_slow_choice_is_taken_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: 0.25)
    with pytest.warns(PrecisionWarning, match=r"takes 4\.0 times as long as float32 on this CPU"):
        assert products_of("bfloat16", CPU) is torch.bfloat16


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="the precision is 'half'; known are float32, bfloat16, auto"):
        products_of("half", CPU)


def test_the_gain_is_a_ratio_of_times_and_measured_once():
    assert 0 < bfloat16_gain("cpu") < 100
    assert bfloat16_gain("cpu") == bfloat16_gain("cpu")


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
def test_a_predictor_rounds_as_it_is_told_and_its_embeddings_are_kept_apart(sam):
    image = np.random.default_rng(0).integers(0, 255, (40, 64), np.uint8)
    exact, rounded = Predictor(sam, device="cpu"), Predictor(sam, device="cpu", precision="bfloat16")
    expected, found = exact.encode(image).features, rounded.encode(image).features
    assert found.dtype == torch.float32
    difference = (found - expected).abs().max() / expected.abs().max()
    assert 1e-5 < difference < 0.1
    assert drain(exact.digest_steps()) != drain(rounded.digest_steps())
    assert (exact.encode(image).precision, rounded.encode(image).precision) == ("float32", "bfloat16")
    assert not torch.is_autocast_enabled("cpu")


@pytest.fixture
def weights(sam, tmp_path):
    save_sam(sam, tmp_path / "small.safetensors", dtype=None)
    return tmp_path / "small.safetensors"


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
def test_a_batch_tells_precisions_apart_and_its_keys_of_float32_are_those_of_the_file(weights):
    models = {name: NamedModel(weights, "cpu", precision=name) for name in ("float32", "bfloat16")}
    keys = {name: drain(model.digest_steps()) for name, model in models.items()}
    assert keys["float32"] == drain(NamedModel(weights, "cpu").digest_steps()) == drain(file_digest_steps(weights))
    assert keys["bfloat16"] != keys["float32"]
    loaded = [LoadedModel(model.load()) for model in models.values()]
    assert [model.predictor.precision for model in loaded] == list(keys)
    exact, rounded = (drain(model.digest_steps()) for model in loaded)
    assert exact == drain(loaded[0].predictor.digest_steps()) != rounded
    with pytest.raises(ValueError, match="the precision is 'half'"):
        drain(NamedModel(weights, precision="half").digest_steps())


@pytest.mark.parametrize(("gain", "chosen"), [(0.3, "float32"), (8.0, "bfloat16")])
def test_auto_of_a_batch_is_decided_before_it_is_loaded_or_sent_away(weights, gain, chosen, monkeypatch):
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: gain)
    auto = NamedModel(weights, "cpu", precision="auto")
    assert drain(auto.digest_steps()) == drain(NamedModel(weights, "cpu", precision=chosen).digest_steps())
    assert auto.load().precision == chosen
    sent = auto.portable()
    assert sent.precision == chosen
    monkeypatch.setattr(module, "bfloat16_gain", lambda _: 1.0)  # the computer that it is sent to
    assert sent.load().precision == chosen
