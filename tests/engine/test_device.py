from __future__ import annotations

import pytest
import torch

from napari_segany.engine.device import available_devices, choose_device, is_out_of_memory


def test_the_cpu_is_always_there_and_last():
    assert available_devices()[-1] == "cpu"
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_takes_the_first():
    assert choose_device() == choose_device("auto") == torch.device(available_devices()[0])


@pytest.mark.parametrize("name", available_devices())
def test_every_available_device_can_be_chosen_and_computes(name):
    device = choose_device(torch.device(name))
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.parametrize("name", ["tpu", "", "cuda:99", "xpu", "meta", torch.device("meta")])
def test_other_devices_are_refused_with_what_there_is(name):
    with pytest.raises(ValueError, match=r"available are auto, .*cpu"):
        choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_refused():
    with pytest.raises(ValueError, match="'cuda' is not available"):
        choose_device("cuda")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_recognises_an_exhausted_memory(error):
    assert is_out_of_memory(error)


def test_recognises_what_torch_really_raises_on_the_cpu():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError(1)])
def test_other_errors_are_other_errors(error):
    assert not is_out_of_memory(error)
