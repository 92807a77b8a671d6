"""The protocol for instance segmentation: the boxes of a detector as masks, judged by COCO's mask AP.

Kirillov et al. 2023 (arXiv:2304.02643), section 7.4 and appendix D.4: the box is asked, and once more with the most
confident mask. Without a detector the boxes of the objects themselves are asked. Knows what an image's boxes are, not
how COCO judges masks (see `mask_ap`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from napari_segany.engine.batch.box_masks import box_mask_steps
from napari_segany.engine.batch.detection import BatchObject, Detection
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Steps
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.image_loop import ImageScores, Measurable, measured_images
from napari_segany.evaluation.mask_ap import Annotation, Truth
from napari_segany.evaluation.objects import CocoObjectImage
from napari_segany.evaluation.score_file import ScoreFile, ScoreTable
from napari_segany.formats.annotation import xywh_of
from napari_segany.formats.json_fields import integer, numbers, optional_number, read_json_list, reading
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths

Detections = Mapping[str, Sequence[Detection]]
"""A detector's boxes by the image's name: its number in a COCO file, or its file name without suffix."""

_PUBLISHED = (
    "Published of SAM ViT-H, boxes of ViTDet-H (Kirillov et al. 2023, arXiv:2304.02643, table 5), mask AP, and "
    "small, medium, large: {}."
)
_ON_COCO = "COCO 0.465 (0.308, 0.510, 0.617)"
_ON_LVIS = "LVIS v1 0.447 (0.325, 0.576, 0.655)"
_BY_COCO = "AP is COCO's; all masks of an image count."
_BY_LVIS = (
    "AP is by LVIS's rule (Gupta et al. 2019, arXiv:1908.03195): masks of a category that was not looked for in the "
    "image do not count, nor do those that match nothing where not all objects of the category are annotated; the "
    "300 best masks of an image count."
)


@dataclass(frozen=True)
class BoxScore:
    """What was asked about one image; its masks are kept apart.

    Attributes
    ----------
    dataset, image : str
        Where it is.
    content : str
        Digest of its files and boxes.
    boxes : int
        Boxes that have a pixel of the image: so many masks.
    """

    dataset: str
    image: str
    content: str
    boxes: int


_TABLE: ScoreTable[BoxScore] = ScoreTable(BoxScore, {})


class BoxScoreFile(ScoreFile[BoxScore]):
    """The scores of a folder; see `ScoreFile`."""

    def __init__(self, folder: Path, run: Mapping[str, object]) -> None:
        super().__init__(folder, run, _TABLE)


class BoxImage(Measurable, Protocol):
    """An image with its boxes and its true objects, on disk."""

    def read(self) -> tuple[NDArray[Any], Sequence[Detection]]:
        """Return the image and its boxes; ValueError or OSError for what cannot be read."""

    def truth(self) -> Truth:
        """Return its objects as COCO has them; ValueError or OSError for what cannot be read."""


@dataclass(frozen=True)
class LabelBoxes:
    """An image file with a label image, all objects of one category.

    Attributes
    ----------
    sample : Sample
        Where they are.
    detections : sequence of Detection, optional
        A detector's boxes; else those of the objects.
    """

    sample: Sample
    detections: Sequence[Detection] | None = None

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return self.sample.dataset

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.sample.name

    def content_digest(self) -> str:
        """Return a digest of both files and the boxes."""
        return _digest(self.sample.content_digest(), self.detections)

    def read(self) -> tuple[NDArray[Any], Sequence[Detection]]:
        """Return the image and its boxes; errors are those of `Sample.read`."""
        image, labels = self.sample.read()
        if self.detections is not None:
            # A label image has one kind of objects, whatever the detector calls them.
            return image, [replace(one, class_id=1) for one in self.detections]
        places = [place for place in find_objects(labels) if place is not None]
        return image, [
            Detection((rows.start, cols.start, rows.stop, cols.stop), class_id=1, score=None) for rows, cols in places
        ]

    def truth(self) -> Truth:
        """Return its objects; errors are those of `Sample.read_labels`."""
        labels = self.sample.read_labels()
        found = []
        for number in np.unique(labels[labels != 0]):
            record = MaskRecord.from_mask(labels == number)
            found.append(_annotation(record.rle, xywh_of(record.bbox)))
        return Truth((labels.shape[0], labels.shape[1]), tuple(found))


@dataclass(frozen=True)
class CocoBoxes:
    """An image of a COCO file.

    Attributes
    ----------
    image : CocoObjectImage
        The image and its annotations.
    detections : sequence of Detection, optional
        A detector's boxes; else those of the annotations.
    """

    image: CocoObjectImage
    detections: Sequence[Detection] | None = None

    @property
    def dataset(self) -> str:
        """Name of the COCO file."""
        return self.image.dataset

    @property
    def name(self) -> str:
        """The image's number."""
        return self.image.name

    def content_digest(self) -> str:
        """Return a digest of the image, the annotations and the boxes."""
        return _digest(self.image.content_digest(), self.detections)

    def read(self) -> tuple[NDArray[Any], Sequence[Detection]]:
        """Return the image and its boxes; errors are those of `CocoObjectImage.read_image`."""
        image = self.image.read_image()
        if self.detections is not None:
            return image, self.detections
        return image, [_detection(one, score=None) for one in self.image.entry.whole_objects]

    def truth(self) -> Truth:
        """Return its objects and crowds; ValueError for damaged masks, or lists of categories."""
        entry = self.image.entry
        found = []
        for one in entry.annotations:
            mask = entry.mask(one)
            values = {"category_id": one["category_id"], "iscrowd": int(one.get("iscrowd") in (1, True))}
            found.append(_annotation(mask, xywh_of(mask.bbox)) | values | {"area": entry.area(one, mask)})
        return Truth(
            entry.size,
            tuple(found),
            entry.category_numbers("neg_category_ids") if self.is_federated else None,
            entry.category_numbers("not_exhaustive_category_ids"),
        )

    @property
    def is_federated(self) -> bool:
        """Whether the file tells which categories were looked for in the image, as LVIS does."""
        return "neg_category_ids" in self.image.entry.extra


def judged_note(images: Sequence[BoxImage]) -> str:
    """Return by which rule the masks of images are judged, and what was published by the same rule."""
    of_coco = [image for image in images if isinstance(image, CocoBoxes)]
    if any(image.is_federated for image in of_coco):
        return f"{_BY_LVIS} {_PUBLISHED.format(_ON_LVIS)}"
    return f"{_BY_COCO} {_PUBLISHED.format(_ON_COCO if of_coco else f'{_ON_COCO}; {_ON_LVIS}')}"


def box_masks(
    images: Sequence[BoxImage],
    predictor: Predictor,
    keep: Callable[[BoxImage, list[Annotation]], None],
    *,
    known: Mapping[tuple[str, str], BoxScore] | None = None,
    receive: Callable[[BoxScore], None] | None = None,
) -> Steps[ImageScores[BoxScore]]:
    """Make masks of the boxes of images.

    Parameters
    ----------
    images : sequence of BoxImage
        The images.
    predictor : Predictor
        The model.
    keep : callable
        Gets the masks of an image as COCO's results have them, before its score is written down. A box without a
        score takes the predicted IoU of its mask.
    known, receive
        As `measured_images` has them.

    Returns
    -------
    ImageScores
        Images that cannot be read are among its `skipped`.
    """

    def read(image: BoxImage) -> tuple[NDArray[Any], Sequence[Detection]]:
        image.truth()  # what cannot be judged is skipped before the work, and does not stop the table after it
        return image.read()

    def measure(image: BoxImage, content: tuple[NDArray[Any], Sequence[Detection]]) -> Steps[BoxScore]:
        found = yield from box_mask_steps(predictor, *content)
        keep(image, [_result(one) for one in found])
        return BoxScore(image.dataset, image.name, image.content_digest(), len(found))

    return (yield from measured_images(images, read, measure, known=known, receive=receive))


def read_detections(path: Path) -> Detections:
    """Read the boxes of a detector: COCO's results, [{"image_id", "category_id", "bbox", "score"}, ...].

    For a folder of label images, `image_id` is the image's file name without suffix.

    Raises
    ------
    OSError
        Where the file cannot be read.
    ValueError
        For a file of another kind, or a box without its fields.
    """
    found: dict[str, list[Detection]] = {}
    for position, one in enumerate(read_json_list(path, "COCO result")):
        with reading(f"{path.name}, box {position + 1}"):
            name = one.get("image_id")
            if not isinstance(name, int | str):
                raise ValueError(f"'image_id' is {name!r}; give the image's number, or its name without suffix")
            found.setdefault(str(name), []).append(_detection(one, optional_number(one, "score")))
    return found


def _detection(values: Mapping[str, Any], score: float | None) -> Detection:
    x, y, width, height = numbers(values, "bbox", 4)
    return Detection((y, x, y + height, x + width), integer(values, "category_id"), score)


def _annotation(mask: RunLengths, box: list[int]) -> Annotation:
    return {"category_id": 1, "iscrowd": 0, "segmentation": mask.to_dict(), "area": float(mask.area), "bbox": box}


def _result(found: BatchObject) -> Annotation:
    score = found.record.predicted_iou if found.score is None else found.score
    values = {"category_id": found.class_id, "score": 0.0 if score is None else score}
    return values | {"segmentation": found.record.rle.to_dict()}


def _digest(content: str, detections: Sequence[Detection] | None) -> str:
    return xxhash.xxh3_64(f"{content} {detections}".encode()).hexdigest()
