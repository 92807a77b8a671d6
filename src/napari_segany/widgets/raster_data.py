"""Where a raster with a place on Earth holds data: nothing is asked, and nothing found, where it does not. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.formats.geo_nodata import valid_pixels
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView
from napari_segany.formats.window_mask import WindowMask
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.geometry import Plane

ReadRegion = Callable[[Plane], NDArray[np.bool_] | None]


@dataclass(frozen=True)
class RasterData:
    """What a layer shows of a raster. Its file is read, so call the methods in the background.

    Attributes
    ----------
    view : RasterView
        The raster and its bands.
    """

    view: RasterView

    @classmethod
    def of(cls, image: Image | None) -> RasterData | None:
        """Return that of a layer; None for an image that is no raster."""
        view = None if image is None else image.metadata.get(VIEW_KEY)
        return cls(view) if isinstance(view, RasterView) else None

    def check(self, prompts: Prompts) -> None:
        """Refuse prompts where there are no data.

        Raises
        ------
        ValueError
            For a point there, or a box that holds nothing else.
        OSError
            Where the file is gone.
        """
        if prompts.points:
            points = np.array(prompts.points, float)
            missing = ~self.view.valid_at(points)
            if missing.any():
                row, col = np.round(points[missing][0]).astype(int)
                raise ValueError(
                    f"{self.view.raster.name} has no data at row {row}, column {col}: nothing is asked there; move "
                    "or undo that point."
                )
        if prompts.box is not None and not self.view.has_data(prompts.box):
            raise ValueError(f"{self.view.raster.name} has no data in the box: nothing is asked there; move it.")

    def allows(self, prompts: Prompts) -> bool:
        """Tell whether `check` accepts prompts."""
        try:
            self.check(prompts)
        except ValueError:
            return False
        return True

    def cut(self, mask: WindowMask) -> WindowMask:
        """Return a mask without its pixels where there are no data."""
        if not mask.area:
            return mask
        valid = self.view.valid(mask.box)
        return mask if valid.all() else WindowMask.cropped(mask.pixels & valid, mask.origin, mask.image_shape)

    def cut_whole(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return an (H, W) mask without its pixels where there are no data."""
        return self.cut(WindowMask.cropped(mask, (0, 0), (mask.shape[0], mask.shape[1]))).full()


def region_on_data(image: Image, read_region: ReadRegion) -> ReadRegion:
    """Return a reader of a region without the pixels where a raster holds no data; the same one for other images."""
    data = RasterData.of(image)
    if data is None:
        return read_region
    view = data.view

    def read(plane: Plane) -> NDArray[np.bool_] | None:
        valid, wanted = valid_pixels(view.raster, view.choice), read_region(plane)
        return wanted if valid is None else valid if wanted is None else valid & wanted

    return read
