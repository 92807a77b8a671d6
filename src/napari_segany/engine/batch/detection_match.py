"""Which image of a batch a detector means: by path, by name with or without ending, or by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from napari_segany.engine.batch.detection import Detection
from napari_segany.engine.batch.detection_files import DetectionSet
from napari_segany.engine.batch.sources import BatchImage, FileSource


@dataclass(frozen=True, eq=False)
class Match:
    """The images of a batch with their boxes.

    Attributes
    ----------
    images : tuple of BatchImage
        All of them; one without boxes has none, not masks of everything.
    unused : tuple of str
        What the detector calls images that are not in the batch.
    """

    images: tuple[BatchImage, ...]
    unused: tuple[str, ...]


def matched(images: Sequence[BatchImage], found: DetectionSet, min_score: float = 0.0) -> Match:
    """Give each image its boxes.

    "plate1/a.png", "a.png" and "a" all mean .../plate1/a.png where no other image of the batch is meant by them, and
    139 means 000000000139.jpg, as detectors write COCO's images.

    Parameters
    ----------
    images : sequence of BatchImage
        The batch.
    found : DetectionSet
        The boxes.
    min_score : float
        Boxes of a lower score are left out; those without a score stay.

    Raises
    ------
    ValueError
        Where boxes fit several images, or none of them fits any.
    """
    meant = _meanings(images)
    boxes: dict[int, list[Detection]] = {index: [] for index in range(len(images))}
    unused = []
    for key, detections in found.images.items():
        indices = meant.get(_normal(key), [])
        if len(indices) > 1:
            names = " and ".join(images[index].source.shown for index in indices[:2])
            raise ValueError(
                f"the boxes of {key!r} fit {len(indices)} images, {names}; name images with their folders"
            )
        if not indices:
            unused.append(key)
            continue
        boxes[indices[0]] += [item for item in detections if item.score is None or item.score >= min_score]
    if found.images and len(unused) == len(found.images):
        raise ValueError(
            f"no box belongs to an image of the inputs: the boxes are of {unused[0]!r}, ..., the images are "
            f"{images[0].file_name!r}, ...; COCO results need --classes with a COCO file whose 'images' names them"
        )
    return Match(
        tuple(replace(image, detections=tuple(boxes[index])) for index, image in enumerate(images)), tuple(unused)
    )


def _meanings(images: Sequence[BatchImage]) -> dict[str, list[int]]:
    """Return the numbers of the images that each way of calling them means."""
    meant: dict[str, list[int]] = {}
    for index, image in enumerate(images):
        path = image.source.path if isinstance(image.source, FileSource) else PurePath(image.file_name)
        for name in dict.fromkeys(_names(path)):
            meant.setdefault(name, []).append(index)
    return meant


def _names(path: PurePath) -> Iterator[str]:
    parts = path.as_posix().split("/")
    for count in range(1, len(parts) + 1):
        name = "/".join(parts[-count:])
        yield name
        yield name.removesuffix(path.suffix)
    if path.stem.isdecimal():
        yield str(int(path.stem))


def _normal(key: str) -> str:
    return key.replace("\\", "/").removeprefix("./")
