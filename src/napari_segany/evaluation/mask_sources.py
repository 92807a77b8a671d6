"""The masks of annotated images without the images: of label images, COCO and LVIS files, and SA-1B's JSON files.

What a folder holds is told by its content. Knows no models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_segany.evaluation.data import Sample, find_samples
from napari_segany.formats.coco_index import IndexedImage, read_coco_index
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.sa1b import read_sa1b

Size = tuple[int, int]
_ALLOWED = "give a folder with images/ and labels/, SA-1B's JSON files, a COCO file, or a folder of such folders"
_INDEX = "index.json"
_ANNOTATIONS = "annotations"
_NAMELESS = "coco.json"
"""What exports call a COCO file, whatever is in it."""


class MaskImage(Protocol):
    """An image whose masks can be read."""

    @property
    def dataset(self) -> str:
        """Name of its data set."""

    @property
    def name(self) -> str:
        """Its own name."""

    @property
    def home(self) -> Path:
        """The folder or file that is its data set, resolved: two data sets may have one name."""

    def read_masks(self) -> tuple[Size, tuple[RunLengths, ...]]:
        """Return (H, W) and the masks, none of them empty; ValueError or OSError for what cannot be read."""


@dataclass(frozen=True)
class LabelMasks:
    """A label image."""

    sample: Sample
    home: Path

    @property
    def dataset(self) -> str:
        """Name of its data set."""
        return self.sample.dataset

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.sample.name

    def read_masks(self) -> tuple[Size, tuple[RunLengths, ...]]:
        """Return size and masks; errors are those of `Sample.read_labels`."""
        labels = self.sample.read_labels()
        numbers = np.unique(labels[labels != 0])
        return (labels.shape[0], labels.shape[1]), tuple(RunLengths.from_mask(labels == one) for one in numbers)


@dataclass(frozen=True)
class CocoMasks:
    """An image of a COCO or LVIS file; crowds are left out."""

    dataset: str
    name: str
    home: Path
    entry: IndexedImage = field(repr=False)

    def read_masks(self) -> tuple[Size, tuple[RunLengths, ...]]:
        """Return size and masks; ValueError for damaged ones."""
        masks = (self.entry.mask(one) for one in self.entry.whole_objects)
        return self.entry.size, tuple(mask for mask in masks if mask.area)


@dataclass(frozen=True)
class SA1BMasks:
    """A JSON file of SA-1B."""

    dataset: str
    name: str
    home: Path
    path: Path

    def read_masks(self) -> tuple[Size, tuple[RunLengths, ...]]:
        """Return size and masks; errors are those of `read_sa1b`."""
        image = read_sa1b(self.path)
        return image.size, tuple(record.rle for record in image.records if record.area)


def find_masks(place: Path) -> list[MaskImage]:
    """List annotated images.

    Parameters
    ----------
    place : pathlib.Path
        A COCO or LVIS file; a folder with `images` and `labels`; a folder of SA-1B's JSON files or of COCO files, or
        one that has COCO files in `annotations`; or a folder of such folders.

    Raises
    ------
    FileNotFoundError
        Where `place` does not exist.
    ValueError
        Where nothing annotated is found, or a COCO file is damaged.
    """
    if place.is_file():
        return list(_of_coco(place))
    if not place.is_dir():
        raise FileNotFoundError(f"{place} does not exist; {_ALLOWED}")
    found = list(_in_folder(place))
    if not found:
        raise ValueError(f"{place} holds no masks; {_ALLOWED}")
    return found


def find_all_masks(places: Sequence[Path]) -> list[MaskImage]:
    """List the annotated images of several places, those of a data set once; as `find_masks` otherwise."""
    found: list[MaskImage] = []
    for place in places:
        there = {image.home for image in found}
        found += [image for image in find_masks(place) if image.home not in there]
    return found


def data_set_names(images: Sequence[MaskImage]) -> dict[Path, str]:
    """Return the name of each data set by its home: where several have one, that of the folder they are in before it.

    Where these are equal too, it is the whole path.
    """
    names = {image.home: image.dataset for image in images}
    shared = _shared(names)
    longer = {home: f"{_place_of(home).parent.name}/{name}" for home, name in names.items() if home in shared}
    names |= longer | {home: str(home) for home in _shared(longer)}
    return names


def _shared(names: Mapping[Path, str]) -> set[Path]:
    counts = Counter(names.values())
    return {home for home, name in names.items() if counts[name] > 1}


def _place_of(home: Path) -> Path:
    """Return what a data set is named after: its folder for a file that says nothing."""
    if home.name != _NAMELESS:
        return home
    return home.parent.parent if home.parent.name == _ANNOTATIONS else home.parent


def _in_folder(folder: Path) -> Iterator[MaskImage]:
    if _is_labelled(folder):
        yield from (LabelMasks(sample, folder.resolve()) for sample in find_samples(folder))
        return
    own = list(_json_files(folder))
    if own:
        yield from own
        return
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield from _in_folder(child)


def _is_labelled(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _json_files(folder: Path) -> Iterator[MaskImage]:
    home = folder.resolve()
    for path in sorted([*folder.glob("*.json"), *(folder / _ANNOTATIONS).glob("*.json")]):
        content = path.read_bytes()
        if path.name == _INDEX or b'"annotations"' not in content:
            continue
        if b'"images"' in content:
            yield from _of_coco(path)
        elif b'"image"' in content:
            yield SA1BMasks(home.name, path.stem, home, path)


def _of_coco(path: Path) -> Iterator[MaskImage]:
    home = path.resolve()
    name = _place_of(home).name if path.name == _NAMELESS else path.stem
    for entry in read_coco_index(path).images:
        yield CocoMasks(name, str(entry.image_id), home, entry)
