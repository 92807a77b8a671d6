"""The dock widget "Review masks": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QVBoxLayout

from napari_segany.evaluation.review import CRITERIA
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.review_keys import RATINGS, ReviewKeys
from napari_segany.widgets.review_session import VIEWS, ReviewSession
from napari_segany.widgets.small_parts import button, open_folder_dialog, open_save_dialog, wrapping_label

RATINGS_FILE = "ratings.csv"


class ReviewWidget(DockBody):
    """Rates masks from 1 to 10 with keys.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = unwrap(napari_viewer)
        self.session = ReviewSession(self._viewer)
        self.dialog: QFileDialog | None = None
        self.one = button("Masks of one folder ...", "Rate a data set in SA-1B's layout", partial(self._ask, 1))
        self.two = button("Compare two folders ...", "Masks of two models, mixed and blind", partial(self._ask, 2))
        self.note, self.result, self.criteria = wrapping_label(), wrapping_label(), wrapping_label(CRITERIA)
        self.views = QComboBox()
        self.views.addItems(VIEWS)
        self.views.setToolTip("How the mask is shown (key V)")
        self.views.textActivated.connect(self.session.choose_view)
        self.back_button = button("Back", "Rate the mask before anew (Backspace)", self.session.back)
        grid = QGridLayout()
        numbers = tuple(RATINGS.values())
        self.ratings = [button(str(one), f"Rate it {one}", partial(self.session.rate, one)) for one in numbers]
        for number, one in enumerate(self.ratings):
            grid.addWidget(one, number // 5, number % 5)
        column = QVBoxLayout(self)
        for part in (self.one, self.two, self.note, self.views):
            column.addWidget(part)
        column.addLayout(grid)
        for part in (self.back_button, self.criteria, self.result):
            column.addWidget(part)
        column.addStretch(1)
        self._keys = ReviewKeys(self._viewer, self.session)
        self.session.changed.connect(self._refresh)
        self._farewell = Farewell(self, partial(self.session.close, keep_layers=True))
        self._refresh()

    def _end(self) -> None:
        self._keys.give_back()
        self.session.close()

    def showEvent(self, event: QShowEvent) -> None:
        """Take the keys as soon as the dock is seen."""
        super().showEvent(event)
        self._hold_keys()

    def hideEvent(self, event: QHideEvent) -> None:
        """Give the keys back: nothing is rated that nobody looks at."""
        super().hideEvent(event)
        self._keys.give_back()

    def _hold_keys(self) -> None:
        if self.session.review is not None and self.isVisible():
            self._keys.take()

    def _ask(self, count: int, folders: tuple[Path, ...] = ()) -> None:
        """Ask for the folders one after the other, then for the place of the ratings; all beside the viewer."""
        if self.dialog is not None:
            self.dialog.close()
        if len(folders) < count:
            title = f"Folder {len(folders) + 1} of {count}"
            self.dialog = open_folder_dialog(self, title, "", lambda one: self._ask(count, (*folders, Path(one))))
            return
        names = [folder.name for folder in folders]
        if count > 1:
            names = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]
        named = dict(zip(names, folders, strict=True))
        self.dialog = open_save_dialog(
            self,
            "Where the ratings are kept",
            RATINGS_FILE,
            "Tables (*.csv)",
            lambda place: self.session.open(named, Path(place)),
        )

    def _refresh(self) -> None:
        review = self.session.review
        self.note.setText(self.session.message)
        self.views.setCurrentText(self.session.view)
        is_over = review is not None and review.current is None
        for one in (*self.ratings, self.views):
            one.setEnabled(review is not None and not is_over)
        self.back_button.setEnabled(review is not None)
        self.result.setText(self.session.result() if is_over else "")
        self._hold_keys()
