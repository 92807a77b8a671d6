"""Sparing napari work that it would do twice at one change: events that do not reach one of its callbacks.

Napari's own callbacks are told by their names, for it offers no public way to them; where there is none of a name,
all goes as it always does. Callbacks of others hear everything. Knows napari's layers and viewer model, but no Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer


@contextmanager
def measured_at_most_once(viewer: ViewerModel, layers: Sequence[Layer]) -> Iterator[None]:
    """Have a viewer measure all its layers once after some are changed or moved, if the whole lies elsewhere then.

    Of a point that is added or removed napari tells twice, and measures all layers each time.
    """
    with ExitStack() as stack:
        told = [emitter for layer in layers for emitter in (layer.events.data, layer.events.translate)]
        measure = {one for emitter in told for one in _unheard(stack, emitter, "_on_layers_change")}
        before = viewer.layers.extent.world
        yield
    if not np.array_equal(viewer.layers.extent.world, before, equal_nan=True):
        for callback in measure:
            callback()


def show_in_place_of(shown: Layer | None, others: Sequence[Layer]) -> None:
    """Show one layer and hide the others; those that are as they should be are left alone.

    Napari goes through all layers for each that is shown or hidden: here once for all of them.
    """
    hidden = [layer for layer in others if layer.visible]
    comes = shown is not None and not shown.visible
    for number, layer in enumerate(hidden, start=1):
        with ExitStack() as stack:
            if comes or number < len(hidden):
                _unheard(stack, layer.events.visible, "_update_scenegraph")
            layer.visible = False
    if shown is not None and comes:
        shown.visible = True


def select_alone(viewer: ViewerModel, layer: Layer) -> None:
    """Make a layer the only selected one, as one change.

    Setting the active layer is two for napari: none is selected in between, with all that belongs to it.
    """
    selection = viewer.layers.selection
    if selection.active is not layer:
        selection.symmetric_difference_update({layer} ^ set(selection))


def methods_of(emitter: Any, name: str) -> list[Callable[..., None]]:
    """Return the methods of a name that are connected to an emitter."""
    there = [callback for callback in emitter.callbacks if isinstance(callback, tuple) and callback[1] == name]
    return [getattr(callback[0](), name) for callback in there if callback[0]() is not None]


def _unheard(stack: ExitStack, emitter: Any, name: str) -> list[Callable[..., None]]:
    """Keep an event from the methods of a name until the stack is left; return those."""
    methods = methods_of(emitter, name)
    for method in methods:
        stack.enter_context(emitter.blocker(method))
    return methods
