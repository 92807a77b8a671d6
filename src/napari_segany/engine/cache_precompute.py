"""Embeddings of many images in advance, into a portable folder; run again, it goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.batch.raster_source import RasterSource
from napari_segany.engine.batch.sources import ONLY_PLANE, BatchImage, FileSource, ImageContent
from napari_segany.engine.cache import key_steps
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_entry import CacheEntry, DamagedEntryError
from napari_segany.engine.cache_key import Limits
from napari_segany.engine.cache_limits import layer_limits, plane_limits_steps
from napari_segany.engine.cache_manifest import ManifestRecord, add_to_manifest
from napari_segany.engine.cache_stack_limits import Mapping, StackLimits
from napari_segany.engine.error_sentences import sentence_of
from napari_segany.engine.image import checked_image, checked_limits
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_embedding import image_limits
from napari_segany.engine.tiling import is_large, model_side, tile_plan
from napari_segany.formats.geo_pyramid import raster_levels
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.lazy_files import is_zarr, open_axes, open_lazy, plane_shape
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.plane_choice import PlaneChoice


@dataclass(frozen=True)
class Embedded:
    """What became of one plane.

    Attributes
    ----------
    record : ManifestRecord
        What the manifest says of it.
    state : str
        "computed", "reused" (it was there before) or "repaired" (its file was damaged).
    """

    record: ManifestRecord
    state: Literal["computed", "reused", "repaired"]


@dataclass(frozen=True)
class EmbedResult:
    """What became of all images.

    Attributes
    ----------
    planes : tuple of Embedded
        In the order of the images.
    failed : tuple of str
        Why images could not be read or encoded, a sentence for each.
    """

    planes: tuple[Embedded, ...]
    failed: tuple[str, ...]

    def count(self, state: str) -> int:
        """Return the number of planes in a state."""
        return sum(plane.state == state for plane in self.planes)

    @property
    def relative_error(self) -> float:
        """The largest relative error that half precision makes in any plane."""
        return max((plane.record.relative_error for plane in self.planes), default=0.0)


@dataclass
class _Tally:
    """How far the work is; planes of images that are not read yet count as one each."""

    images: int
    planes: int = 0
    done: list[Embedded] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def progress(self, note: str) -> Progress:
        return Progress(len(self.done) + len(self.failed), self.planes + self.images, note)


def embed_steps(
    images: Sequence[BatchImage],
    folder: Path,
    predictor: Predictor,
    mapping: Mapping | Limits = "layer",
    plane: PlaneChoice | None = None,
) -> Steps[EmbedResult]:
    """Compute the embeddings of all planes of all images and keep them in a folder that can be carried elsewhere.

    Of images that are too large for one embedding the windows are embedded that napari asks for. An embedding that is
    there already is not computed again, one whose file is damaged is. An image that cannot be
    read does not stop the others. Closing the generator stops within the plane at work.

    Parameters
    ----------
    images : sequence of BatchImage
        From `find_images` or `images_of_arrays`.
    folder : pathlib.Path
        Made if it is not there.
    predictor : Predictor
        The model; a cache that it has is not used.
    mapping : "layer", "stack", "percentiles" or (float, float)
        Contrast limits: those of a new napari layer, which may hold one channel of a zarr; those of one layer of all
        of it; the engine's own of the whole file; or these for all images.
    plane : PlaneChoice, optional
        Where in files with more axes the planes lie; those that it leaves open are embedded, all without it.

    Yields
    ------
    Progress
        Planes.

    Returns
    -------
    EmbedResult
        What became of each.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    ValueError
        For contrast limits that do not increase.
    """
    if not isinstance(mapping, str):
        mapping = checked_limits(mapping)
    disk, tally = DiskCache(folder), _Tally(len(images))
    add_to_manifest(disk, ())  # the folder is a portable one from the start, and a full disk shows at once
    for image in images:
        yield tally.progress(f"{image.file_name}: reading")
        tally.images -= 1
        before, planned = len(tally.done), tally.planes
        given = None if isinstance(mapping, str) else mapping
        path = _path_of_axes(image, plane)
        opened = _opened_if_large(image, given) if path is None else None
        if path is not None:
            yield from _stack_steps(image, path, plane, mapping, disk, predictor, tally)
        elif opened is not None:
            limits_steps = _lazy_limits_steps(image, opened, mapping, tally)
            yield from _window_steps(image, ONLY_PLANE, opened, limits_steps, disk, predictor, tally)
        if path is not None or opened is not None:
            add_to_manifest(disk, (item.record for item in tally.done[before:]))
            continue
        try:
            content = image.source.read() if given is None else image.source.read().within(given)
            planes = list(content.planes())
            tally.planes += len(planes)
            limits = _limits(content, mapping)
        except (ValueError, OSError, MemoryError) as error:
            tally.planes = planned + 1
            tally.failed.append(_sentence(image, error))
            continue
        for name, pixels in planes:
            yield from _plane_steps(image, name, pixels, limits, disk, predictor, tally)
        add_to_manifest(disk, (item.record for item in tally.done[before:]))
    yield tally.progress("all images are done")
    return EmbedResult(tuple(tally.done), tuple(tally.failed))


def _plane_steps(
    image: BatchImage,
    plane: str,
    pixels: NDArray[np.generic],
    limits: Limits | None,
    disk: DiskCache,
    predictor: Predictor,
    tally: _Tally,
) -> Steps[None]:
    """Embed one plane and count it."""
    name = image.plane_file_name(plane)
    label = partial(_labelled, tally, name)
    key, pixels = yield from relabelled(key_steps(predictor, pixels, limits), label)
    state: Literal["computed", "reused", "repaired"] = "reused"
    try:
        entry = disk.get(key)
    except DamagedEntryError:
        entry, state = None, "repaired"
        yield tally.progress(f"{name}: its embedding is damaged, computing it again")
    if entry is None:
        state = "computed" if state == "reused" else state
        try:
            steps = predictor.compute_steps(pixels, contrast_limits=key.contrast_limits)
            embedding = yield from relabelled(steps, label)
        except (MemoryError, RuntimeError) as error:  # every error of torch is a RuntimeError
            tally.failed.append(_sentence(image, error))
            return
        entry = CacheEntry.of(embedding)
        disk.put(key, entry)
    record = ManifestRecord.of(image.file_name, plane, key, entry.named(predictor.name), disk.path(key))
    tally.done.append(Embedded(record, state))


def _path_of_axes(image: BatchImage, plane: PlaneChoice | None) -> Path | None:
    """Return the path of a file whose planes go by the names of its axes: a zarr, or any where planes are chosen."""
    source = image.source
    is_so = isinstance(source, FileSource) and (plane is not None or is_zarr(source.path))
    return source.path if isinstance(source, FileSource) and is_so else None


def _stack_steps(
    image: BatchImage,
    path: Path,
    chosen: PlaneChoice | None,
    mapping: Mapping | Limits,
    disk: DiskCache,
    predictor: Predictor,
    tally: _Tally,
) -> Steps[None]:
    """Embed the planes of a file that a choice leaves open, each as a whole or, where it is large, in windows."""
    try:
        axes = open_axes(path)
        choices = list(axes.planes(chosen))
    except (ValueError, OSError, MemoryError) as error:
        tally.planes += 1
        tally.failed.append(_sentence(image, error))
        return
    tally.planes += len(choices)
    limits = StackLimits(axes, choices, mapping, is_zarr=is_zarr(path))
    for choice in choices:
        name = choice.suffix.removeprefix("_") or ONLY_PLANE
        opened = axes.plane(choice)
        steps = relabelled(limits.steps(choice), partial(_labelled, tally, image.plane_file_name(name)))
        if is_large(opened.shape):
            tally.planes -= 1  # its windows count instead
            yield from _window_steps(image, name, opened, steps, disk, predictor, tally)
            continue
        try:
            found = yield from steps
            pixels = checked_image(opened.read((0, 0, *opened.shape)))
        except (ValueError, OSError, MemoryError) as error:
            tally.failed.append(_sentence(image, error))
            continue
        yield from _plane_steps(image, name, pixels, found, disk, predictor, tally)


def _opened_if_large(image: BatchImage, limits: Limits | None) -> LazyImage | None:
    """Return an image that is worked on in windows, opened without being read; None for others."""
    source = image.source
    try:
        if isinstance(source, RasterSource):
            size = read_raster(source.path).size
            return raster_levels(source.view().within(limits)) if is_large(size) else None
        shape = plane_shape(source.path) if isinstance(source, FileSource) else None
        return open_lazy(source.path) if isinstance(source, FileSource) and shape and is_large(shape) else None
    except (OSError, ValueError):  # told when it is read
        return None


def _window_steps(
    image: BatchImage,
    plane: str,
    opened: LazyImage,
    limits_steps: Steps[Limits],
    disk: DiskCache,
    predictor: Predictor,
    tally: _Tally,
) -> Steps[None]:
    """Embed the windows of a large image, those that a click in napari asks for.

    Napari's own reader opens the finest level of a TIFF alone; coarse windows are then averaged from it, and not
    those of the file's levels, as a layer with all of them has. Both are embedded where they differ.
    """
    plan = tile_plan(opened.shape, model_side(predictor))
    alone = _finest_alone(image, opened)
    windows = [(level, row, col, window) for level in plan.levels for row, col, window in plan.windows(level)]
    tally.planes += len(windows)
    try:
        limits = yield from limits_steps
    except (ValueError, OSError, MemoryError) as error:
        tally.planes -= len(windows) - 1
        tally.failed.append(_sentence(image, error))
        return
    of_plane = "" if plane == ONLY_PLANE else f"{plane} "
    for level, row, col, window in windows:
        name = f"{of_plane}window {level}-{row}-{col}"
        yield tally.progress(f"{image.plane_file_name(name)}: reading")
        try:
            pixels = opened.read(window.box, window.factor)
            averaged = pixels if alone is None or not level else alone.read(window.box, window.factor)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            tally.failed.append(f"{_sentence(image, error)} ({name})")
            continue
        yield from _plane_steps(image, name, pixels, limits, disk, predictor, tally)
        if not np.array_equal(averaged, pixels, equal_nan=averaged.dtype.kind == "f"):
            tally.planes += 1
            name = f"{name} of the finest level"
            yield from _plane_steps(image, name, averaged, limits, disk, predictor, tally)


def _finest_alone(image: BatchImage, opened: LazyImage) -> LazyImage | None:
    """Return a TIFF with levels as napari's own reader opens it; None where that is no other image."""
    is_tiff = isinstance(image.source, FileSource) and not is_zarr(image.source.path)
    return LazyImage(opened.levels[:1], opened.place) if is_tiff and len(opened.levels) > 1 else None


def _lazy_limits_steps(
    image: BatchImage, opened: LazyImage, mapping: Mapping | Limits, tally: _Tally
) -> Steps[Limits]:
    """Return the contrast limits of all windows: of a raster its stretch, else those of a new layer or a sample."""
    if isinstance(image.source, RasterSource) and opened.has_colours:
        return 0.0, 255.0  # the stretch is in the pixels
    if isinstance(mapping, tuple):
        return mapping
    if isinstance(image.source, RasterSource):
        stretch = image.source.view().stretch
        return stretch.low[0], stretch.high[0]
    if mapping == "percentiles" or opened.has_colours:
        return image_limits(opened)
    steps = plane_limits_steps(opened, with_levels=False)
    return (yield from relabelled(steps, partial(_labelled, tally, image.file_name)))


def _labelled(tally: _Tally, name: str, step: Progress) -> Progress:
    within = f" {step.done}/{step.total}" if step.total else ""
    note = step.note[:1].lower() + step.note[1:]
    return tally.progress(f"{name}: {note}{within}")


def _limits(content: ImageContent, mapping: Mapping | Limits) -> Limits | None:
    """Return the contrast limits of all planes of an image that was read as a whole; None for colours."""
    if isinstance(mapping, tuple):
        return content.contrast_limits
    if mapping == "percentiles" or content.view is not None:
        return content.limits()  # of a raster the one stretch, which its layer has
    return layer_limits(content.pixels, has_colours=content.pixels.ndim - len(content.stack_shape) == 3)


def _sentence(image: BatchImage, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{image.source.shown}: {error.strerror}"
    words = sentence_of(error)
    return words if image.source.shown in words else f"{image.source.shown}: {words}"
