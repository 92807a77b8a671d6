"""`segany everything` for images that do not fit: which ones they are, the options of tiles, and the run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm

from napari_segany.cli.counted import counted
from napari_segany.cli.errors import USER_ERRORS, one_line
from napari_segany.cli.plane_option import add_plane_option
from napari_segany.cli.precision_option import model_of_batch
from napari_segany.engine.batch.raster_source import RasterSource
from napari_segany.engine.batch.sources import FileSource
from napari_segany.engine.large.choice import goes_by_tiles, not_written_text
from napari_segany.engine.tiling import LARGE_SIDE, TilingSettings, is_large
from napari_segany.formats.plane_choice import PlaneChoice

if TYPE_CHECKING:
    from napari_segany.engine.batch.one_image import ImageResult
    from napari_segany.engine.batch.run import Workers
    from napari_segany.engine.batch.settings import BatchSettings
    from napari_segany.engine.batch.sources import BatchImage
    from napari_segany.engine.large.run import LargeResult
    from napari_segany.engine.progress import Progress, Steps


def add_tile_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("images that do not fit (also zarr and OME-Zarr; done tile by tile)")
    group.add_argument(
        "--tiles", choices=("auto", "always", "never"), default="auto",
        help=f"work tile by tile: images with a side above {LARGE_SIDE} pixels, all, or none (default: auto, which "
        "does those of up to 8192 x 8192 pixels as a whole where tiles cannot give what is asked for). Their labels "
        "go to labels/NAME.zarr and a table to tables/NAME.csv",
    )  # fmt: skip
    group.add_argument(
        "--tile-size", metavar="PIXELS", type=int, help="side of a tile (default: what the model sees)"
    )
    group.add_argument(
        "--tile-overlap", metavar="X", type=float, default=0.25,
        help="overlap of tiles, a fraction of their side: larger than the usual object is best (default: 0.25)",
    )  # fmt: skip
    group.add_argument(
        "--object-size", metavar="PIXELS", type=_object_size,
        help="usual diameter of the objects: finer levels than they need are left out, and small objects get smaller "
        "tiles; auto measures it in a few tiles first (default: all levels)",
    )  # fmt: skip
    add_plane_option(
        group,
        "the plane of stacks that is done, by tiles: c=1, or z=3,c=0, from 0; a number alone where there is one "
        "axis. Three or four channels are colours unless one is chosen. The outputs are called NAME_c1",
    )
    group.add_argument("--tile-tiff", action="store_true", help="write labels/NAME.tif too, a tiled BigTIFF")


def _object_size(text: str) -> float | Literal["auto"]:
    """Return a number of pixels, or "auto"."""
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels nor auto") from None


def tiling_settings(args: argparse.Namespace) -> TilingSettings:
    """Return what the options of tiles say; ValueError for a value out of its range."""
    return TilingSettings(args.tile_size, args.tile_overlap, args.object_size)


def split_large(
    images: Sequence[BatchImage],
    zarrs: Sequence[BatchImage],
    tiles: str,
    settings: BatchSettings,
    plane: PlaneChoice | None = None,
) -> tuple[list[BatchImage], list[tuple[str, FileSource]]]:
    """Return the images to be done as a whole, and those by tiles with their names: all, where a plane is chosen."""
    from napari_segany.engine.large.inputs import file_shape

    whole: list[BatchImage] = []
    reduced: list[str] = []
    large: list[tuple[str, FileSource]] = []
    for image in images:
        source = image.source
        shape = None if tiles == "never" or not isinstance(source, FileSource) else file_shape(source)
        by_tiles = shape is not None and (tiles == "always" or goes_by_tiles(shape, settings))
        if by_tiles and isinstance(source, FileSource):
            large.append((image.name, source))
            continue
        whole.append(image)
        if shape is not None and is_large(shape):
            reduced.append(source.shown)
    _tell_reduced(reduced)
    large += [(image.name, image.source) for image in zarrs if isinstance(image.source, FileSource)]
    if plane is None:
        return whole, large
    return [], [(f"{name}{plane.suffix}", source) for name, source in (*_all_by_tiles(whole), *large)]


def _all_by_tiles(images: Sequence[BatchImage]) -> list[tuple[str, FileSource]]:
    """Return files that are not large, for one of their planes is to be done."""
    found = []
    for image in images:
        if not isinstance(image.source, FileSource) or isinstance(image.source, RasterSource):
            raise ValueError(f"--plane is for stacks, and {image.source.shown} is a raster; choose its --bands")
        found.append((image.name, image.source))
    return found


def run_large(
    args: argparse.Namespace,
    large: Sequence[tuple[str, FileSource]],
    settings: BatchSettings,
    workers: Workers | None,
    *,
    is_all: bool,
) -> tuple[int, list[ImageResult]]:
    """Do the large images one after the other; return the exit status, and what became of each.

    An image that cannot be done does not stop the others; `is_all` says whether there are none besides large ones,
    and so nobody else who writes the report.
    """
    from napari_segany.engine.batch.common_files import check_is_not_foreign
    from napari_segany.engine.batch.folder import BatchFolderInUseError
    from napari_segany.engine.batch.one_image import ImageResult
    from napari_segany.engine.batch.summary_files import summary_names
    from napari_segany.engine.large.results import finish_in_tiles_steps
    from napari_segany.engine.progress import drain

    # Told before the work, not after it.
    check_is_not_foreign(args.output.expanduser().absolute(), summary_names(settings.outputs))
    results: list[ImageResult] = []
    for name, source in large:
        try:
            results.append(_done(args, name, source, settings, workers))
        except BatchFolderInUseError:
            raise
        except USER_ERRORS as error:
            text = one_line(error).removeprefix(f"{source.path.name}: ")
            results.append(ImageResult(name, source.shown, error=text))
            if is_all and len(large) == 1:
                drain(finish_in_tiles_steps(args.output, results, settings))
                raise
            print(f"failed: {source.shown}: {text.removeprefix(f'{source.shown}: ')}", file=sys.stderr)
    if is_all:
        drain(finish_in_tiles_steps(args.output, results, settings))
    _tell_not_written(results, settings)
    return int(any(result.error or result.note for result in results)), results


def _done(
    args: argparse.Namespace, name: str, source: FileSource, settings: BatchSettings, workers: Workers | None
) -> ImageResult:
    """Do one image, print what became of it and of the tiles that failed, and return it."""
    from napari_segany.engine.large.inputs import file_on_demand, limits_in_tiles
    from napari_segany.engine.large.results import image_result
    from napari_segany.engine.large.run import large_steps

    image, on_map = file_on_demand(name, source, args.output, settings, args.plane)
    steps = large_steps(
        image, name, args.output, model_of_batch(args), settings.automatic,
        tiling=tiling_settings(args),
        contrast_limits=limits_in_tiles(image, settings), painting=args.painting, tiff=args.tile_tiff,
        workers=_tile_workers(workers), on_map=on_map,
    )  # fmt: skip
    result = _watched(steps, name)
    for failure in result.failed:
        print(f"failed: {source.shown}: {failure}", file=sys.stderr)
    print(_summary(result))
    return image_result(name, result, settings)


def _tell_not_written(results: Sequence[ImageResult], settings: BatchSettings) -> None:
    partly = [result.shown for result in results if result.note]
    if partly:
        print(
            f"segany everything: {not_written_text(settings)} of {_which(partly, 'images')}, done tile by tile "
            "(--tiles never does files as a whole)",
            file=sys.stderr,
        )


def _tell_reduced(reduced: Sequence[str]) -> None:
    if reduced:
        comma = "," if len(reduced) > 1 else ""
        print(
            f"segany everything: {_which(reduced, 'large images')}{comma} done as a whole, for tiles cannot give all "
            "that is asked for; small objects need --tiles always and labels, csv or vectors alone",
            file=sys.stderr,
        )


def _which(shown: Sequence[str], what: str) -> str:
    """Return the only image, or how many there are and the first."""
    return shown[0] if len(shown) == 1 else f"{len(shown)} {what}, the first {shown[0]}"


def _tile_workers(workers: Workers | None) -> Any:
    if workers is None:
        return None
    from napari_segany.engine.batch.cluster import Cluster
    from napari_segany.engine.large.cluster import TileCluster

    return TileCluster(workers) if isinstance(workers, Cluster) else None


def _watched(steps: Steps[LargeResult], name: str) -> LargeResult:
    from napari_segany.engine.progress import drain

    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(total=0, unit="tile", mininterval=interval, maxinterval=interval, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total
            bar.initial = getattr(progress, "reused", 0)
            bar.set_description(f"{name}: {progress.note}", refresh=False)
            bar.update(progress.done - bar.n)

        try:
            return drain(steps, report)
        except KeyboardInterrupt:
            bar.write(f"{bar.n} of {bar.total} tiles are kept; run the same command again to go on", sys.stderr)
            raise


def _summary(result: LargeResult) -> str:
    from napari_segany.engine.large.results import EARLIER

    reused = f", {result.reused} of them kept from before" if result.reused else ""
    failed = f"; {counted(len(result.failed), 'tile')} failed" if result.failed else ""
    failed += f", and {EARLIER}" if result.is_earlier else ""
    objects = f"{counted(result.objects, 'object')}{_size(result)}"
    return f"{result.shown}: {counted(result.tiles, 'tile')}{reused}, {objects} -> {result.labels}{failed}"


def _size(result: LargeResult) -> str:
    if result.object_size is None:
        return ""
    told = f"usual diameter {result.object_size:g} pixels" if result.object_size else "too few to measure their size"
    return f" ({told})"
