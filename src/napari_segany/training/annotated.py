"""Annotated images as training reads them: one image, its objects in layers. Knows no model.

Objects of one layer do not overlap; those of several may, as a cell and its nucleus do. A label image is one layer;
COCO's and SA-1B's masks are spread over as many as it takes to keep every pixel of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segany.evaluation.data import Sample
from napari_segany.formats.image_file import read_image
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.sa1b import read_sa1b

_LARGEST_NUMBER = 1 << 20

Layers = tuple[NDArray[np.integer[Any]], ...]
"""Label images (H, W), 0 background; at least one."""


class Named(Protocol):
    """What is known of an image without reading it."""

    @property
    def dataset(self) -> str:
        """Name of its data set."""

    @property
    def name(self) -> str:
        """Its own name within the data set."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What else is known, as text; `group` names images that belong together."""


class AnnotatedImage(Named, Protocol):
    """An image with its objects, on disk."""

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Return the image, (H, W) or (H, W, 3) or (H, W, 4) of any type, and the layers of its objects.

        Raises
        ------
        ValueError, OSError
            For what cannot be read, in one sentence.
        """


@dataclass(frozen=True)
class LabelledImage:
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

    @property
    def metadata(self) -> Mapping[str, str]:
        """What `index.json` says."""
        return self.sample.metadata

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Return the image and its label image as the only layer; errors are those of `Sample.read`."""
        image, labels = self.sample.read()
        return image, (_small_numbers(labels),)


@dataclass(frozen=True)
class CocoPicture:
    """An image file with the masks that a COCO file has for it.

    Attributes
    ----------
    dataset, name : str
        The COCO file's name, and the image's.
    image_path : pathlib.Path
        The image.
    size : tuple of int
        (H, W) as the COCO file says.
    masks : tuple of RunLengths
        Its objects.
    metadata : mapping of str to str
        Nothing.
    """

    dataset: str
    name: str
    image_path: Path
    size: tuple[int, int]
    masks: tuple[RunLengths, ...] = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Return the image and the layers of its masks.

        Raises
        ------
        OSError
            Where there is no such image.
        ValueError
            Where the image is damaged or of another size than the file says.
        """
        return _of_size(read_image(self.image_path), self.size, "the COCO file"), layers_of(self.masks, self.size)


@dataclass(frozen=True)
class SA1BPicture:
    """An image file with its masks in a JSON file beside it.

    Attributes
    ----------
    dataset, name : str
        The folder's name, and the file's without suffix.
    image_path, annotation_path : pathlib.Path
        The image, and the JSON file.
    metadata : mapping of str to str
        Nothing.
    """

    dataset: str
    name: str
    image_path: Path
    annotation_path: Path
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Return the image and the layers of its masks.

        Raises
        ------
        OSError
            Where a file cannot be read.
        ValueError
            Where one is damaged, or they disagree on the size.
        """
        annotation = read_sa1b(self.annotation_path)
        image = _of_size(read_image(self.image_path), annotation.size, self.annotation_path.name)
        return image, layers_of([record.rle for record in annotation.records], annotation.size)


@dataclass(frozen=True)
class MissingLabels:
    """An image without a label image, which training names among those that it leaves out.

    Attributes
    ----------
    dataset, name : str
        The data set, and the file's name without suffix.
    metadata : mapping of str to str
        Nothing.
    """

    dataset: str
    name: str
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Raise a ValueError."""
        raise ValueError(f"labels/ has no label image called {self.name}")


@dataclass(frozen=True)
class UnreadableSet:
    """A data set that cannot be opened, which training names among what it leaves out.

    Attributes
    ----------
    dataset, name : str
        The folder it is in, and its own name.
    reason : str
        Why, in one sentence.
    metadata : mapping of str to str
        Nothing.
    """

    dataset: str
    name: str
    reason: str
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)

    def read(self) -> tuple[NDArray[Any], Layers]:
        """Raise a ValueError."""
        raise ValueError(self.reason)


def _small_numbers(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    """Return labels of which tables by number can be made: huge numbers are replaced by 1 to n."""
    if labels.size and labels.max() <= _LARGEST_NUMBER:
        return labels
    numbers, places = np.unique(labels, return_inverse=True)
    first = 0 if numbers.size and numbers[0] == 0 else 1
    return (places.reshape(labels.shape) + first).astype(np.int32)


def layers_of(masks: Sequence[RunLengths], size: tuple[int, int]) -> Layers:
    """Spread masks over label images so that no pixel of any is lost.

    Parameters
    ----------
    masks : sequence of RunLengths
        Each of that size; empty ones are left out.
    size : (int, int)
        (H, W), in pixels.

    Returns
    -------
    tuple of numpy.ndarray
        (H, W) int32 each. The largest objects come first, each in the first layer where it covers nothing; an object
        has the same number nowhere else.
    """
    layers: list[NDArray[np.int32]] = [np.zeros(size, np.int32)]
    for number, mask in enumerate(sorted((mask for mask in masks if mask.area), key=lambda mask: -mask.area), 1):
        box = mask.bbox
        inside = mask.window(box)
        window = np.s_[box[0] : box[2], box[1] : box[3]]
        layer = next((layer for layer in layers if not layer[window][inside].any()), None)
        if layer is None:
            layer = np.zeros(size, np.int32)
            layers.append(layer)
        layer[window][inside] = number
    return tuple(layers)


def _of_size(image: NDArray[Any], size: tuple[int, int], source: str) -> NDArray[Any]:
    if image.shape[:2] != size:
        raise ValueError(f"the image is {image.shape[:2]} and {source} says {size}; they must be of the same size")
    return image
