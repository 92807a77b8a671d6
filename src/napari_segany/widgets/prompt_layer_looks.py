"""How the layers that take prompts look. Knows napari's layers, but no viewer, no session and no Qt."""

from __future__ import annotations

import numpy as np
import pandas as pd
from napari.layers import Image, Points, Shapes

from napari_segany.widgets.layers import placement, spatial_shape

FOREGROUND, BACKGROUND = "foreground", "background"
SYMBOLS = {FOREGROUND: "disc", BACKGROUND: "cross"}
COLOURS = {FOREGROUND: "lime", BACKGROUND: "red"}

BOX_COLOUR = "yellow"

MARKER_PIXELS = (6, 11)
"""Least and greatest size of a click's marker on the screen: it must not hide the object that was clicked."""


def new_points(image: Image) -> Points:
    """Return an empty layer for clicks that lies where the image lies; a point's colour tells its label."""
    names = pd.Categorical([], categories=[FOREGROUND, BACKGROUND])
    points = Points(
        ndim=image.ndim,
        name="prompt points",
        size=_point_size(image),
        features=pd.DataFrame({"label": names}),
        face_color="label",
        face_color_cycle=[COLOURS[FOREGROUND], COLOURS[BACKGROUND]],
        border_color="black",
        border_width=0.08,
        canvas_size_limits=MARKER_PIXELS,
        **placement(image),
    )
    points.feature_defaults = {"label": FOREGROUND}
    return points


def new_boxes(image: Image) -> Shapes:
    """Return an empty layer for boxes that lies where the image lies."""
    return Shapes(
        ndim=image.ndim,
        name="prompt boxes",
        edge_color=BOX_COLOUR,
        edge_width=_edge_width(image),
        face_color="transparent",
        **placement(image),
    )


def suited(layer: Points | Shapes, image: Image) -> Points | Shapes:
    """Return an empty layer that served another image with the sizes for this one."""
    if isinstance(layer, Points):
        layer.current_size = _point_size(image)
    else:
        layer.current_edge_width = _edge_width(image)
    return layer


def mark(points: Points) -> None:
    """Give every point the symbol of its label; the colour follows the label by itself.

    Those that have it already are left alone, for napari draws all points anew.
    """
    symbols = [SYMBOLS[str(name)] for name in points.features["label"]]
    if symbols != [str(symbol) for symbol in points.symbol]:
        points.symbol = symbols


def _point_size(image: Image) -> float:
    return float(np.clip(min(spatial_shape(image)[-2:]) / 45, 3, 40))


def _edge_width(image: Image) -> float:
    return max(1.0, min(spatial_shape(image)[-2:]) / 250)
