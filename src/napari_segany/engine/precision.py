"""In which precision the large products of the image encoder are computed, and whether the shorter one pays here.

bfloat16 halves what is moved and doubles what is multiplied where the processor has instructions for it. Where it has
none the same code runs, several times slower than in float32: so it is measured, not guessed.
"""

from __future__ import annotations

import math
import time
import warnings
from functools import cache

import torch

from napari_segany.engine.precision_names import AUTO, FLOAT32, checked_precision
from napari_segany.model.config import EncoderConfig, PyramidConfig, ViTConfig

WORTHWHILE, WORTHWHILE_IN_PART = 1.2, 2.0
"""How many times as fast as in float32 a product has to be for bfloat16 to be chosen by itself: for encoders that are
nearly all products, and for that of `light`, of which a part stays in float32 (at 3 it is 1.5 times as fast)."""

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
        What it is asked for; "auto" takes bfloat16 from a gain on that depends on the encoder, see `least_gain`.

    Raises
    ------
    ValueError
        For another precision.
    """
    if checked_precision(precision) == FLOAT32 or (precision == AUTO and device.type not in ("cpu", "cuda")):
        return None
    least = WORTHWHILE if encoder is None else least_gain(encoder, device.type)
    if precision == AUTO and math.isinf(least):
        return None
    gain = bfloat16_gain(device.type)
    if precision == AUTO:
        return torch.bfloat16 if gain >= least else None
    if gain < 1:
        warnings.warn(
            f"bfloat16 takes {1 / gain:.1f} times as long as float32 on this {device.type.upper()}; "
            "choose float32 or auto",
            PrecisionWarning,
            stacklevel=3,
        )
    return torch.bfloat16


def least_gain(encoder: EncoderConfig, device_type: str) -> float:
    """Return how much faster bfloat16 has to be for an encoder to gain by it, infinity where it never does.

    On a GPU, TinyViT and the encoder of `light` are bound by the number of their operations, and each conversion is
    one more (docs/performance.md).
    """
    if device_type != "cpu" and not isinstance(encoder, ViTConfig):
        return math.inf
    return WORTHWHILE_IN_PART if isinstance(encoder, PyramidConfig) else WORTHWHILE


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
