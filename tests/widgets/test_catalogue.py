from __future__ import annotations

import pytest

from napari_segany.engine.progress import drain
from napari_segany.widgets.batch_work import named_model
from napari_segany.widgets.catalogue import ModelChoice, catalogue_steps, predictor_loader


def test_light_comes_first_and_is_here_without_a_network(tmp_path, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    catalogue = drain(catalogue_steps(tmp_path))
    names = [choice.name for choice in catalogue.models]
    assert names[:5] == ["light", "vit_t", "vit_b", "vit_l", "vit_h"]
    assert "vit_b_lm" in names
    assert catalogue.models[0].present
    assert not any(choice.present for choice in catalogue.models[1:])
    assert catalogue.devices[0] == "auto"
    assert "cpu" in catalogue.devices


def test_a_model_that_is_not_here_says_so_when_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match="vit_b"):
        predictor_loader(tmp_path)("vit_b", "cpu")


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
def test_the_precision_of_the_preferences_reaches_the_models(monkeypatch):
    for gain, chosen in ((1.5, "float32"), (8.0, "bfloat16")):
        monkeypatch.setattr("napari_segany.engine.precision.bfloat16_gain", lambda device, gain=gain: gain)
        assert predictor_loader(None)("light", "cpu").precision == chosen
    assert predictor_loader(None, None, "bfloat16")("light", "cpu").precision == "bfloat16"
    assert named_model(None, "bfloat16")("light", "cpu").precision == "bfloat16"
    assert named_model(None)("light", "cpu").precision == "auto"


def test_texts_for_the_list():
    assert ModelChoice("light", present=True).text == "light"
    assert ModelChoice("vit_b", present=False, size_bytes=375_042_383).text == "vit_b  –  download (375 MB)"
    assert ModelChoice("vit_x", present=False).text == "vit_x  –  download"
