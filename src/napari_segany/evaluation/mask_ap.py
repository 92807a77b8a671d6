"""COCO's average precision of masks, by pycocotools itself, and LVIS's. Knows no models and no images.

Lin et al. 2014 (doi:10.1007/978-3-319-10602-1_48). In LVIS nobody looked for every category in every image; its rule
for that is of Gupta et al. 2019 (arXiv:1908.03195). The extra `evaluate` brings pycocotools.
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
"""So many of a category count in COCO; more where an image has more, as of cells."""

MASKS_OF_A_FEDERATED_IMAGE = 300
"""So many of all categories together count in LVIS, the best ones."""

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
    absent : frozenset of int, optional
        LVIS: categories that were looked for and are not in the image; of a category that is neither here nor among
        the annotations nothing is known. None where all categories were looked for, as in COCO.
    not_exhaustive : frozenset of int
        LVIS: categories of which not every object is annotated.
    """

    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    absent: frozenset[int] | None = None
    not_exhaustive: frozenset[int] = frozenset()


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
        where an image has more than the hundred that COCO looks at; of an image of LVIS, those that its rule leaves.

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
    judged = {name: _judged(truths[name], found) for name, found in results.items() if name in truths}
    answers = [{**one, "image_id": numbers[name]} for name, found in judged.items() for one in found]
    with contextlib.redirect_stdout(io.StringIO()):  # it reports every step
        objects = COCO()
        objects.dataset = _dataset(truths, numbers)
        objects.createIndex()
        # pycocotools refuses to judge nothing: a mask without a pixel finds no object either.
        judge = COCOeval(objects, objects.loadRes(answers or [_nothing(objects.dataset)]), "segm")
        judge.params.maxDets = [max([MASKS_OF_AN_IMAGE, *(len(found) for found in judged.values())])]
        judge.evaluate()
        _forgive(judge.evalImgs, {numbers[name]: truth.not_exhaustive for name, truth in truths.items()})
        judge.accumulate()
    precision = judge.eval["precision"][..., -1]  # (thresholds, recalls, categories, sizes), -1 where nothing is
    parts = (precision[..., 0], precision[0, ..., 0], precision[5, ..., 0], *(precision[..., n] for n in (1, 2, 3)))
    return {
        name: float(part[part >= 0].mean()) if (part >= 0).any() else float("nan")
        for name, part in zip(NUMBERS, parts, strict=True)
    }


def _judged(truth: Truth, found: Sequence[Annotation]) -> Sequence[Annotation]:
    """Return the masks that count: of LVIS the best ones, without those of categories that nobody looked for."""
    if truth.absent is None:
        return found
    known = truth.absent | {one["category_id"] for one in truth.annotations}
    best = sorted(found, key=lambda one: -one["score"])[:MASKS_OF_A_FEDERATED_IMAGE]
    return [one for one in best if one["category_id"] in known]


def _forgive(judgements: Sequence[dict[str, Any] | None], not_exhaustive: Mapping[int, frozenset[int]]) -> None:
    """Let masks that match nothing not count, where the object may be there without an annotation."""
    for one in judgements:
        if one is not None and one["category_id"] in not_exhaustive[one["image_id"]]:
            one["dtIgnore"] = one["dtIgnore"] | (one["dtMatches"] == 0)


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
