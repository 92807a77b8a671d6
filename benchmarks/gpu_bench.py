"""One run of the benchmark on a GPU as a value: where, how large, until when, and what has been found so far."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from gpu_clock import Ceilings, Clock, Work, counted, floor_ms
from speed import lively

from napari_segany.engine.predictor import Predictor
from napari_segany.model import Sam, SamConfig, ViTConfig, build_sam
from napari_segany.model.config import PRESETS

Row = dict[str, Any]
Task = tuple[str, Callable[[], Row]]
"""A row's name, and what measures it."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes
    ----------
    side : int
        Of the images, in pixels.
    batch : int
        Images at once, where there is more than one.
    matrix : int
        Side of the matrices of the ceilings.
    copied : int
        Bytes of the copy.
    prompts : tuple of int
        How many prompts are answered at once: one, a call of the Predictor, and many.
    shape : SamConfig
        What stands for ViT-B.
    """

    side: int = 1024
    batch: int = 8
    matrix: int = 8192
    copied: int = 4 * 2**30
    prompts: tuple[int, int, int] = (1, 64, 512)
    shape: SamConfig = PRESETS["vit_b"]


SMOKE = Sizes(
    side=64,
    batch=2,
    matrix=64,
    copied=2**20,
    prompts=(1, 4, 8),
    shape=SamConfig(
        image_size=64,
        encoder=ViTConfig(embed_dim=96, depth=4, num_heads=3, window_size=7, global_attn_indexes=(1, 3)),
    ),
)


@dataclass
class Bench:
    """One run: where, how large, until when, and what has been found."""

    clock: Clock
    sizes: Sizes
    deadline: float
    images: Path | None = None
    output: Path | None = None
    found: dict[str, Any] = field(default_factory=lambda: {"machine": {}, "rows": {}, "failed": {}})
    made: dict[str, Sam] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the work is done."""
        return self.clock.device

    @property
    def left(self) -> float:
        """Seconds until the run has to end."""
        return self.deadline - time.monotonic()

    def sam(self, name: str) -> Sam:
        """Return a copy of a model on the device: `light` with its weights, others with random ones."""
        if name not in self.made:
            random = self.sizes.shape if name == "vit_b" else name
            made = Predictor(name, device="cpu").sam if name == "light" else lively(build_sam(random))
            self.made[name] = made.eval().requires_grad_(False)
        return copy.deepcopy(self.made[name]).to(self.device)

    @property
    def ceilings(self) -> Ceilings:
        """What the section of that name found."""
        rows = {row["name"]: row.get("per_second") for row in self.found["rows"].get("ceilings", ())}
        return Ceilings(**{ceiling.name: rows.get(ceiling.name) for ceiling in fields(Ceilings)})

    def keep(self) -> None:
        """Write what there is, whole or not at all."""
        if self.output is not None:
            temporary = self.output.with_name(f"{self.output.name}.part")
            temporary.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
            os.replace(temporary, self.output)


def measured(
    bench: Bench, work: Work, *, kind: str, operations: float, least_bytes: float, count: int = 1, wall: bool = False
) -> Row:
    """Return a row: milliseconds with quartiles, memory, and the distance to the roofline.

    Parameters
    ----------
    bench : Bench
        Measures.
    work : callable
        What is done, on `count` images or prompts.
    kind : str
        Of the ceilings the one that counts: "float32", "tf32" or "bfloat16".
    operations, least_bytes : float
        What has to be computed, and to be moved at least (weights once, what goes in, what comes out).
    count : int
        Images or prompts of a call.
    wall : bool
        Whether every call is waited for.
    """
    ceilings = bench.ceilings
    peak = getattr(ceilings, kind)
    memory = bench.clock.peak(work)
    timing = bench.clock.time(work, wall=wall)
    floor = floor_ms(operations, least_bytes, peak, ceilings.bandwidth)
    return {
        "ms": timing.ms,
        "low": timing.low,
        "high": timing.high,
        "calls": timing.calls,
        "per_second": 1e3 * count / timing.ms,
        "peak_mib": memory,
        "gflop": operations / 1e9,
        "share_of_peak": operations / (timing.ms / 1e3) / peak if peak else None,
        "least_mb": least_bytes / 1e6,
        "floor_ms": floor,
        "distance": timing.ms / floor if floor else None,
    }


def operations_of(work: Work) -> int:
    """Count the operations of a call, without gradients."""
    with torch.no_grad():  # inference mode would leave linear layers whole, which are not counted
        return counted(work)


def size_of(*tensors: torch.Tensor, each: int | None = None) -> int:
    """Return the bytes of tensors, or those that they would take with so many bytes for each element."""
    return sum(tensor.numel() * (each or tensor.element_size()) for tensor in tensors)
