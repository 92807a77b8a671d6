"""The files of a large image, made of its tiles: labels, table, what is on the map; and whether they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.tile_outputs import TileOutputs
from napari_segany.engine.large.job import LargeJob, Place, digest_of
from napari_segany.engine.large.measures import COLUMNS, ObjectMeasures
from napari_segany.engine.large.objects import all_objects
from napari_segany.engine.large.one_tile import TileResult
from napari_segany.engine.large.painting import paint_steps, write_tiff_steps
from napari_segany.engine.large.raster import MapOutputs
from napari_segany.engine.large.stitching import stitch_steps
from napari_segany.engine.large.tile_masks import read_tile
from napari_segany.engine.large.tile_store import TileStore
from napari_segany.engine.progress import Steps
from napari_segany.formats.atomic import replacing
from napari_segany.formats.geo_features import vector_files
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.table import write_table

_FORM = 2  # of the files; those of an earlier form are made anew from the tiles


@dataclass(frozen=True)
class KnownOutputs:
    """Outputs that are there: how many objects they have, and whether of tiles that cannot be done any more."""

    objects: int
    is_earlier: bool


@dataclass(frozen=True)
class LargeOutputs:
    """What is written of a large image.

    Attributes
    ----------
    folder : pathlib.Path
        Where it goes.
    name : str
        What it is called.
    tiff : bool
        Write the labels as a TIFF too; of a raster they are always.
    on_map : MapOutputs or None
        What is written of a raster besides.
    """

    folder: Path
    name: str
    tiff: bool = False
    on_map: MapOutputs | None = None

    @property
    def labels(self) -> Path:
        """The labels as an OME-Zarr."""
        return self.folder / "labels" / f"{self.name}.zarr"

    @property
    def table(self) -> Path:
        """One line for each object."""
        return self.folder / "tables" / f"{self.name}.csv"

    @property
    def record(self) -> TileOutputs:
        """What earlier runs wrote."""
        return TileOutputs(self.folder, self.name)

    @property
    def files(self) -> tuple[Path, ...]:
        """All of it."""
        if self.on_map is not None:
            return (self.labels, self.table, *self.on_map.files(self.labels))
        return (self.labels, self.table, *([self.labels.with_suffix(".tif")] if self._has_own_tiff else []))

    def check(self) -> None:
        """Refuse to write over what no batch wrote, with ValueError."""
        recorded = BatchFolder(self.folder).recorded(self.name)
        own = set() if recorded is None else {self.folder / path for path in recorded.files}
        for path in self.files:
            if path.exists() and path not in own and not self.record.has_written(path):
                raise ValueError(
                    f"{path.relative_to(self.folder).as_posix()} is there and was not written by segany; choose "
                    "another folder"
                )

    def known(self, job: LargeJob, results: Mapping[Place, TileResult]) -> KnownOutputs | None:
        """Return what is there if it was made of these very tiles.

        Outputs made of all tiles stay where some cannot be read today and nothing else has changed.
        """
        try:
            words = (job.folder / "done").read_text(encoding="utf-8").split()
        except OSError:
            return None
        now = self._key(job, {place: result.key for place, result in results.items()})
        before = self._key(job, {place: _kept_key(job, result) for place, result in results.items()})
        is_same = len(words) == 2 and words[0] in (now, before) and words[1].isdigit()
        files = [self.table] if self.on_map is None else [self.table, *self.on_map.files(self.labels)]
        if not (is_same and self.labels.is_dir() and all(path.is_file() for path in files)):
            return None
        return KnownOutputs(int(words[1]), words[0] != now)

    def make_steps(self, job: LargeJob, opened: LazyImage, results: Mapping[Place, TileResult]) -> Steps[int]:
        """Stitch, draw, measure and write the objects; return how many there are.

        Raises
        ------
        OSError, ValueError
            Where the image or a tile cannot be read, or nothing can be written.
        """
        # Outputs that are half replaced are those of no run.
        (job.folder / "done").unlink(missing_ok=True)
        store = TileStore(job)
        levels = []
        for level in job.plan.levels:
            there = [place for place in job.places() if place.level == level and not results[place].error]
            levels.append((level, (yield from stitch_steps(store, there))))
        objects = all_objects(job, levels)
        measures = ObjectMeasures(len(objects), opened, is_damaged=any(result.error for result in results.values()))
        # A raster's labels lie on its grid, whose pixels are degrees or metres by its own coordinate system.
        size = None if self.on_map is not None else job.image.pixel_size
        yield from paint_steps(store, objects, self.labels, measures, size)
        self.table.parent.mkdir(parents=True, exist_ok=True)
        write_table(self.table, measures.table(objects, job.image.pixel_size))
        if self.on_map is not None:
            yield from self.on_map.steps(store, objects, self.labels)
        if self._has_own_tiff:
            yield from write_tiff_steps(self.labels, self.labels.with_suffix(".tif"), size)
        recorded = BatchFolder(self.folder).recorded(self.name)
        yield from self.record.written_steps(self._written(), {} if recorded is None else recorded.files)
        with replacing(job.folder / "done") as temporary:
            key = self._key(job, {place: result.key for place, result in results.items()})
            temporary.write_text(f"{key} {len(objects)}", encoding="utf-8")
        return len(objects)

    def tiff_steps(self, job: LargeJob) -> Steps[None]:
        """Write the labels as a TIFF, if that is wanted, from those of the zarr."""
        if self._has_own_tiff:
            path = self.labels.with_suffix(".tif")
            yield from write_tiff_steps(self.labels, path, job.image.pixel_size)
            yield from self.record.written_steps([path])

    @property
    def _has_own_tiff(self) -> bool:
        return self.tiff and self.on_map is None

    def _written(self) -> list[Path]:
        """Return all files that are there now: a shapefile is several."""
        vectors = () if self.on_map is None else self.on_map.vectors
        return [file for path in self.files for file in (vector_files(path) if path in vectors else [path])]

    def _key(self, job: LargeJob, tiles: Mapping[Place, str]) -> str:
        size = job.image.pixel_size
        facts = [_FORM, COLUMNS, None if size is None else [size.row, size.col, size.unit]]
        further: list[Any] = [*facts, *([] if self.on_map is None else [self.on_map.facts])]
        return digest_of([tiles[place] for place in job.places()], job.painting, *further)


def _kept_key(job: LargeJob, result: TileResult) -> str:
    """Return what the masks of a tile that are on the disk were made of, those of an earlier run if it failed."""
    if not result.error:
        return result.key
    try:
        return read_tile(job.path(result.place)).key
    except (OSError, ValueError):
        return ""
