"""Scores of the shown mask in the viewer's text overlay. Knows napari's viewer model, but no Qt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.components import ViewerModel

from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.rest import Rest
from napari_segany.widgets.session import PromptSession

_REST_MS = 150
_CHARACTERS = "mask 0123456789 of, :.", "predictIoU nstably underhw"
_SOON_MS = 30
"""After the mask is drawn: napari compiles a shader for each text that is as wide as none before."""


class NumbersOverlay:
    """Writes predicted IoU and stability score into the view; text that somebody else put there stays.

    Parameters
    ----------
    viewer : ViewerModel
        Whose overlay.
    session : PromptSession
        Has the candidates and the preview.
    runner : Runner
        Tells when the mouse has come to rest.
    """

    def __init__(self, viewer: ViewerModel, session: PromptSession, runner: Runner) -> None:
        self._overlay: Any = viewer.canvas.overlays.text
        self._session = session
        self._written = ""
        self._rest = Rest(runner, self._show_at_rest, _REST_MS)
        self._soon = Rest(runner, self._show, _SOON_MS)
        session.candidates_changed.connect(self._soon.stir)
        session.selected_changed.connect(self._soon.stir)
        session.preview.changed.connect(self._rest.stir)

    def ready_steps(self) -> Iterator[None]:
        """Have each character drawn once, unseen, see `LayersAhead`: its first time takes ten milliseconds."""
        overlay = self._overlay
        if overlay.text or overlay.visible:
            return
        opacity, box = overlay.opacity, overlay.box
        overlay.opacity, overlay.box = 0, False
        for characters in _CHARACTERS:
            overlay.text, overlay.visible = characters, True
            yield
        overlay.text, overlay.visible = "", False
        overlay.opacity, overlay.box = opacity, box
        self._show()

    def close(self) -> None:
        """Leave the overlay as it was."""
        self._session.candidates_changed.disconnect(self._soon.stir)
        self._session.selected_changed.disconnect(self._soon.stir)
        self._session.preview.changed.disconnect(self._rest.stir)
        for rest in (self._rest, self._soon):
            rest.forget()
        self._write("")

    def _show_at_rest(self) -> None:
        # Under a moving mouse new text would take as long to draw as the outline.
        if not self._session.preview.is_asking:
            self._show()

    def _show(self, value: object = None) -> None:
        self._write("\n".join(part for part in (self._of_candidate(), self._of_preview()) if part))

    def _of_candidate(self) -> str:
        candidates, selected = self._session.candidates, self._session.selected
        if selected >= len(candidates):
            return ""
        shown = candidates[selected]
        return (
            f"mask {selected + 1} of {len(candidates)}: predicted IoU {shown.predicted_iou:.2f}, "
            f"stability {shown.stability_score:.2f}"
        )

    def _of_preview(self) -> str:
        shown = self._session.preview.shown
        return "" if shown is None else f"under the mouse: predicted IoU {shown.predicted_iou:.2f}"

    def _write(self, text: str) -> None:
        theirs = self._overlay.text != self._written
        if theirs or text == self._written:
            return
        if text and not self._written:
            self._overlay.position = "top_left"
        self._written = text
        self._overlay.text = text
        if self._overlay.visible != bool(text):
            self._overlay.visible = bool(text)
