"""One predictor for those who share it, and the hash of its weights, ready before anybody asks."""

from __future__ import annotations

from types import SimpleNamespace

from napari_segany.engine import loaded_model
from napari_segany.model import Sam, SamConfig, build_sam
from napari_segany.model.config import PyramidConfig
from napari_segany.widgets.remembering_loader import RememberingLoader


def test_the_same_predictor_comes_again_until_another_is_asked_for():
    loaded = []

    def load(model: str, device: str) -> SimpleNamespace:
        loaded.append((model, device))
        return SimpleNamespace(name=model)

    loader = RememberingLoader(load)
    assert loader.weights() == ""
    first = loader("light", "cpu")
    assert loader("light", "cpu") is first
    assert loader("vit_b", "cpu").name == "vit_b"
    assert loaded == [("light", "cpu"), ("vit_b", "cpu")]
    assert loader.weights() == ""  # nothing that has weights


def test_weights_are_hashed_while_they_are_loaded(monkeypatch):
    encoder = PyramidConfig(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), fine_channels=(4, 4))
    sam = build_sam(SamConfig(image_size=64, encoder=encoder))
    loader = RememberingLoader(lambda model, device: SimpleNamespace(sam=sam))
    loader("light", "cpu")
    expected = loaded_model.weights_hash(sam)

    def not_now(sam: Sam) -> str:
        raise AssertionError("hashed while somebody waits")

    monkeypatch.setattr(loaded_model, "weights_hash", not_now)
    assert loader.weights() == expected
