"""Everything in one large image, from its tiles to its labels, as a generator of progress: here, or on a cluster.

Tiles are kept as they are done, so an interrupted run goes on where it was; a tile that fails does not stop the
others and is tried again by the next run. What is written depends on the tiles only, not on when or by whom they were
done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Protocol

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.model_source import LazyPredictor, ModelSource
from napari_segany.engine.image import checked_limits
from napari_segany.engine.large.job import ImageOnDemand, LargeJob, Place, digest_of, large_job
from napari_segany.engine.large.object_scale import measured_diameter_steps, with_objects
from napari_segany.engine.large.one_tile import Everything, SegmentTile, TileResult, tile_steps
from napari_segany.engine.large.outputs import LargeOutputs
from napari_segany.engine.large.raster import MapOutputs
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_embedding import image_limits
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.painting import PaintingRule

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
    is_earlier : bool
        Whether the outputs are those of an earlier run, which had the tiles that failed now.
    object_size : float or None
        The usual diameter of the objects in pixels, where it was to be measured; 0 where there were too few of them.
    """

    shown: str
    labels: Path
    table: Path
    objects: int
    tiles: int
    reused: int
    failed: tuple[str, ...]
    is_earlier: bool = False
    object_size: float | None = None


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
    sampler: SegmentTile | None = None,
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
    sampler : SegmentTile, optional
        What finds the objects that are measured where `tiling` asks for that; the model, in this process, by default.

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
    outputs = LargeOutputs(folder, name, tiff, on_map)
    outputs.check()
    # Of the whole folder: a batch clears temporary files in all of it, those of a run at work would go with them.
    with BatchFolder(folder).locked():
        place, plane = getattr(image, "path", None), getattr(image, "plane", None)  # an array has none
        source = "" if place is None else str(Path(place).absolute())
        BatchFolder(folder).claim_tiles(name, outputs.files, source, "" if plane is None else plane.suffix)
        yield LargeProgress(0, 0, f"{name}: Looking at the image")
        opened = image.open()
        limits = image_limits(opened) if contrast_limits is None else checked_limits(contrast_limits)
        tell = partial(progress_of, 0, {})
        digest = yield from relabelled(model.digest_steps(), tell)
        job = large_job(
            outputs.record.folder, image, opened, model_side=model_side, model_digest=digest, contrast_limits=limits,
            settings=settings or AutomaticSettings(), tiling=tiling or TilingSettings(), painting=painting,
        )  # fmt: skip
        measured: float | None = None
        if tiling is not None and tiling.object_size == "auto":
            segment = sampler or Everything(LazyPredictor(model))
            measured = yield from relabelled(measured_diameter_steps(job, opened, segment), tell)
            job = with_objects(job, measured, tiling)
        result = yield from _job_steps(job, opened, outputs, model, workers or ThisProcess())
        return replace(result, object_size=measured)


def progress_of(total: int, results: Mapping[Place, TileResult], stage: Progress | None = None) -> LargeProgress:
    """Return where an image of `total` tiles is."""
    failed = sum(bool(result.error) for result in results.values())
    reused = sum(result.reused for result in results.values())
    return LargeProgress(len(results), total, "" if stage is None else stage.note, stage, failed, reused)


def content_of(job: LargeJob, results: Mapping[Place, TileResult]) -> str:
    """Return what is the same for images of the same pixels that are cut alike; "" where some cannot be read."""
    contents = [results[place].content for place in job.places()]
    return digest_of(job.plan.side, job.plan.image_shape, contents) if all(contents) else ""


def _job_steps(
    job: LargeJob, opened: LazyImage, outputs: LargeOutputs, model: ModelSource, workers: TileWorkers
) -> Steps[LargeResult]:
    places = list(job.places())
    results: dict[Place, TileResult] = {}
    yield from workers.tile_steps(job, places, model, results)
    tell = partial(progress_of, len(places), results)
    outputs.record.made_of(content_of(job, results))
    known = outputs.known(job, results)
    if known is None:
        objects = yield from relabelled(outputs.make_steps(job, opened, results), tell)
    else:
        objects = known.objects
        yield from relabelled(outputs.tiff_steps(job), tell)
    return LargeResult(
        job.image.shown, outputs.labels, outputs.table, objects, len(places),
        reused=sum(results[place].reused for place in places),
        failed=tuple(results[place].error for place in places if results[place].error),
        is_earlier=known is not None and known.is_earlier,
    )  # fmt: skip
