"""The keys of the layer `everything`, bound while a session has it. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_segany.widgets.keys import Key

if TYPE_CHECKING:
    from napari_segany.widgets.everything_editor import EverythingEditor

EVERYTHING_KEYS = (
    Key("N", "pick", "copy the selected objects into objects"),
    Key("Delete", "delete", "delete the selected objects"),
    Key("J", "merge", "join the selected objects"),
    Key("Control-Z", "undo", "take back a deletion or merger"),
)


def bind_keys(layer: Layer, editor: EverythingEditor) -> None:
    """Bind the keys on the layer."""
    for key in EVERYTHING_KEYS:
        layer.bind_key(key.key, _action(editor, key.method), overwrite=True)


def release_keys(layer: Layer) -> None:
    """Give the keys of the layer back."""
    for key in EVERYTHING_KEYS:
        layer.bind_key(key.key, None, overwrite=True)


def _action(editor: EverythingEditor, method: str) -> Callable[[Any], None]:
    def act(_: Any) -> None:
        editor.attempt(method)

    return act
