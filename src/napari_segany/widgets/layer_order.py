"""Which of our layers lies above which: one order for all of them, whoever adds them. Knows no session and no Qt.

A layer remembers its level in its metadata, so that layers of several docks, and of docks that are gone, are ordered
too. Layers that others add have none: ours go over them.
"""

from __future__ import annotations

from enum import IntEnum

from napari.components import LayerList, ViewerModel
from napari.layers import Layer

from napari_segany.widgets.adding_layers import add_quietly, selection_kept
from napari_segany.widgets.preview_saving import is_preview, leave_previews_out

LEVEL_KEY = "napari_segany_level"
"""Key of the metadata of a layer that is ordered."""


class Level(IntEnum):
    """What lies above what, undermost first; layers of a level lie in the order in which they came."""

    OBJECTS = 1
    """What was accepted, and its tracks."""
    FOUND = 2
    """What segmenting everything found."""
    OFFERED = 3
    """Masks that may become objects."""
    OUTLINE = 4
    """Of what is chosen."""
    PREVIEW = 5
    """Of the mask under the mouse."""
    PROMPTS = 6
    """Points and boxes, which must never be hidden."""


def insert_in_order(viewer: ViewerModel, layer: Layer, level: Level, image: Layer) -> None:
    """Add a layer above an image, right under what has a higher level, and leave those selected that are."""
    layer.metadata = {**layer.metadata, LEVEL_KEY: int(level)}
    insert_at(viewer, layer, _place(viewer.layers, level, image))


def insert_at(viewer: ViewerModel, layer: Layer, place: int) -> None:
    """Add a layer at a place of the list and leave those selected that are.

    A preview is left out from now on when the viewer's layers are saved.
    """
    add_quietly(viewer, layer, place)
    if is_preview(layer):
        leave_previews_out(viewer.layers)


def settle(viewer: ViewerModel, level: Level, image: Layer, *layers: Layer) -> None:
    """Have layers of a level, which are in the viewer, where `insert_in_order` would put them.

    They are moved only where something of a lower level, or of nobody's, has come over them, or something higher
    under them: napari draws all anew for it.
    """
    there = viewer.layers
    for layer in layers:
        if layer.metadata.get(LEVEL_KEY) != level:
            layer.metadata = {**layer.metadata, LEVEL_KEY: int(level)}
    place = _place(there, level, image)
    misplaced = [there.index(layer) for layer in layers if not _lies_well(there, layer, level, image, place)]
    if misplaced:
        with selection_kept(viewer):
            there.move_multiple(sorted(misplaced), place)


def _place(layers: LayerList, level: Level, image: Layer) -> int:
    """Return where a layer goes: under the lowest one of a higher level above the image, on top if there is none."""
    first = layers.index(image) + 1 if image in layers else 0
    return next((place for place in range(first, len(layers)) if _level(layers[place]) > level), len(layers))


def _lies_well(layers: LayerList, layer: Layer, level: Level, image: Layer, place: int) -> bool:
    at = layers.index(layer)
    is_above = image not in layers or at > layers.index(image)
    return is_above and at < place and all(_level(layers[other]) >= level for other in range(at + 1, place))


def _level(layer: Layer) -> int:
    return int(layer.metadata.get(LEVEL_KEY, 0))
