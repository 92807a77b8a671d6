"""Opening the table of objects below the image, once."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel

from napari_segany.widgets.object_table_view import ObjectTableView
from napari_segany.widgets.session import PromptSession

TABLE_NAME = "Table of objects"


class ObjectTableDock:
    """Opens and finds the dock of the table of one session.

    Parameters
    ----------
    viewer : ViewerModel
        In whose window it opens.
    session : PromptSession
        Whose objects it shows.
    """

    def __init__(self, viewer: ViewerModel, session: PromptSession) -> None:
        self._viewer, self._session = viewer, session
        self.view: ObjectTableView | None = None

    def open(self) -> ObjectTableView | None:
        """Open the table, or show the one that is open; None in a viewer without a window."""
        window: Any = getattr(self._viewer, "window", None)
        if window is None:
            return None
        if self.view is None or self.view.is_closed:
            self.view = ObjectTableView(self._session.table, self._session.editor, self._remove)
            window.add_dock_widget(self.view, name=TABLE_NAME, area="bottom", add_vertical_stretch=False)
        else:
            self.view.parentWidget().setVisible(True)
        return self.view

    def _remove(self) -> None:
        view, self.view = self.view, None
        if view is not None:
            self._viewer.window.remove_dock_widget(view)
