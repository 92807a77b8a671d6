"""The state of a run on disk: whole or not at all, and nothing but tensors and numbers."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_segany.formats.atomic import replacing
from napari_segany.model import Sam, SamConfig
from napari_segany.training.rounds import LessonResult
from napari_segany.training.validation import Milestones, ValidationResult

CHECKPOINT_NAME = "last.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a run goes on from; chance needs no room, it follows from the seed and the number of the step.

    Attributes
    ----------
    model, average, optimizer : mapping
        States of the model, of the moving average of it, and of AdamW with its moments.
    step : int
        Steps done.
    milestones : Milestones
        What was measured so far.
    shape : SamConfig or None
        The network; None in files of earlier versions.
    init : str
        What weights the run began with; "" for random ones.
    unwritten : tuple of LessonResult
        Lessons since the last line of the log.
    """

    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    step: int
    milestones: Milestones
    shape: SamConfig | None
    init: str = ""
    unwritten: tuple[LessonResult, ...] = ()

    @classmethod
    def of(
        cls,
        sam: Sam,
        average: Mapping[str, Tensor],
        optimizer: torch.optim.Optimizer,
        step: int,
        milestones: Milestones,
        init: str = "",
        unwritten: tuple[LessonResult, ...] = (),
    ) -> Checkpoint:
        """Return where a run is: what `restore` puts back, and what was measured and noted."""
        states = sam.state_dict(), average, optimizer.state_dict()
        return cls(*states, step, milestones, sam.config, init, unwritten)


def save_checkpoint(path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the file is replaced at once.

    Raises
    ------
    OSError
        Where it cannot be written; the one before stays.
    """
    state = {
        "model": dict(checkpoint.model),
        "average": dict(checkpoint.average),
        "optimizer": dict(checkpoint.optimizer),
        "step": checkpoint.step,
        "milestones": asdict(checkpoint.milestones),
        "init": checkpoint.init,
        "unwritten": [asdict(result) for result in checkpoint.unwritten],
    }
    if checkpoint.shape is not None:
        state["shape"] = json.dumps(checkpoint.shape.to_dict())
    with replacing(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # what torch makes of a full disk
            reason = str(error).strip().splitlines()[0]
            raise OSError(f"the checkpoint {path} cannot be written; is the disk full? ({reason})") from error


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read what `save_checkpoint` wrote, to the CPU.

    Raises
    ------
    ValueError
        For a file that is damaged, or of another kind.
    """
    path = Path(path)
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return Checkpoint(
            state["model"],
            state["average"],
            state["optimizer"],
            int(state["step"]),
            _milestones(state.get("milestones", {})),
            SamConfig.from_dict(json.loads(state["shape"])) if "shape" in state else None,
            str(state.get("init", "")),
            tuple(LessonResult(**{**one, "wins": tuple(one["wins"])}) for one in state.get("unwritten", ())),
        )
    except (RuntimeError, KeyError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise _refused(path, error) from error


def restore(
    path: str | os.PathLike[str],
    checkpoint: Checkpoint,
    sam: Sam,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put a model, its average and its optimiser to where a checkpoint left them, in place.

    Raises
    ------
    ValueError
        For a checkpoint of another model, or of other weights that learn; it names `path`.
    """
    try:
        sam.load_state_dict(checkpoint.model)
        for key, tensor in average.items():
            tensor.copy_(checkpoint.average[key])
        optimizer.load_state_dict(dict(checkpoint.optimizer))
    except (RuntimeError, KeyError, ValueError) as error:
        raise _refused(Path(path), error) from error


def _milestones(values: Mapping[str, Any]) -> Milestones:
    results = {name: ValidationResult(**values[name]) for name in ("before", "best") if values.get(name)}
    return Milestones(results.get("before"), results.get("best"), int(values.get("best_step", 0)))


def _refused(path: Path, error: Exception) -> ValueError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ValueError(
        f"{path} is not a checkpoint of this run ({reason}); start anew without --resume in another folder"
    )
