"""Pictures of predictions: the outline, the mask and the click are where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from napari_segany.engine.progress import drain
from napari_segany.model import SamConfig, build_sam
from napari_segany.training.data import DrawnImage
from napari_segany.training.pictures import PANEL, Answer, draw_panel, picture_steps


def panel_of(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return draw_panel(Answer(np.full(truth.shape, 100, np.uint8), truth, predicted, (24, 24)))


def test_a_panel_shows_outline_mask_and_click() -> None:
    truth, predicted = np.zeros((2, 48, 48), bool)
    truth[16:32, 16:32] = True  # so the panel is the whole image, four times as large
    predicted[0:8, 0:8] = True
    panel = panel_of(predicted, truth).astype(int)
    assert panel.shape == (PANEL, PANEL, 3)
    assert panel[64, 80].tolist() == panel[127, 80].tolist() == [255, 220, 0]  # the outline's first and last row
    assert panel[63, 80].tolist() == [100, 100, 100]
    assert panel[98, 98].tolist() == [220, 0, 0]  # the click at (24, 24)
    blue = panel[31, 31] - panel[33, 33]
    assert blue[2] > 50
    assert blue[0] < 0


def test_panels_beyond_the_image_are_grey() -> None:
    truth = np.zeros((20, 48), bool)
    truth[8:12, 20:24] = True
    panel = draw_panel(Answer(np.full(truth.shape, 10, np.uint8), truth, truth, (10, 22)))
    assert panel[100, 100].tolist() == [128, 128, 128]


def test_a_picture_of_drawn_scenes(tiny_shape: SamConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = [DrawnImage(0, number, 64) for number in range(3)]
    path = tmp_path / "pictures" / "step.png"
    drain(picture_steps(build_sam(tiny_shape), images, 0, path))
    picture = np.asarray(Image.open(path))
    assert picture.shape == (2 * PANEL + 4, 4 * PANEL + 12, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    np.testing.assert_array_equal(images[0].read()[0], DrawnImage(0, 0, 64).read()[0])
