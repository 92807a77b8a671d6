"""The keys of prompt segmentation: bound on the viewer and on our own layers, and taken away again. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_segany.widgets.session import PromptSession


@dataclass(frozen=True)
class Key:
    """A key, the method of the session (or "editor." and one of its editor's) that it calls, and what people read."""

    key: str
    method: str
    text: str
    arguments: tuple[int, ...] = ()


KEYS = (
    Key("N", "accept", "accept the mask"),
    Key("W", "next_candidate", "next mask"),
    Key("Shift-W", "previous_candidate", "previous mask"),
    Key("U", "clear_prompts", "drop the prompts"),
    Key("H", "preview.toggle", "mask under the mouse, on or off"),
    Key("Q", "toggle_polarity", "swap what a click means"),
    Key("Control-Z", "undo", "undo"),
    Key("Control-Shift-Z", "redo", "do again"),
    Key("G", "editor.toggle_here", "select the object under the mouse"),
    Key("Shift-G", "editor.reopen_here", "open it again, to correct it"),
    Key("J", "editor.merge_here", "merge it with the selected"),
    Key("K", "editor.split_here", "split it"),
    Key("Shift-N", "editor.delete_here", "delete it"),
    *(Key(f"Control-{number}", "classes.choose_number", f"class {number}", (number,)) for number in range(1, 10)),
    Key("Shift-U", "classes.choose_none", "no class"),  # Control-0 is napari's, and goes before what we bind
)


class KeyBindings:
    """Keys of one session, on its viewer and on the layers it makes.

    Bindings of a layer go before those of the viewer, so that a click into the canvas with one of our layers active
    always finds them; on the viewer they are only taken where nobody else has them.
    """

    def __init__(self, viewer: ViewerModel, session: PromptSession) -> None:
        self._viewer = viewer
        self._session = session
        self._on_viewer: list[str] = []
        for key in KEYS:
            try:
                viewer.bind_key(key.key, self._action(key))
            except ValueError:
                continue  # taken by the user or another plugin
            self._on_viewer.append(key.key)
        session.when_layer_made(self.bind_layer, self.release_layer)

    def bind_layer(self, layer: Layer) -> None:
        """Bind the keys on a layer of ours."""
        for key in KEYS:
            layer.bind_key(key.key, self._action(key), overwrite=True)

    def release_layer(self, layer: Layer) -> None:
        """Give the keys of a layer back that stays in the viewer: napari's own undo of a Labels layer among them."""
        for key in KEYS:
            layer.bind_key(key.key, None, overwrite=True)

    def clear(self) -> None:
        """Give the viewer's keys back; those of the layers go with the layers, or when they are left."""
        while self._on_viewer:
            self._viewer.bind_key(self._on_viewer.pop(), None)

    def _action(self, key: Key) -> Callable[[Any], None]:
        def act(_: Any) -> None:
            self._session.attempt(key.method, *key.arguments)

        return act
