"""Telling a click from a drag in napari's mouse events. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_DRAG_PIXELS = 4  # of the screen, from which on a press is no click


def clicked(event: Any, on_click: Callable[[tuple[float, ...], bool], None]) -> Iterator[None]:
    """Follow a press of the left button over a plane: what a mouse drag callback of a layer goes through.

    Parameters
    ----------
    event : napari's mouse event
        The press.
    on_click : callable
        Called with the position in the world and whether Shift was held, unless the mouse was dragged, which moves
        the view.
    """
    if event.button != 1 or len(event.dims_displayed) != 2:
        return
    start, moved = np.asarray(event.pos, dtype=float), 0.0
    position, shift = tuple(event.position), "Shift" in event.modifiers
    yield
    while event.type == "mouse_move":
        moved = max(moved, float(np.abs(np.asarray(event.pos) - start).max()))
        yield
    if moved <= _DRAG_PIXELS:
        on_click(position, shift)
