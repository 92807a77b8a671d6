"""Rasters with a place on Earth as images of a batch, with bands, one stretch, nodata and grid. Extra `geo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_segany.engine.batch.sources import FileSource, ImageContent, file_digest_steps
from napari_segany.engine.digests import new_hasher
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.formats.geo_crs import metres_per_unit
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_raster import raster_files
from napari_segany.formats.geo_view import view_steps
from napari_segany.formats.pixel_size import PixelSize

if TYPE_CHECKING:
    from napari_segany.formats.geo_pyramid import RasterView

Bands = str | int | tuple[int, ...] | None
"""A preset ("true colour", "false colour", "ndvi"), a number from 1, or three; None for what the file tells."""


@dataclass(frozen=True)
class RasterSource(FileSource):
    """A GeoTIFF, COG or VRT file.

    Attributes
    ----------
    path, shown
        As of any file.
    bands : str, int or tuple of int, optional
        Which of its bands are seen, as `choose_bands` takes them.
    """

    bands: Bands = None

    def digest_steps(self) -> Steps[str]:
        """Return the hash of the file, of those that it refers to (a VRT, world files), and of the bands."""
        hasher = new_hasher("xxh128")
        hasher.update(repr(self.bands).encode())
        for path in raster_files(self.path):
            hasher.update((yield from file_digest_steps(path)).encode())
        digest: str = hasher.hexdigest()
        return digest

    def view(self) -> RasterView:
        """Choose the bands and measure the intensities.

        Raises
        ------
        OSError
            For a file that is missing or cannot be opened.
        ValueError
            For a file that is damaged, or bands that it does not have.
        """
        steps = view_steps(self.path, self.bands)
        return drain(relabelled(steps, lambda step: Progress(*step, "Measuring the intensities")))

    def read(self) -> ImageContent:
        """Read what is shown of the raster; see `view` for the errors."""
        view = self.view()
        limits = None if view.choice.is_rgb else (view.stretch.low[0], view.stretch.high[0])
        return ImageContent(view.read(), pixel_size_on_ground(view.raster.grid), limits, view)


def pixel_size_on_ground(grid: GeoGrid) -> PixelSize | None:
    """Return how large pixels are in metres; None where they are measured in degrees, or lie nowhere."""
    unit = metres_per_unit(grid.crs) if grid.has_place else None
    if unit is None:
        return None
    rows, cols = grid.pixel_size
    return PixelSize(rows * unit, cols * unit, "m")
