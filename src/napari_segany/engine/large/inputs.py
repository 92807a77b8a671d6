"""Images of a batch that are done tile by tile: which ones, and how they are opened."""

from __future__ import annotations

from pathlib import Path

from napari_segany.engine.batch.raster_source import RasterSource
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.batch.sources import FileSource, Limits
from napari_segany.engine.large.job import ImageAtPath, ImageOnDemand
from napari_segany.engine.large.raster import MapOutputs, RasterAtPath
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.lazy_files import plane_shape
from napari_segany.formats.plane_choice import PlaneChoice


def file_shape(source: FileSource, plane: PlaneChoice | None = None) -> tuple[int, int] | None:
    """Return (H, W) of a file; None for a stack, and for what cannot be read, which is told when it is its turn."""
    if not isinstance(source, RasterSource):
        return plane_shape(source.path, plane)
    try:
        return read_raster(source.path).size
    except (OSError, ValueError):
        return None


def file_on_demand(
    name: str, source: FileSource, output: Path, settings: BatchSettings, plane: PlaneChoice | None = None
) -> tuple[ImageOnDemand, MapOutputs | None]:
    """Return a file to be opened tile by tile, and what is written of one with a place on Earth.

    Raises
    ------
    OSError
        For a file that cannot be opened.
    ValueError
        For vectors of an image without a place on Earth, or a damaged raster.
    """
    if not isinstance(source, RasterSource):
        refuse_vectors(source.shown, settings)
        return ImageAtPath(source.path, source.shown, plane), None
    raster = RasterAtPath(source.path, source.shown, source.view().within(settings.contrast_limits))
    folder = output.expanduser().absolute() / "vectors"
    vectors = tuple(folder / f"{name}.{form}" for form in settings.vector_outputs)
    return raster, MapOutputs(raster, vectors, settings.vectors)


def limits_in_tiles(image: ImageOnDemand, settings: BatchSettings) -> Limits | None:
    """Return the contrast limits of all tiles; None for those of a sample, and of colours, which are stretched."""
    if isinstance(image, RasterAtPath):
        return image.contrast_limits and (settings.contrast_limits or image.contrast_limits)
    return settings.contrast_limits


def refuse_vectors(shown: str, settings: BatchSettings) -> None:
    """Raise ValueError where vector files are wanted of an image without a place on Earth."""
    if settings.vector_outputs:
        raise ValueError(
            f"{shown} has no place on Earth that is known here, which {', '.join(settings.vector_outputs)} needs; "
            "leave that output out for it"
        )
