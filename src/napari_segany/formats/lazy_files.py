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
from numpy.typing import NDArray
from PIL import Image

from napari_segany.formats.image_file import DECODER_ERRORS, read_array, read_image, samples_axis
from napari_segany.formats.lazy_image import LazyImage
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
    if not path.exists():
        raise FileNotFoundError(2, "No such file or folder", str(path))
    try:
        if path.is_dir():
            return _zarr_image(path, plane)
        if path.suffix.lower() == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return LazyImage((array,)) if plane is None else _by_axes([array], None, plane)
        if path.suffix.lower() in _TIFF_SUFFIXES:
            file = tifffile.TiffFile(path)  # stays open as long as the arrays are used
            image = _tiff_image(path, file, plane)
            codec = missing_codec(file.series[0].keyframe)
            if codec is None:
                return image
            file.close()
            if max(image.shape) > _TOLD_SIDE:
                warnings.warn(read_as_whole(path.name, codec), stacklevel=2)
    except FileNotFoundError:
        raise
    except DECODER_ERRORS as error:
        text = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"{path.name} cannot be read in parts: {text}") from None
    return LazyImage((read_image(path),)) if plane is None else _chosen(path, plane)


def _chosen(path: Path, plane: PlaneChoice) -> LazyImage:
    """Return a plane of a file that is read as a whole."""
    try:
        return _by_axes([read_array(path)], None, plane)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def plane_shape(path: str | os.PathLike[str], plane: PlaneChoice | None = None) -> tuple[int, int] | None:
    """Return (H, W) of a file with one plane, or of one of a stack, without reading its pixels; None for all else."""
    path = Path(path)
    try:
        if path.suffix.lower() in _TIFF_SUFFIXES and path.is_file():
            with tifffile.TiffFile(path) as file:
                return _tiff_image(path, file, plane).shape
        if path.is_dir() or path.suffix.lower() == ".npy":
            return open_lazy(path, plane).shape
        if plane is not None:
            return None
        with Image.open(path) as picture:
            return picture.height, picture.width
    except DECODER_ERRORS:
        return None


class ChannelsLast:
    """An array (3 or 4, H, W) that is sliced as (H, W, 3 or 4)."""

    def __init__(self, data: Any, place: tuple[int | slice, ...], channels: int) -> None:
        self._data, self._place, self._channels = data, place, channels
        spatial = [side for side, part in zip(data.shape, place, strict=True) if isinstance(part, slice)]
        kept = [side for axis, side in enumerate(spatial) if axis != self._axis]
        self.shape = (*kept, data.shape[channels])
        self.dtype = np.dtype(data.dtype)
        self.ndim = 3

    @property
    def _axis(self) -> int:
        """Which of the kept axes holds the channels."""
        return sum(isinstance(part, slice) for part in self._place[: self._channels])

    def __getitem__(self, window: tuple[Any, ...]) -> NDArray[np.generic]:
        """Return a window, channels last."""
        parts = iter((*window, slice(None), slice(None))[:2])
        place = tuple(
            slice(None) if axis == self._channels else next(parts) if isinstance(part, slice) else part
            for axis, part in enumerate(self._place)
        )
        pixels = np.moveaxis(np.asarray(self._data[place]), self._axis, -1)
        return pixels[(slice(None), slice(None), *window[2:])]


def _zarr_image(path: Path, plane: PlaneChoice | None) -> LazyImage:
    import zarr

    node: Any = zarr.open(path, mode="r")
    if isinstance(node, zarr.Array):
        return _by_axes([node], None, plane)
    attributes = node.attrs.asdict()
    ome = attributes.get("ome", attributes)
    scales = ome.get("multiscales") if isinstance(ome, Mapping) else None
    if scales:
        arrays = [node[str(one["path"])] for one in scales[0]["datasets"]]
        names = [axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in scales[0].get("axes") or ()]
        return _by_axes(arrays, names or None, plane)
    arrays = sorted((array for _, array in node.arrays()), key=lambda array: -int(np.prod(array.shape)))
    if not arrays:
        raise ValueError("the zarr group holds no array")
    return _by_axes(arrays, None, plane)


def _tiff_image(path: Path, file: tifffile.TiffFile, plane: PlaneChoice | None) -> LazyImage:
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
    return _by_axes(arrays, names if len(names) == arrays[0].ndim else None, plane)


def _by_axes(arrays: Sequence[Any], names: Sequence[str] | None, plane: PlaneChoice | None) -> LazyImage:
    """Return a plane of arrays whose axes have names ("y", "x", "c", ...); axes of length 1 are left out."""
    shape = arrays[0].shape
    if names is None:
        has_colours = len(shape) > 2 and shape[-1] in (3, 4)
        names = [f"axis{axis}" for axis in range(len(shape))]
        names[-3 if has_colours else -2 :] = ["y", "x", "c"] if has_colours else ["y", "x"]
    others = {name: side for name, side in zip(names, shape, strict=True) if name not in ("y", "x")}
    has_colours = others.get("c") in (3, 4)
    slices = {name: side for name, side in others.items() if not (has_colours and name == "c")}
    only = plane is not None and any(name == "" for name, _ in plane.places)
    chosen = {} if plane is None else plane.along(slices if only else others)
    colours = names.index("c") if has_colours and "c" not in chosen else None
    long = {name: side for name, side in slices.items() if side > 1 and name not in chosen}
    if long:
        axes = ", ".join(f"{name} ({side})" for name, side in long.items())
        places = ",".join(f"{name}=0" for name in long)
        raise ValueError(
            f"it is a stack along {axes}; choose one plane, as `segany everything --plane {places}` does"
        )
    kept = {names.index("y"), names.index("x")} | (set() if colours is None else {colours})
    place = tuple(slice(None) if axis in kept else chosen.get(name, 0) for axis, name in enumerate(names))
    if colours is None or colours == len(shape) - 1:
        return LazyImage(tuple(arrays), place if len(kept) < len(shape) else ())
    return LazyImage(tuple(ChannelsLast(array, place, colours) for array in arrays))
