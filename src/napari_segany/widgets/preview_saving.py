"""Previews are no objects: they are left out when layers are saved, by napari's own writers too. Knows no Qt."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any
from weakref import ReferenceType, ref

from napari.components import LayerList
from napari.layers import Layer

PREVIEW_KEY = "napari_segany_preview"
"""Key of the metadata of previews, by which others leave them out: masks on offer, outlines, regions."""


def is_preview(layer: Layer) -> bool:
    """Whether nothing in a layer was accepted."""
    return PREVIEW_KEY in layer.metadata


def leave_previews_out(layers: LayerList) -> None:
    """Have `layers.save` leave previews out from now on; "Save All Layers" and "Save Selected Layers" call it.

    Napari has no mark for layers that are not to be saved, and its folder writer takes whatever it is given. The
    list's own method is used as long as there is no preview among the layers.
    """
    vars(layers).setdefault("save", partial(_save, ref(layers)))


def _save(
    known: ReferenceType[LayerList], path: str, *, selected: bool = False, plugin: str | None = None, **others: Any
) -> list[str]:
    from napari.plugins.io import save_layers

    layers = known()
    if layers is None:
        return []
    chosen = [layer for layer in layers if not selected or layer in layers.selection]
    lasting = [layer for layer in chosen if not is_preview(layer)]
    if len(lasting) == len(chosen):
        return type(layers).save(layers, path, selected=selected, plugin=plugin, **others)
    if not lasting:
        names = ", ".join(repr(layer.name) for layer in chosen)
        warnings.warn(
            f"Nothing was saved: {names} is a preview and holds no accepted object; accept the mask (key N) and save "
            "the layer 'objects'.",
            stacklevel=2,
        )
        return []
    return save_layers(path, lasting, plugin=plugin, **others)
