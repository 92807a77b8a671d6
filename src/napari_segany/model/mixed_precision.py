"""Steps of an encoder with large products in a shorter type."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor, nn

Steps = Generator[tuple[int, int], None, tuple[Tensor, tuple[Tensor, ...]]]


def in_precision(steps: Steps, x: Tensor, products: torch.dtype) -> Steps:
    """Run the steps of an encoder with the operands of matrix products and convolutions in another type.

    Normalisations, sums of exponents and what comes out keep that of the input `x`. The weights stay as they are:
    those of a block are converted while it runs.
    """
    with closing(steps):
        while True:
            # Only while a step runs: the thread that drives the generator keeps its own mode in between.
            with torch.autocast(x.device.type, products):
                try:
                    progress = next(steps)
                except StopIteration as end:
                    embedding, scales = end.value
                    return embedding.to(x.dtype), tuple(scale.to(x.dtype) for scale in scales)
            yield progress


def unrounded(module: nn.Module, x: Tensor) -> Tensor:
    """Return what a module makes of `x` in the type of its weights, whatever the type of products around it."""
    with torch.autocast(x.device.type, enabled=False):
        out: Tensor = module(x.to(next(module.parameters()).dtype))
        return out
