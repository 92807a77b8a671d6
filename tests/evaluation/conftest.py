"""A predictor whose answers, and so the protocol's numbers, can be worked out by hand; small data sets on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.prediction import Prediction
from napari_segany.engine.progress import Progress


@dataclass
class ColumnPredictor:
    """Reveals an object column by column.

    It takes the image for a label image. One click gets three masks: the left half of the clicked object (predicted
    IoU 0.9), all of it (0.8), nothing (0.1). With more points the answer is the left half and every column with a
    foreground point. A box is answered with all of its pixels.
    """

    calls: list[dict[str, object]] = field(default_factory=list)

    def encode_steps(self, image: np.ndarray) -> Generator[Progress, None, np.ndarray]:
        yield Progress(0, 1, "Computing")
        return np.asarray(image)

    def predict(self, embedding, *, points=None, labels=None, box=None, mask=None, multimask=None) -> Prediction:
        self.calls.append({"points": points, "labels": labels, "box": box, "mask": mask, "multimask": multimask})
        if box is not None:
            masks = np.stack([self._box(embedding, one) for one in box])[:, None]
            return self._answer(masks, [0.9])
        objects = np.stack([embedding == embedding[tuple(one[0])] for one in points])
        halves = np.stack([self._left_half(one) for one in objects])
        if multimask:
            return self._answer(np.stack([halves, objects, np.zeros_like(objects)], axis=1), [0.9, 0.8, 0.1])
        for half, whole, own, signs in zip(halves, objects, points, labels, strict=True):
            for (_, col), sign in zip(own[1:], signs[1:], strict=True):
                half[:, col] |= whole[:, col] & bool(sign)
        return self._answer(halves[:, None], [0.9])

    @staticmethod
    def _left_half(whole: np.ndarray) -> np.ndarray:
        cols = np.flatnonzero(whole.any(axis=0))
        half = whole.copy()
        half[:, cols[len(cols) // 2] :] = False
        return half

    @staticmethod
    def _box(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        filled = np.zeros(image.shape, bool)
        top, left, bottom, right = (int(np.ceil(side)) if index < 2 else int(side) for index, side in enumerate(box))
        filled[top : bottom + 1, left : right + 1] = True
        return filled

    @staticmethod
    def _answer(masks: np.ndarray, predicted: list[float]) -> Prediction:
        scores = np.tile(np.float32(predicted), (len(masks), 1))
        # The logits tell which object (its area) and which rank they belong to.
        areas = np.count_nonzero(masks, axis=(-2, -1))
        logits = np.broadcast_to(areas[..., None, None], (*areas.shape, 4, 4)).astype(np.float32)
        return Prediction(masks, scores, scores, logits)


@pytest.fixture
def predictor() -> ColumnPredictor:
    return ColumnPredictor()


@pytest.fixture
def two_squares() -> np.ndarray:
    """Two squares of 10 x 10 pixels; the second is cut by the lower edge."""
    labels = np.zeros((30, 40), np.uint16)
    labels[5:15, 5:15] = 1
    labels[20:30, 20:30] = 2
    return labels


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Write label images, each also as its image, into `<tmp>/data/<name>`; returns `<tmp>/data`."""

    def write(name: str, labels: dict[str, np.ndarray], index: list[dict] | None = None) -> Path:
        folder = tmp_path / "data"
        for kind in ("images", "labels"):
            (folder / name / kind).mkdir(parents=True)
            for stem, array in labels.items():
                Image.fromarray(array).save(folder / name / kind / f"{stem}.png")
        if index is not None:
            (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        return folder

    return write
