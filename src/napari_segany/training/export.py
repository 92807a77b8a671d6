"""From a run to weights that `Predictor` loads: the averaged state, in half precision, with where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from napari_segany.model import Sam, build_sam, save_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.lora import merged_state
from napari_segany.training.validation import ValidationResult

WEIGHTS_NAME = "weights.safetensors"
BEST_NAME = "best.safetensors"


def averaged_sam(sam: Sam, average: Mapping[str, Tensor], config: TrainingConfig) -> Sam:
    """Return a plain model with the averaged weights, adapters merged, on the device of the one in training."""
    averaged = build_sam(sam.config)
    averaged.load_state_dict(merged_state(average, config.lora_alpha))
    return averaged.to(sam.pixel_mean.device)


def export(
    averaged: Sam,
    path: Path,
    config: TrainingConfig,
    *,
    step: int,
    validation: ValidationResult | None = None,
    provenance: str = "",
) -> None:
    """Write weights as safetensors in float16.

    Parameters
    ----------
    averaged : Sam
        What `averaged_sam` returned.
    path : pathlib.Path
        The file, replaced at once.
    config : TrainingConfig
        Stored with the weights.
    step : int
        Stored too: steps done.
    validation : ValidationResult, optional
        Stored too: what was measured then.
    provenance : str
        Stored too: data, licences, attribution.
    """
    metadata = {"segany.training": json.dumps(config.to_dict()), "segany.step": str(step)}
    if validation is not None:
        metadata["segany.validation"] = json.dumps(asdict(validation))
    if provenance:
        metadata["segany.data"] = provenance
    save_sam(averaged, path, dtype=torch.float16, metadata=metadata)
