"""What a training run says while it works, beyond the progress of its parts. Knows nothing of training."""

from __future__ import annotations

from dataclasses import dataclass

from napari_segany.engine.progress import Progress


@dataclass(frozen=True)
class TrainingStep(Progress):
    """Optimiser steps done, of those of the whole run; every other `Progress` counts something in between."""


@dataclass(frozen=True)
class Remark(Progress):
    """A sentence that a user should read, in `note`: what is left out, what will be missing."""


def remark(text: str) -> Remark:
    """Return a remark."""
    return Remark(0, 0, text)
