"""`segany everything` for rasters with a place on Earth: which bands are seen, and how objects become features."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segany.engine.batch.raster_source import Bands
    from napari_segany.engine.batch.sources import BatchImage
    from napari_segany.formats.geo_vectors import VectorSettings


def add_geo_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("rasters with a place on Earth (GeoTIFF, COG, VRT; needs the extra geo)")
    group.add_argument(
        "--bands", metavar="PRESET|N|N,N,N", type=read_bands,
        help="true-colour, false-colour, ndvi, or bands by their numbers from 1 (default: what the file tells)",
    )  # fmt: skip
    group.add_argument(
        "--simplify", metavar="PIXELS", type=float, default=0.0,
        help="vector files: leave out corners that span less than its square; neighbours keep one boundary "
        "(default: 0, exact)",
    )  # fmt: skip
    group.add_argument(
        "--min-area", metavar="M2", type=float, default=0.0, help="vector files: leave out smaller objects, in m2"
    )
    group.add_argument(
        "--measure", choices=("geodesic", "projected"), default="geodesic",
        help="vector files: areas on the ellipsoid, or in the plane of the map (default: geodesic)",
    )  # fmt: skip


def vector_settings(args: argparse.Namespace) -> VectorSettings:
    """Return how objects become features."""
    from napari_segany.formats.geo_vectors import VectorSettings

    return VectorSettings(args.simplify, args.min_area, args.measure)


def check_geo(args: argparse.Namespace, vectors: Sequence[str]) -> None:
    """Refuse before the work options that would change nothing, and what needs libraries that are not installed."""
    _check_is_of_use(args, vectors)
    _check_libraries(vectors, args.bands)


def _check_is_of_use(args: argparse.Namespace, vectors: Sequence[str]) -> None:
    given = {
        "--simplify": args.simplify != 0,
        "--min-area": args.min_area != 0,
        "--measure": args.measure != "geodesic",
    }
    for option, is_given in given.items():
        if is_given and not vectors:
            raise ValueError(
                f"{option} is of vector files, and none is asked for; add gpkg, geojson or shp to --outputs, or "
                "leave it out"
            )


def check_bands(bands: Bands, images: Sequence[BatchImage]) -> None:
    """Refuse a choice of bands where no image has a place on Earth, for others are seen as they are."""
    from napari_segany.engine.batch.raster_source import RasterSource

    if bands is not None and not any(isinstance(image.source, RasterSource) for image in images):
        raise ValueError("none of the inputs is a raster with a place on Earth, whose --bands could be chosen")


def _check_libraries(vectors: Sequence[str], chosen: Bands) -> None:
    from napari_segany.formats.geo_extra import GeoMissingError, geo_module

    needed = [*(["rasterio"] if vectors or chosen is not None else []), *(["pyogrio", "shapely"] if vectors else [])]
    try:
        for name in needed:
            geo_module(name)
    except GeoMissingError as error:
        raise ValueError(str(error)) from error


def tell_lost_places(command: str, images: Sequence[BatchImage]) -> None:
    """Say on stderr which rasters are read as plain images, for the library that knows their place is missing."""
    from napari_segany.engine.batch.sources import FileSource
    from napari_segany.formats.geo_recognition import lacks_reader

    sources = [image.source for image in images]
    tell_lost(command, [one.shown for one in sources if isinstance(one, FileSource) and lacks_reader(one.path)])


def tell_lost(command: str, shown: Sequence[str]) -> None:
    """Say on stderr that files are read without their place on Earth; nothing of none."""
    if not shown:
        return
    from napari_segany.formats.geo_extra import GeoMissingError

    others = f" and {len(shown) - 1} more" if len(shown) > 1 else ""
    whose = "their" if others else "its"
    print(
        f"segany {command}: {shown[0]}{others} read without {whose} place on Earth: {GeoMissingError('rasterio')}",
        file=sys.stderr,
    )


def read_bands(text: str) -> Bands:
    """Return a preset by its name, or the numbers of bands, for argparse."""
    from napari_segany.formats.geo_bands import bands_from

    try:
        return bands_from(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
