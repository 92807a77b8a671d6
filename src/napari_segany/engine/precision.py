"""In which precision the large products of the image encoder are computed, and whether the shorter one pays here.

bfloat16 halves what is moved and doubles what is multiplied where the processor has instructions for it. Where it has
none the same code runs, several times slower than in float32: so it is measured, not guessed.
"""

from __future__ import annotations

import time
import warnings
from functools import cache

import torch

from napari_segany.engine.precision_names import AUTO, FLOAT32, checked_precision
from napari_segany.model.config import EncoderConfig, PyramidConfig, ViTConfig

WORTHWHILE = 1.2
"""How many times as fast as float32 bfloat16 has to be to be chosen by itself."""

_ROUNDS = 7

_SMALL, _LARGE = (32, 256, 256), (512, 768, 3072)
"""Products that are measured, as (rows, inner, columns): the large one is of the size of an image encoder's."""

_HOPELESS = 0.5
"""Gain on the small product under which the large one is not tried: without instructions it would take seconds."""


class PrecisionWarning(RuntimeWarning):
    """bfloat16 was asked for where it is slower than float32."""


def products_of(precision: str, device: torch.device, encoder: EncoderConfig | None = None) -> torch.dtype | None:
    """Return the type of the operands of large products, None for that of the weights.

    Parameters
    ----------
    precision : str
        "float32", "bfloat16", or "auto": bfloat16 where it is faster by `WORTHWHILE`.
    device : torch.device
        Where the model is. "auto" is float32 on devices other than the processor and CUDA.
    encoder : ViTConfig, TinyViTConfig or PyramidConfig, optional
        What it is asked for; "auto" is float32 where bfloat16 does not suit the encoder, see `suits_bfloat16`.

    Raises
    ------
    ValueError
        For another precision.
    """
    if checked_precision(precision) == FLOAT32 or (precision == AUTO and device.type not in ("cpu", "cuda")):
        return None
    if precision == AUTO and encoder is not None and not suits_bfloat16(encoder, device.type):
        return None
    gain = bfloat16_gain(device.type)
    if precision == AUTO:
        return torch.bfloat16 if gain >= WORTHWHILE else None
    if gain < 1:
        warnings.warn(
            f"bfloat16 takes {1 / gain:.1f} times as long as float32 on this {device.type.upper()}; "
            "choose float32 or auto",
            PrecisionWarning,
            stacklevel=3,
        )
    return torch.bfloat16


def suits_bfloat16(encoder: EncoderConfig, device_type: str) -> bool:
    """Tell whether an encoder keeps its masks in bfloat16, and is large enough to gain by it (docs/performance.md).

    On a GPU, TinyViT is bound by the number of its operations, and each conversion is one more.
    """
    return keeps_its_masks(encoder) and (device_type == "cpu" or isinstance(encoder, ViTConfig))


def keeps_its_masks(encoder: EncoderConfig) -> bool:
    """Tell whether the masks from an encoder in bfloat16 are those of float32: not from that of `light`."""
    return not isinstance(encoder, PyramidConfig)


@cache
def bfloat16_gain(device_type: str = "cpu") -> float:
    """Return how many times as fast as in float32 a product is in bfloat16, measured once per process (0.1 s)."""
    gain = _gain(device_type, _SMALL)
    return gain if gain < _HOPELESS and device_type == "cpu" else _gain(device_type, _LARGE)


def _gain(device_type: str, sizes: tuple[int, int, int]) -> float:
    rows, inner, columns = sizes
    left, right = torch.randn(rows, inner, device=device_type), torch.randn(inner, columns, device=device_type)
    pairs = {dtype: (left.to(dtype), right.to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in pairs}
    # Time of this thread alone: other programs on the processor would decide the measurement otherwise.
    clock = time.thread_time if device_type == "cpu" else time.perf_counter
    with torch.inference_mode():
        for _ in range(_ROUNDS):  # in turn, so that the load of the machine falls on both
            for dtype, (first, second) in pairs.items():
                start = clock()
                float((first @ second)[0, 0])  # waits for the device
                seconds[dtype].append(clock() - start)
    return min(seconds[torch.float32]) / max(min(seconds[torch.bfloat16]), 1e-9)
