"""One tile from its pixels to its file, by whoever is at work: this process or a worker of a cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.model_source import LazyPredictor
from napari_segany.engine.error_sentences import sentence_of
from napari_segany.engine.large.job import LargeJob, Place
from napari_segany.engine.large.tile_masks import TileMasks, has_tile, read_tile
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.geo_nodata import placed
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.record import MaskRecord

TILE_ERRORS = (MemoryError, RuntimeError)
"""What a tile can cause, or too little memory for it: the others go on. Every error of torch is a RuntimeError."""


class TileError(RuntimeError):
    """A tile that cannot be segmented; the others can."""


class SegmentTile(Protocol):
    """What finds everything in the pixels of a tile; `Everything` does so with a model."""

    def steps(
        self, pixels: NDArray[np.generic], settings: AutomaticSettings, contrast_limits: tuple[float, float]
    ) -> Steps[list[MaskRecord]]:
        """Return records of the size of the tile; one of `TILE_ERRORS` costs this tile, any other error the run."""


@dataclass(frozen=True, eq=False)
class Everything:
    """Segments everything in a tile with a model that is loaded when the first tile needs it.

    Attributes
    ----------
    predictor : LazyPredictor
        The model.
    """

    predictor: LazyPredictor

    def steps(
        self, pixels: NDArray[np.generic], settings: AutomaticSettings, contrast_limits: tuple[float, float]
    ) -> Steps[list[MaskRecord]]:
        """Ask the points of the tile and filter the answers.

        Raises
        ------
        OSError, ValueError
            For a model that cannot be loaded: no tile could be done.
        TileError, MemoryError
            For whatever this tile causes.
        """
        if not self.predictor.is_loaded:
            yield Progress(0, 0, "Loading the model")
        generator = AutomaticMaskGenerator(self.predictor.get(), settings)
        try:
            return (yield from generator.run(pixels, contrast_limits=contrast_limits))
        except (ValueError, OSError, RuntimeError) as error:
            raise TileError(sentence_of(error)) from error


@dataclass(frozen=True)
class TileResult:
    """What became of one tile.

    Attributes
    ----------
    place : Place
        Which tile.
    key : str
        What its masks were made of; "" where it failed.
    masks : int
        How many there are, those that tiles share counted in each.
    error : str
        Why it failed, in one sentence.
    reused : bool
        Whether it was there already.
    content : str
        What tells its pixels from others; "" where they cannot be read.
    """

    place: Place
    key: str = ""
    masks: int = 0
    error: str = ""
    reused: bool = False
    content: str = ""


def tile_steps(job: LargeJob, image: LazyImage, place: Place, segment: SegmentTile) -> Steps[TileResult]:
    """Segment one tile and keep its masks, unless they are there.

    Raises
    ------
    OSError
        Where the masks cannot be written, or weights are missing.
    ValueError
        For weights that are damaged.
    """
    window = job.window(place)
    yield Progress(0, 0, "Reading a tile")
    try:
        pixels = image.read(window.box, window.factor)
        valid = job.image.valid(window)
    except (OSError, ValueError, MemoryError, RuntimeError) as error:
        return TileResult(place, error=f"tile {place.name} cannot be read: {sentence_of(error)}")
    key, path, content = job.key(place, pixels, valid), job.path(place), job.content(pixels, valid)
    if has_tile(path, key):
        return TileResult(place, key, len(read_tile(path)), reused=True, content=content)
    settings = _asked_on_data(job.settings_in(window), valid)
    records: list[MaskRecord] = []
    if settings is not None and not _is_blank(pixels):
        try:
            records = yield from segment.steps(pixels, settings, job.contrast_limits)
        except TILE_ERRORS as error:
            return failed(place, error)
    if valid is not None:
        records = [cut for record in records if (cut := _on_data(record, valid)).area]
    TileMasks.of(key, records).write(path)
    return TileResult(place, key, len(records), content=content)


def failed(place: Place, error: BaseException) -> TileResult:
    """Return what became of a tile that cannot be segmented."""
    return TileResult(place, error=f"tile {place.name}: {sentence_of(error)}")


def _asked_on_data(settings: AutomaticSettings, valid: NDArray[np.bool_] | None) -> AutomaticSettings | None:
    """Return settings without the points on pixels that hold no data; None where none is left."""
    if valid is None or settings.point_grids is None:
        return settings
    points = np.array(settings.point_grids[0], float).reshape(-1, 2)
    rows, cols = np.minimum(points * valid.shape, np.subtract(valid.shape, 1)).astype(np.int64).T
    kept = points[valid[rows, cols]]
    return replace(settings, point_grids=(tuple((row, col) for row, col in kept.tolist()),)) if len(kept) else None


def _on_data(record: MaskRecord, valid: NDArray[np.bool_]) -> MaskRecord:
    top, left, bottom, right = record.bbox
    mask = record.rle.window(record.bbox)
    kept = mask & valid[top:bottom, left:right]
    if np.array_equal(kept, mask):
        return record
    rle = placed(kept, (top, left), record.rle.size)
    return replace(record, rle=rle, bbox=rle.bbox, area=rle.area)


def _is_blank(pixels: NDArray[np.generic]) -> bool:
    """Tell whether all pixels are the same, or none holds data: the empty parts of slides and mosaics."""
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).any():
        return True
    return bool((pixels == pixels[0, 0]).all())
