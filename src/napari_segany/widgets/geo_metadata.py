"""What a layer inherits from the raster that it is made of: its place on Earth. Knows neither napari nor Qt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_segany.formats.geo_grid import GRID_KEY
from napari_segany.formats.geo_pyramid import VIEW_KEY


def inherited_place(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the grid and the view among an image's metadata; {} for an image without a place."""
    return {key: metadata[key] for key in (GRID_KEY, VIEW_KEY) if key in metadata}
