"""What is measured during a run: which objects, what is the best, and that kept embeddings change nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import SamConfig, build_sam
from napari_segany.training.annotated import Layers
from napari_segany.training.data import DrawnImage
from napari_segany.training.validation import Milestones, ValidationResult, some_objects, validate


def result(click: float) -> ValidationResult:
    return ValidationResult(click, 0.9, 0.8, 0.1)


def test_objects_of_all_layers_are_asked_for() -> None:
    cells, nuclei = np.zeros((2, 20, 20), np.int32)
    cells[2:12, 2:12], nuclei[4:8, 4:8], nuclei[15, 15] = 1, 1, 2  # the last one has a single pixel
    rng = np.random.default_rng(0)
    assert sorted(some_objects((cells, nuclei), 9, rng).sum(axis=(1, 2))) == [16, 100]
    assert len(some_objects((cells, nuclei), 1, rng)) == 1
    assert some_objects((np.zeros((4, 5), int),), 3, rng).shape == (0, 4, 5)


def test_the_best_is_the_first_of_the_highest() -> None:
    milestones = Milestones()
    for step, click in ((0, 0.3), (5, math.nan), (10, 0.5), (20, 0.4), (30, 0.5)):
        milestones = milestones.after(step, result(click))
    assert milestones == Milestones(result(0.3), result(0.5), 10)
    assert Milestones().after(5, result(math.nan)) == Milestones()


@pytest.mark.parametrize("fixture", ["tiny_shape", "pyramid_shape"])
def test_kept_embeddings_measure_the_same(
    fixture: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    shape: SamConfig = request.getfixturevalue(fixture)
    torch.manual_seed(0)
    sam = build_sam(shape)
    images = [DrawnImage(1, number, 64) for number in range(2)]
    kept: dict[int, ImageEmbedding] = {}
    drain(validate(sam, images, 3, 0, kept))
    assert sorted(kept) == [0, 1]
    with torch.no_grad():  # the decoder learns, the encoder does not
        for parameter in sam.mask_decoder.parameters():
            parameter.mul_(1.3)
    anew = drain(validate(sam, images, 3, 0))
    monkeypatch.setattr(Predictor, "encode", None)
    assert drain(validate(sam, images, 3, 0, kept)) == anew
    assert all(0 <= value <= 1 for value in astuple(anew)[:3])


def test_nothing_to_measure_is_no_number(tiny_shape: SamConfig, tmp_path: Path) -> None:
    assert math.isnan(drain(validate(build_sam(tiny_shape), [], 3, 0)).click)


@dataclass(frozen=True)
class CutCell:
    """An image at whose edge one column of a cell is seen."""

    dataset: str = "cells"
    name: str = "cut"
    metadata: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> tuple[np.ndarray, Layers]:
        labels = np.zeros((40, 40), np.int32)
        labels[10:30, 0] = 1
        return np.full((40, 40), 90, np.uint8), (labels,)


def test_a_cell_of_which_one_column_is_seen_is_measured(tiny_shape: SamConfig) -> None:
    assert 0 <= drain(validate(build_sam(tiny_shape), [CutCell()], 3, 0)).box <= 1
