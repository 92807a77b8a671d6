"""From a run to weights that `Predictor` loads: the averaged state, in half precision, with where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from napari_segany.model import build_sam, save_sam
from napari_segany.model.sam import Sam
from napari_segany.training.config import TrainingConfig

WEIGHTS_NAME = "weights.safetensors"


def export(sam: Sam, average: Mapping[str, Tensor], path: Path, config: TrainingConfig, provenance: str = "") -> None:
    """Write the averaged weights as safetensors in float16.

    Parameters
    ----------
    sam : Sam
        The model, for its shape.
    average : mapping of str to Tensor
        Its averaged state.
    path : pathlib.Path
        The file, replaced at once.
    config : TrainingConfig
        Stored with the weights.
    provenance : str
        Stored too: data, licences, attribution.
    """
    averaged = build_sam(sam.config)
    averaged.load_state_dict(dict(average))
    metadata = {"segany.training": json.dumps(config.to_dict())}
    if provenance:
        metadata["segany.data"] = provenance
    save_sam(averaged, path, dtype=torch.float16, metadata=metadata)
