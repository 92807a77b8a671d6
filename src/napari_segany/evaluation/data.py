"""Annotated images on disk, as a list of samples: where they are, what is known about them, how they are read.

Knows nothing of models or protocols.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import xxhash
from numpy.typing import NDArray

from napari_segany.formats.image_file import read_image

IMAGE_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp"})
LABEL_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class Sample:
    """One annotated image.

    Attributes
    ----------
    dataset : str
        Name of the data set: the folder above `images` and `labels`.
    name : str
        File name without suffix.
    image_path, label_path : pathlib.Path
        The image and its label image.
    metadata : mapping of str to str
        What `index.json` says about the image (and about its data set), as text.
    """

    dataset: str
    name: str
    image_path: Path
    label_path: Path
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    def read_image(self) -> NDArray[Any]:
        """Read the image: (H, W), (H, W, 3) or (H, W, 4), any numeric dtype.

        Raises
        ------
        ValueError
            If the file is damaged or not a single plane.
        """
        return read_image(self.image_path)

    def read_labels(self) -> NDArray[np.integer[Any]]:
        """Read the label image: (H, W) integers, 0 background.

        Raises
        ------
        ValueError
            If the file is damaged, not an image of one channel of integers, or holds negative numbers.
        """
        labels = read_image(self.label_path)
        if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"{self.label_path.name} has shape {labels.shape} and dtype {labels.dtype}; "
                "a label image is (H, W) integers with 0 for background"
            )
        if labels.size and labels.min() < 0:
            raise ValueError(
                f"{self.label_path.name} holds the number {labels.min()}; objects are numbered from 1 and 0 is "
                "background: give a 0 to pixels that belong to none, or are to be ignored"
            )
        return cast(NDArray[np.integer[Any]], labels)

    def read(self) -> tuple[NDArray[Any], NDArray[np.integer[Any]]]:
        """Read image and labels.

        Raises
        ------
        ValueError
            Also if they differ in size.
        """
        image, labels = self.read_image(), self.read_labels()
        if image.shape[:2] != labels.shape:
            raise ValueError(
                f"{self.dataset}/{self.name}: the image is {image.shape[:2]} and its labels are {labels.shape}; "
                "they must have the same height and width"
            )
        return image, labels

    def content_digest(self) -> str:
        """Return a digest of the image and its labels: files that were changed are measured anew.

        Raises
        ------
        OSError
            Where a file cannot be read.
        """
        hasher = xxhash.xxh3_64()
        for path in (self.image_path, self.label_path):
            hasher.update(path.read_bytes())
        return hasher.hexdigest()


def find_samples(
    folder: Path,
    datasets: Sequence[str] | None = None,
    images_per_dataset: int | None = None,
) -> list[Sample]:
    """List the annotated images of a folder, by data set, then by file name.

    Parameters
    ----------
    folder : pathlib.Path
        A folder with `images` and `labels`, whose files pair up by name without suffix, or a folder of such folders.
        An `index.json` in it (a list of data sets with their `items`) adds metadata.
    datasets : sequence of str, optional
        Take these data sets only.
    images_per_dataset : int, optional
        Take the first so many images of each.

    Raises
    ------
    FileNotFoundError
        If `folder` does not exist.
    ValueError
        If nothing pairs up, or a data set that was asked for is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    if images_per_dataset is not None and images_per_dataset < 1:
        raise ValueError(f"images_per_dataset is {images_per_dataset}; it must be 1 or more")
    homes = {home.name: home for home in _dataset_folders(folder)}
    if not homes:
        raise ValueError(f"{folder} has no images/ and labels/, nor has any folder in it: nothing to evaluate")
    unknown = sorted(set(datasets or ()) - set(homes))
    if unknown:
        raise ValueError(f"no data set {', '.join(unknown)} in {folder}; there are {', '.join(sorted(homes))}")
    metadata = _read_index(folder / "index.json")
    samples: list[Sample] = []
    for name in sorted(datasets or homes):
        pairs = list(_pairs(homes[name], metadata.get(name, {})))
        if not pairs:
            raise ValueError(f"{homes[name]}: no file of images/ has a label image of the same name in labels/")
        samples += pairs[:images_per_dataset]
    return samples


def _dataset_folders(folder: Path) -> Iterator[Path]:
    if _has_pairs(folder):
        yield folder.resolve()
        return
    yield from (child for child in sorted(folder.iterdir()) if child.is_dir() and _has_pairs(child))


def _has_pairs(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _pairs(home: Path, metadata: Mapping[str, Mapping[str, str]]) -> Iterator[Sample]:
    labels = {path.stem: path for path in (home / "labels").iterdir() if path.suffix.lower() in LABEL_SUFFIXES}
    for image in sorted((home / "images").iterdir()):
        if image.suffix.lower() in IMAGE_SUFFIXES and image.stem in labels:
            yield Sample(home.name, image.stem, image, labels[image.stem], metadata.get(image.stem, {}))


def _read_index(path: Path) -> dict[str, dict[str, Mapping[str, str]]]:
    """Return metadata by data set and image; what the index says of a data set holds for all of its images."""
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {
            entry["dataset"]: {item["stem"]: {**_plain(entry), **_plain(item)} for item in entry["items"]}
            for entry in entries
        }
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not an index: a list of {{"dataset": NAME, "items": [{{"stem": NAME, ...}}, ...]}} is needed'
        ) from error


def _plain(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items() if isinstance(value, str | int | float)}
