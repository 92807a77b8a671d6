"""COCO's average precision of masks, by pycocotools itself. Knows no models and no images.

Lin et al. 2014 (doi:10.1007/978-3-319-10602-1_48). The extra `evaluate` brings pycocotools.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_segany.formats.rle import RunLengths

Annotation = dict[str, Any]
"""An annotation or a result as COCO's JSON has it, without its numbers."""

MASKS_OF_AN_IMAGE = 100
"""So many count in COCO; more where an image has more, as of cells."""

NUMBERS = ("AP", "AP 0.5", "AP 0.75", "AP small", "AP medium", "AP large")
"""In the order of COCO's own summary."""


class PycocotoolsMissingError(ImportError):
    """pycocotools is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "mask AP is computed by pycocotools, which is not installed; "
            '`pip install "napari-segany[evaluate]"` brings it'
        )


@dataclass(frozen=True)
class Truth:
    """The objects of an image.

    Attributes
    ----------
    size : tuple of int
        (H, W), in pixels.
    annotations : tuple of dict
        `category_id`, `iscrowd`, `segmentation` in run lengths, `area`, `bbox`.
    """

    size: tuple[int, int]
    annotations: tuple[Annotation, ...]


def check_pycocotools() -> None:
    """Raise PycocotoolsMissingError where it is not installed: to be told before hours of work, not after."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise PycocotoolsMissingError from error


def mask_ap(truths: Mapping[str, Truth], results: Mapping[str, Sequence[Annotation]]) -> dict[str, float]:
    """Return `NUMBERS` of a set of images by name, NaN for a size without objects.

    Parameters
    ----------
    truths : mapping of str to Truth
        The objects of all images that count.
    results : mapping of str to sequence of dict
        The masks of these images: `category_id`, `score`, `segmentation` in run lengths. All of them count, also
        where an image has more than the hundred that COCO looks at.

    Raises
    ------
    PycocotoolsMissingError
        If pycocotools is not installed.
    """
    check_pycocotools()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not any(truth.annotations for truth in truths.values()):
        return dict.fromkeys(NUMBERS, float("nan"))
    numbers = {name: number for number, name in enumerate(truths, 1)}
    answers = [
        {**one, "image_id": numbers[name]} for name, found in results.items() if name in numbers for one in found
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        objects = COCO()
        objects.dataset = _dataset(truths, numbers)
        objects.createIndex()
        # pycocotools refuses to judge nothing: a mask without a pixel finds no object either.
        judge = COCOeval(objects, objects.loadRes(answers or [_nothing(objects.dataset)]), "segm")
        judge.params.maxDets = [max(MASKS_OF_AN_IMAGE, *(len(found) for found in results.values()))]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][..., -1]  # (thresholds, recalls, categories, sizes), -1 where nothing is
    parts = (precision[..., 0], precision[0, ..., 0], precision[5, ..., 0], *(precision[..., n] for n in (1, 2, 3)))
    return {
        name: float(part[part >= 0].mean()) if (part >= 0).any() else float("nan")
        for name, part in zip(NUMBERS, parts, strict=True)
    }


def _dataset(truths: Mapping[str, Truth], numbers: Mapping[str, int]) -> dict[str, list[Annotation]]:
    images = [
        {"id": numbers[name], "height": truth.size[0], "width": truth.size[1]} for name, truth in truths.items()
    ]
    annotations = [{**one, "image_id": numbers[name]} for name, truth in truths.items() for one in truth.annotations]
    categories = sorted({one["category_id"] for one in annotations})
    return {
        "images": images,
        "annotations": [{**one, "id": number} for number, one in enumerate(annotations, 1)],
        "categories": [{"id": number, "name": str(number)} for number in categories],
    }


def _nothing(dataset: Mapping[str, list[Annotation]]) -> Annotation:
    image = dataset["images"][0]
    empty = RunLengths.from_mask(np.zeros((image["height"], image["width"]), bool))
    values = {"image_id": image["id"], "category_id": dataset["categories"][0]["id"], "score": 0.0}
    return values | {"segmentation": empty.to_dict()}
