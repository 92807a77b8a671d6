"""Colours of outlines, ready before the first one is drawn: napari compiles what looks them up. Knows no Qt."""

from __future__ import annotations

import numpy as np

from napari_segany.engine.progress import Progress, Steps


def ready_steps() -> Steps[None]:
    """Let napari look up a colour of an outline once.

    The first look-up of a program takes most of a second, in which the window would stand still under the user's
    mouse; in a thread, while the model is loaded, nobody waits for it.
    """
    from napari.utils.colormaps import DirectLabelColormap

    yield Progress(0, 1, "Preparing the colours")
    colours = {0: "transparent", 1: "white", None: "transparent"}
    DirectLabelColormap(color_dict=colours).map(np.zeros((2, 2), np.uint8))
