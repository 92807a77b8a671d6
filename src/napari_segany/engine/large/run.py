"""Everything in one large image, from its tiles to its labels, as a generator of progress: here, or on a cluster.

Tiles are kept as they are done, so an interrupted run goes on where it was; a tile that fails does not stop the
others and is tried again by the next run. What is written depends on the tiles only, not on when or by whom they were
done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.model_source import LazyPredictor, ModelSource
from napari_segany.engine.image import checked_limits
from napari_segany.engine.large.job import ImageOnDemand, LargeJob, Place, digest_of, large_job
from napari_segany.engine.large.measures import COLUMNS, ObjectMeasures
from napari_segany.engine.large.objects import all_objects
from napari_segany.engine.large.one_tile import Everything, SegmentTile, TileResult, tile_steps
from napari_segany.engine.large.painting import paint_steps, write_tiff_steps
from napari_segany.engine.large.raster import MapOutputs
from napari_segany.engine.large.stitching import stitch_steps
from napari_segany.engine.large.tile_masks import read_tile
from napari_segany.engine.large.tile_store import TileStore
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_embedding import image_limits
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.atomic import replacing
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.painting import PaintingRule
from napari_segany.formats.table import write_table

DEFAULT_MODEL_SIDE = 1024
"""Longer side of an image as all models of the registry see it."""


@dataclass(frozen=True)
class LargeProgress(Progress):
    """One step of a large image; `done` and `total` count tiles.

    Attributes
    ----------
    stage : Progress or None
        The progress within the tile at work, or within what comes after the tiles.
    failed, reused : int
        Tiles so far that failed, and that were there already.
    """

    stage: Progress | None = None
    failed: int = 0
    reused: int = 0


@dataclass(frozen=True)
class LargeResult:
    """What became of a large image.

    Attributes
    ----------
    shown : str
        What it was called.
    labels : pathlib.Path
        The label image, an OME-Zarr.
    table : pathlib.Path
        One line for each object.
    objects : int
        Objects in it.
    tiles : int
        Tiles in all.
    reused : int
        Tiles that were there already.
    failed : tuple of str
        What went wrong with each tile that failed.
    """

    shown: str
    labels: Path
    table: Path
    objects: int
    tiles: int
    reused: int
    failed: tuple[str, ...]


class TileWorkers(Protocol):
    """Who does the tiles; `engine.large.cluster` has others than this process."""

    def tile_steps(
        self, job: LargeJob, places: Sequence[Place], model: ModelSource, results: dict[Place, TileResult]
    ) -> Steps[None]:
        """Do all tiles, whatever their order, and put what became of each under its place."""


@dataclass(frozen=True, eq=False)
class ThisProcess:
    """One tile after the other, here.

    Attributes
    ----------
    segment : SegmentTile, optional
        What finds the objects, in place of the model.
    """

    segment: SegmentTile | None = None

    def tile_steps(
        self, job: LargeJob, places: Sequence[Place], model: ModelSource, results: dict[Place, TileResult]
    ) -> Steps[None]:
        """Do all tiles in their order."""
        segment = self.segment or Everything(LazyPredictor(model))
        opened = job.image.open()
        for place in places:
            steps = tile_steps(job, opened, place, segment)
            results[place] = yield from relabelled(steps, partial(progress_of, len(places), results))


def large_steps(
    image: ImageOnDemand,
    name: str,
    folder: str | PathLike[str],
    model: ModelSource,
    settings: AutomaticSettings | None = None,
    *,
    tiling: TilingSettings | None = None,
    contrast_limits: tuple[float, float] | None = None,
    painting: PaintingRule = "smaller",
    model_side: int = DEFAULT_MODEL_SIDE,
    tiff: bool = False,
    workers: TileWorkers | None = None,
    on_map: MapOutputs | None = None,
) -> Steps[LargeResult]:
    """Segment everything in one large image; closing the generator stops within the tile at work.

    Parameters
    ----------
    image : ImageOnDemand
        The image.
    name : str
        What its outputs are called.
    folder : path
        Where they go: labels/NAME.zarr and tables/NAME.csv; the tiles are kept in .segany/tiles/NAME.
    model : ModelSource
        `NamedModel`, or `LoadedModel` for one that is at hand.
    settings : AutomaticSettings, optional
        What is asked in each tile, and kept.
    tiling : TilingSettings, optional
        How the image is cut.
    contrast_limits : (float, float), optional
        Intensities that become black and white in all tiles; by default those of a sample of the whole image.
    painting : str
        Which mask shows where several overlap: "smaller", "larger" or "better".
    model_side : int
        Longer side of images as the model sees them, the side of tiles where `tiling` gives none.
    tiff : bool
        Write labels/NAME.tif too.
    workers : TileWorkers, optional
        Who does it; this process by default.
    on_map : MapOutputs, optional
        What else is written of a raster with a place on Earth; its label GeoTIFF is labels/NAME.tif.

    Yields
    ------
    LargeProgress
        Tiles done; then what comes after them.

    Returns
    -------
    LargeResult
        What became of it.

    Raises
    ------
    OSError
        Where the image cannot be opened, outputs cannot be written, another run writes into the folder, or weights
        are missing.
    ValueError
        For an image that is none, settings that do not fit, weights that are damaged, or outputs that are there and
        were not written by a batch.
    """
    if on_map is not None:
        on_map.check()
    folder = Path(folder).expanduser().absolute()
    state = folder / ".segany" / "tiles" / name
    _check_outputs(folder, name, on_map, tiff=tiff)
    # Of the whole folder: a batch clears temporary files in all of it, those of a run at work would go with them.
    with BatchFolder(folder).locked():
        place = getattr(image, "path", None)  # an array has none
        outputs = _outputs(folder, name, on_map, tiff=tiff)
        BatchFolder(folder).claim_tiles(name, outputs, "" if place is None else str(Path(place).absolute()))
        yield LargeProgress(0, 0, f"{name}: Looking at the image")
        opened = image.open()
        limits = image_limits(opened) if contrast_limits is None else checked_limits(contrast_limits)
        tell = partial(progress_of, 0, {})
        digest = yield from relabelled(model.digest_steps(), tell)
        job = large_job(
            state, image, opened, model_side=model_side, model_digest=digest, contrast_limits=limits,
            settings=settings or AutomaticSettings(), tiling=tiling or TilingSettings(), painting=painting,
        )  # fmt: skip
        steps = _job_steps(job, opened, name, folder, model, workers or ThisProcess(), tiff=tiff, on_map=on_map)
        return (yield from steps)


def _check_outputs(folder: Path, name: str, on_map: MapOutputs | None, *, tiff: bool) -> None:
    """Refuse at the first run to write over what no batch wrote."""
    if (folder / ".segany" / "tiles" / name).exists():
        return
    recorded = BatchFolder(folder).recorded(name)
    own = set() if recorded is None else {folder / path for path in recorded.files}
    for path in _outputs(folder, name, on_map, tiff=tiff):
        if path.exists() and path not in own:
            raise ValueError(
                f"{path.relative_to(folder).as_posix()} is there and was not written by segany; choose another folder"
            )


def _outputs(folder: Path, name: str, on_map: MapOutputs | None, *, tiff: bool) -> list[Path]:
    """Return where the outputs will be."""
    labels = folder / "labels" / f"{name}.zarr"
    files = [labels, folder / "tables" / f"{name}.csv", *([labels.with_suffix(".tif")] if tiff else [])]
    return [*files, *(on_map.files(labels) if on_map is not None else ())]


def progress_of(total: int, results: Mapping[Place, TileResult], stage: Progress | None = None) -> LargeProgress:
    """Return where an image of `total` tiles is."""
    failed = sum(bool(result.error) for result in results.values())
    reused = sum(result.reused for result in results.values())
    return LargeProgress(len(results), total, "" if stage is None else stage.note, stage, failed, reused)


def _job_steps(
    job: LargeJob,
    opened: LazyImage,
    name: str,
    folder: Path,
    model: ModelSource,
    workers: TileWorkers,
    *,
    tiff: bool,
    on_map: MapOutputs | None,
) -> Steps[LargeResult]:
    places = list(job.places())
    results: dict[Place, TileResult] = {}
    yield from workers.tile_steps(job, places, model, results)
    failed = tuple(results[place].error for place in places if results[place].error)
    labels, table = folder / "labels" / f"{name}.zarr", folder / "tables" / f"{name}.csv"
    tell = partial(progress_of, len(places), results)
    further: list[Any] = [COLUMNS, _size_facts(job), *([] if on_map is None else [on_map.facts])]
    key = digest_of([results[place].key for place in places], job.painting, *further)
    # Outputs made of all tiles stay where some cannot be read today and nothing else has changed.
    before = digest_of([_kept_key(job, results[place]) for place in places], job.painting, *further)
    files = [table] if on_map is None else [table, *on_map.files(labels)]
    objects = _known(job, (key, before), labels, files)
    if objects is None:
        # Outputs that are half replaced are those of no run.
        (job.folder / "done").unlink(missing_ok=True)
        objects = yield from relabelled(_output_steps(job, opened, results, labels, table, on_map), tell)
        _write_text(job.folder / "done", f"{key} {objects}")
    if tiff and on_map is None:
        yield from relabelled(write_tiff_steps(labels, labels.with_suffix(".tif")), tell)
    reused = sum(results[place].reused for place in places)
    return LargeResult(job.image.shown, labels, table, objects, len(places), reused, failed)


def _output_steps(
    job: LargeJob,
    opened: LazyImage,
    results: Mapping[Place, TileResult],
    labels: Path,
    table: Path,
    on_map: MapOutputs | None,
) -> Steps[int]:
    store = TileStore(job)
    levels = []
    for level in job.plan.levels:
        there = [place for place in job.places() if place.level == level and not results[place].error]
        levels.append((level, (yield from stitch_steps(store, there))))
    objects = all_objects(job, levels)
    measures = ObjectMeasures(len(objects), opened, is_damaged=any(result.error for result in results.values()))
    yield from paint_steps(store, objects, labels, measures)
    table.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, measures.table(objects, job.image.pixel_size))
    if on_map is not None:
        yield from on_map.steps(store, objects, labels)
    return len(objects)


def _size_facts(job: LargeJob) -> list[Any] | None:
    """Return the size of a pixel as plain values."""
    size = job.image.pixel_size
    return None if size is None else [size.row, size.col, size.unit]


def _kept_key(job: LargeJob, result: TileResult) -> str:
    """Return what the masks of a tile that are on the disk were made of, those of an earlier run if it failed."""
    if not result.error:
        return result.key
    try:
        return read_tile(job.path(result.place)).key
    except (OSError, ValueError):
        return ""


def _known(job: LargeJob, keys: Collection[str], labels: Path, files: Sequence[Path]) -> int | None:
    """Return the number of objects if the outputs were made of these very tiles and are there."""
    try:
        words = (job.folder / "done").read_text(encoding="utf-8").split()
    except OSError:
        return None
    is_same = len(words) == 2 and words[0] in keys and words[1].isdigit()
    return int(words[1]) if is_same and labels.is_dir() and all(path.is_file() for path in files) else None


def _write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
