"""`segany everything` for images that do not fit: which ones they are, the options of tiles, and the run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_segany.cli.errors import USER_ERRORS, one_line
from napari_segany.engine.batch.output_names import VECTOR_OUTPUTS
from napari_segany.engine.batch.sources import FileSource
from napari_segany.engine.tiling import LARGE_SIDE, TilingSettings, is_large
from napari_segany.formats.lazy_files import is_zarr

if TYPE_CHECKING:
    from napari_segany.engine.batch.run import Workers
    from napari_segany.engine.batch.settings import BatchSettings
    from napari_segany.engine.batch.sources import BatchImage
    from napari_segany.engine.large.run import LargeResult
    from napari_segany.engine.progress import Progress, Steps

_WRITTEN = ("labels", "csv", *VECTOR_OUTPUTS)


def add_tile_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("images that do not fit (also zarr and OME-Zarr; done tile by tile)")
    group.add_argument(
        "--tiles", choices=("auto", "always", "never"), default="auto",
        help=f"work tile by tile: images with a side above {LARGE_SIDE} pixels, all, or none (default: auto). "
        "Their labels go to labels/NAME.zarr and a table to tables/NAME.csv",
    )  # fmt: skip
    group.add_argument(
        "--tile-size", metavar="PIXELS", type=int, help="side of a tile (default: what the model sees)"
    )
    group.add_argument(
        "--tile-overlap", metavar="X", type=float, default=0.25,
        help="overlap of tiles, a fraction of their side: larger than the usual object is best (default: 0.25)",
    )  # fmt: skip
    group.add_argument(
        "--object-size", metavar="PIXELS", type=float,
        help="usual diameter of the objects: finer levels than they need are left out (default: all levels)",
    )  # fmt: skip
    group.add_argument("--tile-tiff", action="store_true", help="write labels/NAME.tif too, a tiled BigTIFF")


def split_zarr(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the inputs that are files and folders, and those that are zarr arrays or groups."""
    zarrs = [text for text in inputs if is_zarr(text)]
    return [text for text in inputs if text not in zarrs], [Path(text) for text in zarrs]


def split_large(
    images: Sequence[BatchImage], zarrs: Sequence[Path], tiles: str
) -> tuple[list[BatchImage], list[tuple[str, FileSource]]]:
    """Return the images to be done as a whole, and those by tiles with their names."""
    from napari_segany.engine.large.inputs import file_shape

    whole: list[BatchImage] = []
    large: list[tuple[str, FileSource]] = []
    for image in images:
        source = image.source
        shape = None if tiles == "never" or not isinstance(source, FileSource) else file_shape(source)
        if isinstance(source, FileSource) and shape is not None and (tiles == "always" or is_large(shape)):
            large.append((image.name, source))
        else:
            whole.append(image)
    taken = {image.name for image in images}
    for path in zarrs:
        name = path.name.removesuffix(".zarr").removesuffix(".ome")
        while name in taken:
            name += "_zarr"
        taken.add(name)
        large.append((name, FileSource(path.absolute(), str(path))))
    return whole, large


def run_large(
    args: argparse.Namespace,
    large: Sequence[tuple[str, FileSource]],
    settings: BatchSettings,
    workers: Workers | None,
    *,
    is_all: bool,
) -> int:
    """Do the large images one after the other; return 1 if tiles or an image failed.

    An image that cannot be done does not stop the others; `is_all` says whether there are none besides large ones.
    """
    from napari_segany.engine.batch.folder import BatchFolderInUseError
    from napari_segany.engine.batch.model_source import NamedModel
    from napari_segany.engine.large.inputs import file_on_demand, limits_in_tiles
    from napari_segany.engine.large.run import large_steps

    tiling = TilingSettings(args.tile_size, args.tile_overlap, args.object_size)
    if args.outputs and set(args.outputs) - set(_WRITTEN):
        print("segany everything: for images in tiles only labels and a table are written", file=sys.stderr)
    status = 0
    for name, source in large:
        try:
            image, on_map = file_on_demand(name, source, args.output, settings)
            limits = limits_in_tiles(image, settings)
            steps = large_steps(
                image, name, args.output, NamedModel(args.model, args.device), settings.automatic,
                tiling=tiling, contrast_limits=limits, painting=args.painting, tiff=args.tile_tiff,
                workers=_tile_workers(workers), on_map=on_map,
            )  # fmt: skip
            result = _watched(steps, name)
        except BatchFolderInUseError:
            raise
        except USER_ERRORS as error:
            if is_all and len(large) == 1:
                raise
            print(f"failed: {source.shown}: {one_line(error)}", file=sys.stderr)
            status = 1
            continue
        for failure in result.failed:
            print(f"failed: {source.shown}: {failure}", file=sys.stderr)
        status = max(status, int(bool(result.failed)))
        print(_summary(result))
    return status


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
    reused = f", {result.reused} of them kept from before" if result.reused else ""
    failed = f"; {len(result.failed)} tiles failed" if result.failed else ""
    return f"{result.shown}: {result.tiles} tiles{reused}, {result.objects} objects -> {result.labels}{failed}"
