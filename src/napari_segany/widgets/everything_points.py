"""Points of the user's in place of the grid: those of a Points layer, on each slice. Knows napari's layers, no Qt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.layers import Image, Points

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.widgets.everything_region import positions_in_image
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import spatial_shape

SettingsOf = Callable[[Plane], AutomaticSettings]
"""Returns the settings for a plane."""


def settings_by_plane(image: Image, points: Points | None, settings: AutomaticSettings) -> SettingsOf:
    """Return what gives each plane its settings, as the layers are now.

    The points of a plane take the place of the grid of the whole image; crops are asked their regular grid. Points
    beside the image are left out. Points with fewer dimensions than the image count for every slice.

    Parameters
    ----------
    image : Image
        The image that is asked.
    points : Points or None
        The layer; None for the grid.
    settings : AutomaticSettings
        Everything else.
    """
    if points is None:
        return lambda _: settings
    positions, everywhere = positions_in_image(image, points, np.asarray(points.data, dtype=float))
    shape = spatial_shape(image)

    def of_plane(plane: Plane) -> AutomaticSettings:
        from napari_segany.engine.crops import grid_of

        size = np.array(plane.shape_in(shape))
        here = positions if everywhere(plane) else positions[plane.contains(positions)]
        pixels = plane.to_plane(here)
        inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(axis=1)
        own = np.maximum(pixels[inside], 0) / size
        plain = settings.replaced(point_grids=None)
        crops = [grid_of(layer, plain) for layer in range(1, settings.crop_n_layers + 1)]
        return settings.replaced(point_grids=(own, *crops))

    return of_plane


def has_points(settings: AutomaticSettings) -> bool:
    """Tell whether the grid of the whole image has any point."""
    return settings.point_grids is None or len(settings.point_grids[0]) > 0
