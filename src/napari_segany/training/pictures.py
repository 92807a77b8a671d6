"""What the model answers to one click, as a picture to look at during a run. Knows no training.

Each panel shows an object with its surroundings: its true outline (yellow), the highest-ranked mask (blue), the click
(red and white) and the IoU.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from skimage.segmentation import find_boundaries

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.image import checked_image, default_limits, model_input
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.metrics import intersection_over_union
from napari_segany.evaluation.points import bounding_box, center_point
from napari_segany.formats.atomic import replacing
from napari_segany.model import Sam
from napari_segany.training.annotated import AnnotatedImage
from napari_segany.training.validation import embedding_of, some_objects

PANEL = 192
"""Side of a panel, in pixels."""

_COLUMNS = 4
_GAP = 4
_OBJECTS = 2  # of each image
_SURROUNDINGS = 3  # a panel shows so many times the object's extent
_LEAST = 48  # and at least so many pixels of the image
_MASK = np.array((40, 140, 255), np.float32)
_OUTLINE = (255, 220, 0)
_OPACITY = 0.45


@dataclass(frozen=True, eq=False)
class Answer:
    """An object, and what the model took for it after one click.

    Attributes
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, 3), of any type.
    truth, predicted : numpy.ndarray
        (H, W) bool.
    click : tuple of int
        (row, col).
    """

    image: NDArray[np.generic]
    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    click: tuple[int, int]


def picture_steps(
    sam: Sam,
    images: Sequence[AnnotatedImage],
    seed: int,
    path: Path,
    kept: MutableMapping[int, ImageEmbedding] | None = None,
) -> Steps[None]:
    """Ask for a few objects of each image and write their panels as PNG; parameters are those of `validate`."""
    predictor = Predictor(sam, device=str(sam.pixel_mean.device))
    answers: list[Answer] = []
    for number, annotated in enumerate(images):
        yield Progress(number, len(images), "Drawing a picture of predictions")
        pixels, layers = annotated.read()
        image = checked_image(pixels)
        masks = some_objects(layers, _OBJECTS, np.random.default_rng((seed, number)))
        if not len(masks):
            continue
        embedding = embedding_of(predictor, image, number, kept)
        for mask in masks:
            click = center_point(mask)
            predicted = predictor.predict(embedding, points=[click], labels=[1], multimask=True).masks[0]
            answers.append(Answer(image, mask, predicted, click))
    if answers:
        write_picture(answers, path)


def write_picture(answers: Sequence[Answer], path: Path) -> None:
    """Write a panel for every answer, in rows, as PNG."""
    panels = [draw_panel(answer) for answer in answers]
    rows, columns = -(-len(panels) // _COLUMNS), min(_COLUMNS, len(panels))
    pitch = PANEL + _GAP
    canvas = np.full((rows * pitch - _GAP, columns * pitch - _GAP, 3), 255, np.uint8)
    for number, panel in enumerate(panels):
        row, column = number // _COLUMNS * pitch, number % _COLUMNS * pitch
        canvas[row : row + PANEL, column : column + PANEL] = panel
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(canvas).save(temporary, format="PNG")


def draw_panel(answer: Answer) -> NDArray[np.uint8]:
    """Return (PANEL, PANEL, 3) uint8: the object and its surroundings, resized; grey beyond the image."""
    top, left, bottom, right = _surroundings(answer.truth)
    window = np.s_[top:bottom, left:right]
    limits = default_limits(answer.image)
    pixels = model_input(np.ascontiguousarray(answer.image[window]), PANEL, limits).pixels
    shape = (pixels.shape[1], pixels.shape[0])
    truth, predicted = (_resized(mask[window], shape) for mask in (answer.truth, answer.predicted))
    pixels[predicted] = (1 - _OPACITY) * pixels[predicted] + _OPACITY * _MASK
    pixels[find_boundaries(truth, mode="inner")] = _OUTLINE
    panel = np.full((PANEL, PANEL, 3), 128, np.uint8)
    panel[: pixels.shape[0], : pixels.shape[1]] = pixels.round().astype(np.uint8)
    scale = pixels.shape[0] / (bottom - top), pixels.shape[1] / (right - left)
    row, col = answer.click
    click = (row + 0.5 - top) * scale[0], (col + 0.5 - left) * scale[1]
    iou = float(intersection_over_union(answer.predicted, answer.truth))
    return _with_signs(panel, click, f"IoU {iou:.2f}")


def _surroundings(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (row_min, col_min, row_max, col_max), half-open, of a square window, smaller at the image's edge."""
    top, left, bottom, right = bounding_box(mask)
    side = max(_SURROUNDINGS * max(bottom - top + 1, right - left + 1), _LEAST)
    row, col = (top + bottom + 1 - side) // 2, (left + right + 1 - side) // 2
    height, width = mask.shape
    return max(row, 0), max(col, 0), min(row + side, height), min(col + side, width)


def _resized(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(shape, Image.Resampling.NEAREST)).astype(bool)


def _with_signs(panel: NDArray[np.uint8], click: tuple[float, float], text: str) -> NDArray[np.uint8]:
    picture = Image.fromarray(panel)
    draw = ImageDraw.Draw(picture)
    row, col = click
    draw.ellipse((col - 4, row - 4, col + 4, row + 4), fill=(220, 0, 0), outline=(255, 255, 255))
    draw.text((4, PANEL - 14), text, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0))
    return np.asarray(picture)
