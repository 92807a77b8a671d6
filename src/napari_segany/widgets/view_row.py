"""The end of the dock: whether all tools are shown or those that most people need, and the way to the preferences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari._app_model import get_app_model
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QListWidget, QWidget

from napari_segany.widgets.section import Section
from napari_segany.widgets.settings import PLUGIN
from napari_segany.widgets.small_parts import button

SIMPLE = ("Preview and first mask", "Session", "Keys")
"""Titles of the parts that are always shown."""

_PREFERENCES = "napari.window.file.show_preferences_dialog"


class ViewRow(QWidget):
    """Shows or hides the advanced parts of the dock.

    Parameters
    ----------
    sections : sequence of Section
        All parts that can be folded away.
    remember : callable
        Keeps a preference, by its name and value.
    all_tools : bool
        Whether all are shown at first.
    """

    def __init__(
        self, sections: Sequence[Section], remember: Callable[[str, Any], None], *, all_tools: bool = True
    ) -> None:
        super().__init__()
        self._advanced = [section for section in sections if section.text() not in SIMPLE]
        self._remember = remember
        self.all_tools = QCheckBox("All tools")
        hidden = ", ".join(section.text() for section in self._advanced)
        self.all_tools.setToolTip(
            f"<qt>Show all parts of the dock; without: {hidden} are hidden, nothing is lost</qt>"
        )
        self.all_tools.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.all_tools.setChecked(all_tools)
        self.settings = button(
            "Settings ...",
            "<qt>Model, device, colours, policies, folders and sizes of caches: the page napari-segany of napari's "
            "preferences</qt>",
            open_settings,
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.all_tools)
        row.addStretch(1)
        row.addWidget(self.settings)
        self._show(all_tools)
        self.all_tools.toggled.connect(self._toggled)

    def _show(self, all_tools: bool) -> None:
        for section in self._advanced:
            section.setVisible(all_tools)

    def _toggled(self, all_tools: bool) -> None:
        self._show(all_tools)
        self._remember("all_tools", all_tools)


def open_settings() -> None:
    """Open napari's preferences on the page of this plugin; on the first page, where their list is not found."""
    dialog = get_app_model().commands.execute_command(_PREFERENCES).result()
    pages = dialog.findChild(QListWidget, "Preferences") if isinstance(dialog, QWidget) else None
    if pages is not None:
        for item in pages.findItems(PLUGIN, Qt.MatchFlag.MatchExactly):
            pages.setCurrentItem(item)
