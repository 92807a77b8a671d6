"""The objects of annotated images, as protocols of whole images compare masks with them: of labels, COCO and LVIS.

Objects of a label image do not overlap, those of COCO and LVIS may, and have categories. Knows no models.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.image_loop import Measurable
from napari_segany.evaluation.matching import mask_overlaps, overlaps
from napari_segany.formats.coco_index import CocoIndex, IndexedImage, home_of_images, read_coco_index
from napari_segany.formats.image_file import read_image
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths


class KnownObjects(Protocol):
    """The N objects of an image."""

    @property
    def areas(self) -> NDArray[np.float64]:
        """(N,) in pixels."""

    @property
    def groups(self) -> tuple[str, ...]:
        """(N,) the group of each one's category; "" where there are no categories."""

    def overlaps(self, records: Sequence[MaskRecord]) -> NDArray[np.float64]:
        """Return (M, N) IoU of M masks with them."""


@dataclass(frozen=True, eq=False)
class LabelObjects:
    """The objects of a label image, by ascending number.

    Attributes
    ----------
    labels : numpy.ndarray
        (H, W) integers, 0 background.
    """

    labels: NDArray[np.integer[Any]]

    @property
    def areas(self) -> NDArray[np.float64]:
        """(N,) in pixels."""
        return np.unique(self.labels[self.labels != 0], return_counts=True)[1].astype(np.float64)

    @property
    def groups(self) -> tuple[str, ...]:
        """(N,) nothing for each."""
        return ("",) * len(self.areas)

    def overlaps(self, records: Sequence[MaskRecord]) -> NDArray[np.float64]:
        """Return (M, N) IoU of M masks with them."""
        return overlaps(records, self.labels)


@dataclass(frozen=True, eq=False)
class MaskObjects:
    """Objects that may overlap.

    Attributes
    ----------
    masks : tuple of RunLengths
        N masks of one size.
    areas : numpy.ndarray
        (N,) float64, in pixels, as the file gives them.
    groups : tuple of str
        (N,) the groups of their categories.
    """

    masks: tuple[RunLengths, ...]
    areas: NDArray[np.float64]
    groups: tuple[str, ...]

    def overlaps(self, records: Sequence[MaskRecord]) -> NDArray[np.float64]:
        """Return (M, N) IoU of M masks with them."""
        return mask_overlaps(records, self.masks)


class ObjectImage(Measurable, Protocol):
    """An image with its objects, on disk."""

    def read_objects(self) -> tuple[NDArray[Any], KnownObjects]:
        """Return the image, (H, W) or (H, W, C), and its objects.

        Raises
        ------
        ValueError, OSError
            For what cannot be read, in one sentence.
        """


@dataclass(frozen=True)
class LabelImage:
    """An image file and a label image.

    Attributes
    ----------
    sample : Sample
        Where they are.
    """

    sample: Sample

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return self.sample.dataset

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.sample.name

    def content_digest(self) -> str:
        """Return a digest of both files."""
        return self.sample.content_digest()

    def read_objects(self) -> tuple[NDArray[Any], LabelObjects]:
        """Return the image and its objects; errors are those of `Sample.read`."""
        image, labels = self.sample.read()
        return image, LabelObjects(labels)


@dataclass(frozen=True)
class CocoObjectImage:
    """An image file with its annotations of a COCO or LVIS file.

    Attributes
    ----------
    dataset, name : str
        The COCO file's name, and the image's number in it.
    path : pathlib.Path
        The image.
    entry : IndexedImage
        What the file says of it.
    index : CocoIndex
        The file.
    group_by : str or None
        The value of a category that groups objects.
    """

    dataset: str
    name: str
    path: Path
    entry: IndexedImage = field(repr=False)
    index: CocoIndex = field(repr=False)
    group_by: str | None = None

    def content_digest(self) -> str:
        """Return a digest of the image file and the annotations."""
        hasher = xxhash.xxh3_64(self.path.read_bytes())
        hasher.update(json.dumps(self.entry.annotations, sort_keys=True).encode())
        return hasher.hexdigest()

    def read_image(self) -> NDArray[Any]:
        """Read the image.

        Raises
        ------
        ValueError, OSError
            For an image that cannot be read, or of another size than the file says.
        """
        image = read_image(self.path)
        if image.shape[:2] != self.entry.size:
            raise ValueError(f"the image is {image.shape[:2]} and the COCO file says {self.entry.size}")
        return image

    def read_objects(self) -> tuple[NDArray[Any], MaskObjects]:
        """Return the image and its objects, crowds left out; errors are those of `read_image` and damaged masks."""
        image = self.read_image()
        annotations = self.entry.whole_objects
        masks = tuple(self.entry.mask(one) for one in annotations)
        areas = [self.entry.area(one, mask) for one, mask in zip(annotations, masks, strict=True)]
        by = self.group_by
        groups = tuple("" if by is None else self.index.group_of(one["category_id"], by) for one in annotations)
        return image, MaskObjects(masks, np.array(areas, float), groups)


def coco_images(
    path: Path, images: Path | None = None, group_by: str | None = None
) -> tuple[list[CocoObjectImage], CocoIndex]:
    """List the images of a COCO or LVIS file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    images : pathlib.Path, optional
        The folder that its file names start from; it is looked for around the file.
    group_by : str, optional
        The value of a category that groups objects: "frequency", "supercategory", "name".

    Raises
    ------
    OSError
        Where the file, or the folder, does not exist.
    ValueError
        For a damaged file, or one whose images are not found.
    """
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"{images} is not a folder; give the one that holds the images of the COCO file")
    index = read_coco_index(path)
    home = home_of_images(path, (one.file_name for one in index.images)) if images is None else images
    found = []
    for entry in index.images:
        place = home / entry.file_name
        if not place.is_file() and (home / place.name).is_file():
            place = home / place.name
        found.append(CocoObjectImage(path.stem, str(entry.image_id), place, entry, index, group_by))
    return found, index
