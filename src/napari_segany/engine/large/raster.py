"""Large rasters with a place on Earth: their pixels tile by tile, where they hold data, and objects back on the map.

Needs the extra `geo`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_segany.engine.batch.raster_source import pixel_size_on_ground
from napari_segany.engine.large.objects import LargeObjects
from napari_segany.engine.large.painting import object_window
from napari_segany.engine.large.tile_store import TileStore
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import Window
from napari_segany.formats.geo_features import check_target
from napari_segany.formats.geo_labels import write_label_geotiff
from napari_segany.formats.geo_polygons import window_polygon
from napari_segany.formats.geo_pyramid import RasterView, raster_levels
from napari_segany.formats.geo_vectors import TracedObject, VectorSettings, check_vectors, write_traced
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.pixel_size import PixelSize


@dataclass(frozen=True)
class RasterAtPath:
    """A raster in a file; a worker of a cluster opens it under the same path.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    shown : str
        The path as it was given.
    view : RasterView
        Its bands and the one stretch of all tiles.
    """

    path: Path
    shown: str
    view: RasterView

    @property
    def pixel_size(self) -> PixelSize | None:
        """How large a pixel is in metres; None where that depends on the place."""
        return pixel_size_on_ground(self.view.raster.grid)

    def open(self) -> LazyImage:
        """Open it."""
        return raster_levels(self.view)

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """Return (rows, cols) bool of a window, False where it holds no data; None where it does everywhere."""
        valid = self.view.valid(window.box, factor=window.factor)
        return None if valid.all() else valid

    @property
    def contrast_limits(self) -> tuple[float, float] | None:
        """The one stretch; None for colours, which have it already."""
        view = self.view
        return None if view.choice.is_rgb else (view.stretch.low[0], view.stretch.high[0])


@dataclass(frozen=True)
class MapOutputs:
    """What is written of a raster besides its labels as a zarr.

    Attributes
    ----------
    raster : RasterAtPath
        The raster.
    vectors : tuple of pathlib.Path
        The vector files.
    settings : VectorSettings
        How objects become features.
    """

    raster: RasterAtPath
    vectors: tuple[Path, ...] = ()
    settings: VectorSettings = field(default_factory=VectorSettings)

    @property
    def facts(self) -> list[Any]:
        """What the files depend on besides the objects, as plain values."""
        return [asdict(self.raster.view.raster.grid), [path.name for path in self.vectors], asdict(self.settings)]

    def files(self, labels: Path) -> tuple[Path, ...]:
        """Return what is written, given where the zarr of labels is."""
        return (labels.with_suffix(".tif"), *self.vectors)

    def check(self) -> None:
        """Raise ValueError before the work for what cannot be written after it."""
        crs = self.raster.view.raster.grid.crs
        for path in self.vectors:
            check_target(path, crs)
        if self.vectors:
            check_vectors([path.suffix for path in self.vectors], crs, self.settings.measure)

    def steps(self, store: TileStore, objects: LargeObjects, labels: Path) -> Steps[None]:
        """Write the label GeoTIFF beside the zarr, and the vector files.

        Raises
        ------
        OSError
            Where they cannot be written, or a tile is missing.
        """
        grid = self.raster.view.raster.grid
        yield Progress(0, 0, "Writing the GeoTIFF")
        array: Any = zarr.open_group(labels, mode="r")["0"]
        write_label_geotiff(labels.with_suffix(".tif"), array, grid)
        if not self.vectors:
            return
        traced = []
        for index, (top, left, bottom, right) in enumerate(objects.boxes.tolist()):
            box = (top, left, bottom, right)
            if index % 64 == 0:
                yield Progress(index, len(objects), "Tracing outlines")
            mask = object_window(store, objects, index, box)
            valid = self.raster.valid(Window(0, box))
            mask = mask if valid is None else mask & valid
            scores = float(objects.predicted_iou[index]), float(objects.stability_score[index])
            traced.append(TracedObject(window_polygon(mask, box[:2]), index + 1, "", *scores))
        for path in self.vectors:
            yield Progress(0, 0, f"Writing {path.name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_traced(path, traced, grid, self.settings)
