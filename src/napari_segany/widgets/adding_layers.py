"""Adding a layer to a viewer without what napari would make for it and nobody asked for. Knows no Qt.

Of the time that napari takes to add a Labels layer, a third goes into what is drawn while its polygon tool or its
brush is used, and a third into making the new layer the active one, with its controls, and the last one active again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels, Layer


def add_quietly(viewer: ViewerModel, layer: Layer, position: int) -> None:
    """Add a layer at a position of the list; the layers that are selected stay so.

    What its tools draw is made when they are first used.
    """
    if isinstance(layer, Labels):
        let_tools_wait(layer)
    with selection_kept(viewer):
        viewer.layers.insert(position, layer)


@contextmanager
def selection_kept(viewer: ViewerModel) -> Iterator[None]:
    """Have the same layers selected after something that selects others, and nobody told of what was meanwhile."""
    selection = viewer.layers.selection
    before = set(selection)
    with selection.events.blocker_all():
        yield
        if len(before) == 1:
            selection.active = next(iter(before))
        else:
            selection.clear()
            selection.update(before)


def let_tools_wait(layer: Labels) -> None:
    """Have what the tools of a Labels layer draw made when one of them is chosen, as napari does with all else.

    Napari offers no public way to this; where it has no such parts, all stays as it is.
    """
    for name in ("polygon", "brush_stroke"):
        overlay = getattr(layer, "_overlays", {}).get(name)
        if overlay is not None and overlay.visible and not overlay.enabled:
            overlay.visible = False
            overlay.events.enabled.connect(partial(_make, overlay))


def _make(overlay: Any, event: Any) -> None:
    if overlay.enabled:
        overlay.visible = True
