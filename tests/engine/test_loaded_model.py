from __future__ import annotations

import pytest
import torch

from napari_segany.engine import loaded_model as module
from napari_segany.engine.device import DeviceFallbackWarning
from napari_segany.engine.predictor import Predictor
from napari_segany.model import build_sam, save_sam


def test_a_checkpoint_is_named_after_its_file_and_weights(predictor, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_sam(predictor.sam, path, dtype=None)
    loaded = Predictor(path, device="cpu")
    again = Predictor(str(path), device="cpu")
    assert loaded.name == again.name
    assert loaded.name.startswith("mine-")
    assert loaded.name.removeprefix("mine-") == predictor.name.removeprefix("model-")


def test_unknown_names_and_missing_files(tmp_path):
    with pytest.raises(ValueError, match="light"):
        Predictor("no_such_model")
    with pytest.raises(ValueError, match=r"missing\.pth"):
        Predictor(tmp_path / "missing.pth")
    with pytest.raises(ValueError, match=r"missing\.pth"):
        Predictor(str(tmp_path / "missing.pth"))


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="vit_b"):
        Predictor("vit_b", weights_folder=tmp_path)


def test_the_copy_on_the_cpu_is_a_model_of_its_own(predictor):
    with torch.inference_mode():
        copied = module.copy_on_cpu(predictor.sam)
    assert copied.state_dict().keys() == predictor.sam.state_dict().keys()
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in copied.parameters())
    assert not set(map(id, copied.modules())) & set(map(id, predictor.sam.modules()))


def test_a_model_that_does_not_fit_stays_on_the_cpu(predictor):
    class Tight(type(predictor.sam)):
        def to(self, device):
            if device != "cpu":
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return super().to(device)

    with pytest.warns(DeviceFallbackWarning, match="does not fit"):
        sam = module.placed(Tight(predictor.sam.config), torch.device("cuda"))
    assert sam.pixel_mean.device.type == "cpu"


def test_the_checksum_tells_weights_apart(predictor):
    config = predictor.sam.config
    one, other = build_sam(config), build_sam(config)
    assert module.weights_checksum(one) != module.weights_checksum(other)
    other.load_state_dict(one.state_dict())
    assert module.weights_checksum(one) == module.weights_checksum(other)
    with torch.no_grad():
        other.mask_decoder.iou_token.weight[0, 0] += 1e-3
    assert module.weights_checksum(one) != module.weights_checksum(other)
