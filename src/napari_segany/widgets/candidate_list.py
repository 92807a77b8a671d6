"""The candidates as a list: thumbnail, predicted IoU and stability score of each, best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_segany.widgets.candidate_layers import CANDIDATE_COLOURS, candidate_name
from napari_segany.widgets.drafts import Candidate
from napari_segany.widgets.thumbnails import THUMBNAIL_SIZE, paint_over

_ROWS = 3
_ROW_HEIGHT = THUMBNAIL_SIZE + 8


class CandidateList(QListWidget):
    """Shows candidates; emits `chosen` with the rank (from 0) of the one that the user picks.

    Parameters
    ----------
    colours : tuple of str
        "#rrggbb" of the candidates, as on the image.
    """

    chosen = Signal(int)

    def __init__(self, colours: tuple[str, ...] = CANDIDATE_COLOURS, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = colours
        self.setIconSize(QSize(THUMBNAIL_SIZE, THUMBNAIL_SIZE))
        self.setFixedHeight(_ROWS * _ROW_HEIGHT + 2 * self.frameWidth() + 2)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # letters are shortcuts here, not a search in the list
        self.setToolTip("The masks on offer, best first; a click shows another one, as W does, and N accepts it")
        self.currentRowChanged.connect(self._row_changed)

    def show_candidates(self, candidates: Sequence[Candidate]) -> None:
        """List candidates, best first."""
        self.blockSignals(True)
        self.clear()
        for rank, candidate in enumerate(candidates):
            text = (
                f"{candidate_name(rank)}\n"
                f"predicted IoU {candidate.predicted_iou:.2f}\n"
                f"stability {candidate.stability_score:.2f}"
            )
            item = QListWidgetItem(_icon(candidate, self._colours[rank % len(self._colours)]), text)
            item.setSizeHint(QSize(0, _ROW_HEIGHT))
            item.setToolTip(f"{np.count_nonzero(candidate.mask):,} pixels")
            self.addItem(item)
        self.blockSignals(False)

    def paint(self, colours: tuple[str, ...]) -> None:
        """Have these colours from the next candidates on."""
        self._colours = colours

    def show_selected(self, rank: int) -> None:
        """Mark the candidate that is shown."""
        self.blockSignals(True)
        self.setCurrentRow(rank if rank < self.count() else -1)
        self.blockSignals(False)

    def _row_changed(self, row: int) -> None:
        if row >= 0:
            self.chosen.emit(row)


def _icon(candidate: Candidate, name: str) -> QIcon:
    colour = QColor(name)
    rgb = (colour.red(), colour.green(), colour.blue())
    picture = np.ascontiguousarray(paint_over(candidate.thumbnail, candidate.outline, rgb))
    height, width, _ = picture.shape
    image = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    icon = QIcon()
    pixmap = QPixmap.fromImage(image)  # copies the pixels
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):  # no tint on the selected row
        icon.addPixmap(pixmap, mode)
    return icon
