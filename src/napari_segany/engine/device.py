"""Where a model computes: which devices there are, which one is taken, and what an exhausted memory looks like."""

from __future__ import annotations

import torch


class DeviceFallbackWarning(RuntimeWarning):
    """The chosen device ran out of memory and the CPU took over."""


class NotEnoughMemoryError(MemoryError):
    """The model needs more memory than the computer has."""


def available_devices() -> tuple[str, ...]:
    """Return the names of the devices of this computer, fastest first; "cpu" is always the last."""
    names = []
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names += ["cuda"] if count == 1 else ["cuda", *(f"cuda:{index}" for index in range(count))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return (*names, "cpu")


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the first of `available_devices`; "cuda", "cuda:1", "mps" and "cpu" are taken as they are.

    Raises
    ------
    ValueError
        For a device that this computer does not have, or an unknown name.
    """
    available = available_devices()
    name = str(device).lower()
    if name == "auto":
        return torch.device(available[0])
    if name not in available and name.removesuffix(":0") not in available:
        raise ValueError(f"the device {name!r} is not available here; available are auto, {', '.join(available)}")
    return torch.device(name)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of torch or numpy says that memory ran out.

    Only CUDA has its own class for it; MPS and the CPU raise a RuntimeError that is told by its words.
    """
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    words = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
