"""A titled part of a dock widget that can be folded away, so that docks stay short."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible


class Section(QCollapsible):
    """A widget under a title that folds it away.

    Parameters
    ----------
    title : str
        What the part is for.
    content : QWidget
        The part.
    unfolded : bool
        Whether it is seen at first.
    """

    def __init__(self, title: str, content: QWidget, *, unfolded: bool = False) -> None:
        super().__init__(title, expandedIcon="▾", collapsedIcon="▸")
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.toggleButton().setToolTip(f"Show or hide: {title}")
        self.toggleButton().setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.addWidget(content)
        if unfolded:
            self.expand(animate=False)
