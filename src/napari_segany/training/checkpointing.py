"""The state of a run on disk: whole or not at all, and nothing but tensors and numbers."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_segany.formats.atomic import replacing
from napari_segany.model.sam import Sam

CHECKPOINT_NAME = "last.pt"


def save_checkpoint(
    path: str | os.PathLike[str],
    sam: Sam,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
    best: float,
) -> None:
    """Write everything that a run goes on from.

    Chance needs no room: it follows from the seed and the number of the step.

    Parameters
    ----------
    path : path
        The file, replaced at once.
    sam, average, optimizer : Sam, dict, Optimizer
        The model, the moving average of its state, and AdamW with its moments.
    step : int
        Steps done.
    best : float
        Highest validation IoU so far; negative before the first validation.
    """
    state = {
        "model": sam.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "best": best,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(
    path: str | os.PathLike[str], sam: Sam, average: dict[str, Tensor], optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Put a run back to where `save_checkpoint` left it; return the steps done and the best validation IoU.

    Raises
    ------
    ValueError
        For a file that is damaged, or of another model.
    """
    path = Path(path)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        sam.load_state_dict(state["model"])
        for key, tensor in average.items():
            tensor.copy_(state["average"][key])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"]), float(state["best"])
    except (RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} is not a checkpoint of this run ({reason}); start anew without --resume in another folder"
        ) from error
