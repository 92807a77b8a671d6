"""Image files that are opened without being read: TIFF (tiled, pyramidal, memory-mapped), zarr, OME-Zarr, .npy.

What can only be read as a whole (PNG, JPEG) is read so. Knows numpy, tifffile, zarr and Pillow, no model.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from napari_segany.formats.image_file import DECODER_ERRORS, read_array, read_image, samples_axis
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.named_axes import Limits, NamedAxes
from napari_segany.formats.plane_choice import PlaneChoice
from napari_segany.formats.tiff_codecs import missing_codec, read_as_whole

ZARR_SUFFIXES = (".zarr",)
_TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".ndpi", ".scn", ".btf")
_TOLD_SIDE = 4096  # pixels; above it, reading a whole file is told, because it takes time and memory


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a zarr array or group, by its name or by what is in the folder."""
    path = Path(path)
    metadata = ("zarr.json", ".zarray", ".zgroup")
    return path.is_dir() and (
        path.suffix.lower() in ZARR_SUFFIXES or any((path / name).exists() for name in metadata)
    )


def open_axes(path: str | os.PathLike[str]) -> NamedAxes:
    """Open all that an image file holds, with the names of its axes; its pixels are read later.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is damaged or no image.
    """
    path = Path(path)
    try:
        opened = _opened(path)
    except FileNotFoundError:
        raise
    except DECODER_ERRORS as error:
        raise _not_in_parts(path, error) from None
    return NamedAxes.of([read_array(path)]) if opened is None else opened


def open_lazy(path: str | os.PathLike[str], plane: PlaneChoice | None = None) -> LazyImage:
    """Open an image of one plane, or one plane of a stack; its pixels are read later, window by window.

    Parameters
    ----------
    path : path
        The file or folder.
    plane : PlaneChoice, optional
        Which plane of a stack. Three or four channels are colours unless one of them is chosen.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is damaged, no image, a stack without `plane`, or a plane that it does not have.
    """
    path = Path(path)
    try:
        opened = _opened(path)
        if opened is not None:
            return opened.plane(plane)
    except FileNotFoundError:
        raise
    except DECODER_ERRORS as error:
        raise _not_in_parts(path, error) from None
    return LazyImage((read_image(path),)) if plane is None else _chosen(path, plane)


def _opened(path: Path) -> NamedAxes | None:
    """Open what can be read in parts; None for a file that must be read as a whole."""
    if not path.exists():
        raise FileNotFoundError(2, "No such file or folder", str(path))
    if path.is_dir():
        return _zarr_axes(path)
    if path.suffix.lower() == ".npy":
        return NamedAxes.of([np.load(path, mmap_mode="r", allow_pickle=False)])
    if path.suffix.lower() not in _TIFF_SUFFIXES:
        return None
    file = tifffile.TiffFile(path)  # stays open as long as the arrays are used
    axes = _tiff_axes(path, file)
    codec = missing_codec(file.series[0].keyframe)
    if codec is None:
        return axes
    file.close()
    sides = [side for name, side in zip(axes.names, axes.levels[0].shape, strict=True) if name in ("y", "x")]
    if max(sides) > _TOLD_SIDE:
        warnings.warn(read_as_whole(path.name, codec), stacklevel=3)
    return None


def _not_in_parts(path: Path, error: Exception) -> ValueError:
    text = str(error).strip().split("\n")[0] or type(error).__name__
    return ValueError(f"{path.name} cannot be read in parts: {text}")


def _chosen(path: Path, plane: PlaneChoice) -> LazyImage:
    """Return a plane of a file that is read as a whole."""
    try:
        return NamedAxes.of([read_array(path)]).plane(plane)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def plane_shape(path: str | os.PathLike[str], plane: PlaneChoice | None = None) -> tuple[int, int] | None:
    """Return (H, W) of a file with one plane, or of one of a stack, without reading its pixels; None for all else."""
    path = Path(path)
    try:
        if path.suffix.lower() in _TIFF_SUFFIXES and path.is_file():
            with tifffile.TiffFile(path) as file:
                return _tiff_axes(path, file).plane(plane).shape
        if path.is_dir() or path.suffix.lower() == ".npy":
            return open_lazy(path, plane).shape
        if plane is not None:
            return None
        with Image.open(path) as picture:
            return picture.height, picture.width
    except DECODER_ERRORS:
        return None


def _zarr_axes(path: Path) -> NamedAxes:
    import zarr

    try:
        node: Any = zarr.open(path, mode="r")
    except FileNotFoundError:
        raise ValueError("it is a folder that holds no zarr array and no group of them") from None
    if isinstance(node, zarr.Array):
        return NamedAxes.of([node])
    attributes = node.attrs.asdict()
    ome = attributes.get("ome", attributes)
    scales = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if scales:
        arrays = [node[str(one["path"])] for one in scales[0]["datasets"]]
        names = [axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in scales[0].get("axes") or ()]
        return NamedAxes.of(arrays, names or None).with_windows(_windows(ome.get("omero")))
    arrays = sorted((array for _, array in node.arrays()), key=lambda array: -int(np.prod(array.shape)))
    if not arrays:
        raise ValueError("the zarr group holds no array")
    return NamedAxes.of(arrays)


def _windows(omero: Any) -> list[Limits | None]:
    """Return between which intensities an OME-Zarr wants its channels shown; what is damaged says nothing."""
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    found: list[Limits | None] = []
    for channel in channels if isinstance(channels, Sequence) else ():
        try:
            low, high = (float(channel["window"][end]) for end in ("start", "end"))
        except (LookupError, TypeError, ValueError):
            low = high = 0.0
        found.append((low, high) if low < high else None)
    return found


def _tiff_axes(path: Path, file: tifffile.TiffFile) -> NamedAxes:
    import zarr

    if not file.series:
        raise ValueError("the TIFF holds no image")
    series = file.series[0]
    arrays: list[Any] = []
    for level in series.levels:
        if level.dataoffset is not None and level.dtype is not None and level.dtype.isnative:
            arrays.append(np.memmap(path, level.dtype, "r", level.dataoffset, level.shape))
        else:
            arrays.append(zarr.open(level.aszarr(multiscales=False), mode="r"))
    samples = samples_axis(series)
    names = ["planes" if name == "S" else name.lower() for name in series.axes]
    if samples is not None:
        names[samples] = "c"
    return NamedAxes.of(arrays, names if len(names) == arrays[0].ndim else None)
