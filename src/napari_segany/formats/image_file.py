"""Image files as arrays, as napari shows them: TIFF through tifffile, .npy through numpy, the rest through Pillow."""

from __future__ import annotations

import os
import struct
import tokenize
import warnings
import zlib
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from napari_segany.formats.atomic import replacing
from napari_segany.formats.tiff_codecs import CodecMissingError, codec_missing, missing_codec

# Pillow refuses pictures above 179 megapixels, for fear of attacks; large images are our daily bread, and those that
# do not fit have a sentence of their own. Set once: setting and restoring it around each read is no one thread's own.
Image.MAX_IMAGE_PIXELS = None

_TIFF = (".tif", ".tiff")
_AS_ARRAY = ("1", "L", "I", "F", "RGB", "RGBA")  # Pillow's modes that are pixels as they are
DECODER_ERRORS = (  # what the decoders raised when they were given thousands of damaged files
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zlib.error,
)


def read_image(path: str | os.PathLike[str], *, plane: int | None = None) -> NDArray[np.generic]:
    """Read one image.

    Parameters
    ----------
    path : path
        A TIFF, .npy, PNG, JPEG file, or another one that Pillow knows.
    plane : int, optional
        Which plane of a stack, along its first axis, from 0; a negative one counts from the end.

    Returns
    -------
    numpy.ndarray
        (H, W), (H, W, 3) or (H, W, 4), in the file's own type.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is no image or damaged, a stack without `plane`, or a plane that it does not have.
    """
    return _plane(read_array(path), plane, Path(path))


def read_array(path: str | os.PathLike[str]) -> NDArray[np.generic]:
    """Read all that an image file holds, a stack as a whole.

    Returns
    -------
    numpy.ndarray
        The axes of the file, colours last, in the file's own type.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is no image or damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give an image file")
    with path.open("rb"):
        pass  # a missing file and missing rights have their own words, whatever the format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow's, of damaged metadata
            return _read(path)
    except CodecMissingError:
        raise
    except DECODER_ERRORS as error:
        raise ValueError(f"{path} is damaged or no image file ({_first_line(error)})") from None


def write_array(path: str | os.PathLike[str], image: NDArray[np.generic], *, rgb: bool = False) -> None:
    """Write an array so that `read_array` reads the same again, whole or not at all.

    Parameters
    ----------
    path : path
        The file; it ends in .tif, .tiff or .npy.
    image : numpy.ndarray
        The image or stack; colours last.
    rgb : bool
        Whether the last axis is colours.

    Raises
    ------
    OSError
        Where the file cannot be written.
    ValueError
        For another ending, or an array that a TIFF does not hold as it is.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (*_TIFF, ".npy"):
        raise ValueError(f"{path.name} ends in {ending!r}; an image is written to .tif, .tiff or .npy")
    with replacing(path) as temporary:
        if ending == ".npy":
            with temporary.open("wb") as file:
                np.save(file, image, allow_pickle=False)
            return
        try:
            tifffile.imwrite(temporary, image, photometric="rgb" if rgb else "minisblack")
            read = read_array(temporary)
        except ValueError as error:
            raise ValueError(f"a TIFF does not hold such an image ({_first_line(error)}); write .npy") from None
        if read.shape != image.shape or read.dtype != image.dtype:
            raise ValueError(
                f"a TIFF does not hold an image of the shape {image.shape} and the type {image.dtype} as it is; "
                "write .npy"
            )


def _read(path: Path) -> NDArray[np.generic]:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if path.suffix.lower() in _TIFF:
        return _read_tiff(path)
    return _read_picture(path)


def _read_tiff(path: Path) -> NDArray[np.generic]:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        missing = missing_codec(series.keyframe)
        if missing is not None:  # LZW, JPEG, ...: tifffile needs an optional package, Pillow does not
            try:
                return _read_picture(path)
            except DECODER_ERRORS:
                raise codec_missing(str(path), missing) from None
        image = np.asarray(series.asarray())
    samples = samples_axis(series)
    if samples is not None:  # colours may be stored plane by plane, and many bands pixel by pixel
        image = np.moveaxis(image, samples, -1 if image.shape[samples] in (3, 4) else 0)
    return image


def samples_axis(series: tifffile.TiffPageSeries) -> int | None:
    """Return which axis of a TIFF's image holds the samples of a pixel; None where there is none.

    Stacks of three or four planes that are written with no word on colours, by napari for one, are stored as colours
    plane by plane, with a note of their shape: there the note counts, as it does for napari.
    """
    if "S" not in series.axes:
        return None
    axis = int(series.axes.index("S"))
    return None if series.kind == "shaped" and axis != len(series.axes) - 1 else axis


def holds_colours(path: str | os.PathLike[str]) -> bool:
    """Tell whether the last axis of a TIFF, as `read_array` reads it, is the colours of a pixel.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is damaged or no TIFF.
    """
    path = Path(path)
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            axis = samples_axis(series)
            return axis is not None and series.shape[axis] in (3, 4)
    except FileNotFoundError:
        raise
    except DECODER_ERRORS as error:
        raise ValueError(f"{path} is damaged or no image file ({_first_line(error)})") from None


def _read_picture(path: Path) -> NDArray[np.generic]:
    with Image.open(path) as picture:
        if picture.format != "TIFF":
            return _pixels(picture)
        frames = [_pixels(frame) for frame in ImageSequence.Iterator(picture)]
    return frames[0] if len(frames) == 1 else np.stack(frames)


def _pixels(picture: Image.Image) -> NDArray[np.generic]:
    """Return the pixels of the current frame; palettes and other colour spaces become RGB, grey with alpha grey."""
    if picture.mode in _AS_ARRAY or picture.mode.startswith("I;16"):
        return np.array(picture)
    return np.array(picture.convert("L" if picture.mode == "LA" else "RGB"))


def _plane(image: NDArray[np.generic], plane: int | None, path: Path) -> NDArray[np.generic]:
    is_stack = image.ndim > 3 or (image.ndim == 3 and image.shape[-1] not in (3, 4))
    if plane is None:
        if is_stack:
            raise ValueError(
                f"{path} is a stack of the shape {image.shape}; choose one plane from 0 to {len(image) - 1} (--slice)"
            )
        return image
    if not is_stack:
        raise ValueError(f"{path} is a single plane of the shape {image.shape}; leave out the choice of a plane")
    if not 0 <= plane < len(image):
        raise ValueError(f"{path} has no plane {plane}; it has {len(image)}, from 0 to {len(image) - 1}")
    return _plane(image[plane], None, path)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n")[0]
    return text[:120] or type(error).__name__
