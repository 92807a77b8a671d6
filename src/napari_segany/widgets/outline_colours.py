"""Colours of layers that show one outline, and how they are ready before the first is drawn. Knows no Qt."""

from __future__ import annotations

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_segany.engine.progress import Progress, Steps


def outline_colormap(colour: str) -> DirectLabelColormap:
    """Return a colormap that shows label 1 in a colour, and nothing else."""
    return DirectLabelColormap(color_dict={0: "transparent", 1: colour, None: "transparent"})


def ready_steps() -> Steps[None]:
    """Let napari look up a colour of an outline once.

    The first look-up of a program takes most of a second, in which the window would stand still under the user's
    mouse; in a thread, while the model is loaded, nobody waits for it.
    """
    yield Progress(0, 1, "Preparing the colours")
    outline_colormap("white").map(np.zeros((2, 2), np.uint8))
