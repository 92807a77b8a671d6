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


def check_geo(vectors: Sequence[str], chosen: Bands) -> None:
    """Refuse before the work what needs libraries that are not installed."""
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
