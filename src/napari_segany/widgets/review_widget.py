"""The dock widget "Review masks": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_segany.evaluation.review import CRITERIA
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.review_session import KEYS, VIEWS, ReviewSession
from napari_segany.widgets.small_parts import button

RATINGS_FILE = "ratings.csv"


class ReviewWidget(QWidget):
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
        self.one = button("Masks of one folder ...", "Rate a data set in SA-1B's layout", partial(self._ask, 1))
        self.two = button("Compare two folders ...", "Masks of two models, mixed and blind", partial(self._ask, 2))
        self.note, self.result, self.criteria = QLabel(), QLabel(), QLabel(CRITERIA)
        for label in (self.note, self.result, self.criteria):
            label.setWordWrap(True)
        self.views = QComboBox()
        self.views.addItems(VIEWS)
        self.views.setToolTip("How the mask is shown (key V)")
        self.views.textActivated.connect(self.session.choose_view)
        self.back_button = button("Back", "Rate the mask before anew (Backspace)", self.session.back)
        grid = QGridLayout()
        numbers = tuple(KEYS.values())
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
        self._keys = {key: partial(self.session.rate, number) for key, number in KEYS.items()}
        self._keys |= {"V": partial(self.session.next_view), "Backspace": partial(self.session.back)}
        for key, action in self._keys.items():
            self._viewer.bind_key(key, _of_viewer(action), overwrite=True)
        self._closed = False
        self.session.changed.connect(self._refresh)
        self._farewell = Farewell(self, partial(self.session.close, keep_layers=True))
        self._refresh()

    def event(self, event: QEvent) -> bool:
        """Tear down when napari takes the widget out of its dock: that is all it does to close one."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and not self._closed:
            self._closed = True
            for key in self._keys:
                self._viewer.bind_key(key, None)
            self.session.close()
        return bool(super().event(event))

    def _ask(self, count: int) -> None:
        folders = [
            QFileDialog.getExistingDirectory(self, f"Folder {number + 1} of {count}") for number in range(count)
        ]
        if not all(folders):
            return
        names = [Path(folder).name for folder in folders]
        if count > 1:
            names = [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]
        place, _ = QFileDialog.getSaveFileName(self, "Where the ratings are kept", RATINGS_FILE, "Tables (*.csv)")
        if place:
            self.session.open({name: Path(folder) for name, folder in zip(names, folders, strict=True)}, Path(place))

    def _refresh(self) -> None:
        review = self.session.review
        self.note.setText(self.session.message)
        self.views.setCurrentText(self.session.view)
        is_over = review is not None and review.current is None
        for one in (*self.ratings, self.back_button, self.views):
            one.setEnabled(review is not None and not is_over)
        self.result.setText(self.session.result() if is_over else "")


def _of_viewer(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return what napari binds to a key: a function of the viewer, with a name."""

    def run(viewer: Any) -> None:
        action()

    return run
