"""What a batch is made of: image files and arrays, as values that can be sent to another process and read there."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_segany.engine.batch.detection import Detection
from napari_segany.engine.digests import new_hasher
from napari_segany.engine.image import checked_image, checked_limits, default_limits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.image_file import read_array
from napari_segany.formats.lazy_files import is_zarr, open_lazy
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size

if TYPE_CHECKING:
    from napari_segany.formats.geo_pyramid import RasterView

ONLY_PLANE = "image"
"""The name of the plane of an image that is no stack."""

Limits = tuple[float, float]

_READ_BY_US = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy")
_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CHUNK_BYTES = 8 << 20
_NOT_READ = (  # what tifffile and scikit-image's readers raised for files that they do not know
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class ImageContent:
    """The pixels of one image or stack.

    Attributes
    ----------
    pixels : numpy.ndarray
        (..., H, W), or (..., H, W, 3) where the last axis holds 3 or 4 values; the axes before count the planes.
    pixel_size : PixelSize or None
        How large a pixel is, where it is known.
    contrast_limits : tuple of float or None
        Intensities that become black and white; None for the default, taken from all planes together.
    view : RasterView or None
        What is shown of which raster, for one with a place on Earth.
    """

    pixels: NDArray[np.generic]
    pixel_size: PixelSize | None = None
    contrast_limits: Limits | None = None
    view: RasterView | None = None

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of the axes before a plane; () for a single plane."""
        return self.pixels.shape[: -3 if self._has_colours else -2]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.pixels.shape[len(self.stack_shape) :][:2]
        return height, width

    def planes(self) -> Iterator[tuple[str, NDArray[np.generic]]]:
        """Return the name and the pixels, (H, W) or (H, W, 3), of each plane: "image", or "0000", "0001", ...."""
        for index in np.ndindex(*self.stack_shape):
            name = "-".join(f"{number:04d}" for number in index) or ONLY_PLANE
            yield name, checked_image(self.pixels[index])

    def limits(self) -> Limits:
        """Return the intensities that become black and white, the same for all planes."""
        if self.contrast_limits is not None:
            return checked_limits(self.contrast_limits)
        rows = math.prod(self.stack_shape) * self.plane_shape[0]
        shape = (rows, *self.pixels.shape[len(self.stack_shape) + 1 :])
        return default_limits(checked_image(self.pixels.reshape(shape)))

    def within(self, limits: Limits | None) -> ImageContent:
        """Return the image with these contrast limits, by default its own; colours of a raster are read with them."""
        if limits is not None and self.view is not None and self.view.choice.is_rgb:
            view = self.view.within(limits)
            return replace(self, pixels=view.read(), view=view).within(None)
        return replace(self, contrast_limits=limits or self.limits())

    @property
    def _has_colours(self) -> bool:
        return self.pixels.ndim > 2 and self.pixels.shape[-1] in (3, 4)


class Source(Protocol):
    """Where an image comes from."""

    @property
    def shown(self) -> str:
        """What to call it in a report."""

    @property
    def place(self) -> str:
        """The whole path of its file; "" for what is no file."""

    def digest_steps(self) -> Steps[str]:
        """Return a hash of all that the result depends on, with progress in bytes."""

    def read(self) -> ImageContent:
        """Read it; OSError or ValueError where that fails."""


@dataclass(frozen=True)
class FileSource:
    """An image file: TIFF, OME-TIFF, PNG, JPEG, .npy, or what scikit-image reads.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    shown : str
        What to call it in a report: the path as it was given.
    """

    path: Path
    shown: str

    @property
    def place(self) -> str:
        """The whole path of the file."""
        return str(self.path.absolute())

    def digest_steps(self) -> Steps[str]:
        """Return the hash of the file's bytes."""
        return (yield from file_digest_steps(self.path))

    def read(self) -> ImageContent:
        """Read the file.

        Raises
        ------
        OSError
            For a file that is missing or cannot be opened.
        ValueError
            For a file that is damaged or no image.
        """
        try:
            pixels = _read(self.path)
        except ValueError as error:
            raise ValueError(str(error).replace(str(self.path), self.shown)) from None
        return ImageContent(_checked_pixels(pixels, self.shown), read_pixel_size(self.path))


@dataclass(frozen=True, eq=False)
class ArraySource:
    """An image that is in memory, a layer of a viewer for example.

    Attributes
    ----------
    content : ImageContent
        The pixels and what is known of them.
    shown : str
        What to call it in a report.
    place : str
        "", for it is no file.
    """

    content: ImageContent
    shown: str
    place: str = ""

    def digest_steps(self) -> Steps[str]:
        """Return the hash of shape, type, pixels, pixel size and contrast limits."""
        pixels = _checked_pixels(self.content.pixels, self.shown)
        hasher = new_hasher("xxh128")
        facts = (pixels.shape, pixels.dtype.str, self.content.pixel_size, self.content.contrast_limits)
        hasher.update(repr(facts).encode())
        if self.content.view is not None:
            hasher.update(repr(self.content.view).encode())
        for number, (_, plane) in enumerate(ImageContent(pixels).planes()):
            yield Progress(number, math.prod(self.content.stack_shape), f"Checking {self.shown}")
            hasher.update(np.ascontiguousarray(plane))
        digest: str = hasher.hexdigest()
        return digest

    def read(self) -> ImageContent:
        """Return the content; ValueError for an array that is no image."""
        _checked_pixels(self.content.pixels, self.shown)
        return self.content


@dataclass(frozen=True, eq=False)
class BatchImage:
    """One image of a batch.

    Attributes
    ----------
    source : Source
        Where it comes from.
    name : str
        What its outputs are called; no other image of the batch has it.
    file_name : str
        What it is called within COCO and SA-1B files.
    detections : tuple of Detection or None
        Boxes to turn into masks; None for masks of everything.
    """

    source: Source
    name: str
    file_name: str
    detections: tuple[Detection, ...] | None = None

    def plane_file_name(self, plane: str) -> str:
        """Return what a plane is called within COCO and SA-1B files: "stack.tif#0003"."""
        return self.file_name if plane == ONLY_PLANE else f"{self.file_name}#{plane}"


def file_digest_steps(path: Path) -> Steps[str]:
    """Return the hash of a file's bytes, with progress in bytes.

    Raises
    ------
    OSError
        Where the file cannot be read.
    """
    hasher = new_hasher("xxh128")
    with path.open("rb") as file:
        total, done = os.fstat(file.fileno()).st_size, 0
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
            done += len(chunk)
            yield Progress(done, total, f"Checking {path.name}")
    digest: str = hasher.hexdigest()
    return digest


def _read(path: Path) -> NDArray[np.generic]:
    if is_zarr(path):
        image = open_lazy(path)
        return image.read((0, 0, *image.shape))
    try:
        return read_array(path)
    except ValueError as error:
        if path.suffix.lower() in _READ_BY_US:
            raise
        return _read_by_others(path, error)


def _read_by_others(path: Path, first_error: ValueError) -> NDArray[np.generic]:
    """Read what `read_array` does not: TIFF files under other endings, then what scikit-image knows."""
    with path.open("rb") as file:
        is_tiff = file.read(4) in _TIFF_BEGINNINGS
    try:
        if is_tiff:
            return np.asarray(tifffile.imread(path))  # scikit-image takes three planes for colours
        from skimage.io import imread

        return np.asarray(imread(str(path)))
    except _NOT_READ:
        raise first_error from None


def _checked_pixels(pixels: NDArray[np.generic], shown: str) -> NDArray[np.generic]:
    if pixels.ndim < 2 or pixels.size == 0 or pixels.dtype.kind not in "buif":
        raise ValueError(
            f"{shown} holds {pixels.dtype} values of the shape {pixels.shape}; an image has rows and columns of "
            "real numbers"
        )
    return pixels
