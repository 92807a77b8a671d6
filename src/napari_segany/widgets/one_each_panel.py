"""The part of the dock that makes an object of each point or box of a layer or a file."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFileDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.one_each import OneEach
from napari_segany.widgets.one_each_inputs import counted, kind_of
from napari_segany.widgets.section import Section
from napari_segany.widgets.small_parts import button, open_file_dialog
from napari_segany.widgets.viewer_events import EventLinks


class OneEachPanel(QWidget):
    """Shows a `OneEach` and calls its methods.

    Parameters
    ----------
    viewer : ViewerModel
        Whose layers are offered.
    one_each : OneEach
        What the buttons do.
    """

    def __init__(self, viewer: Any, one_each: OneEach) -> None:
        super().__init__()
        self._one_each = one_each
        self.dialog: QFileDialog | None = None
        self._links = EventLinks()
        self.layers = LayerCombo(viewer, lambda layer: kind_of(layer) is not None, "no Points or Shapes layer")
        self.layers.setToolTip("A Points or Shapes layer; it may lie at another place or scale than the image")
        self.make = button("One object each", "Ask for all points or boxes of the layer at once", self._make)
        self.open = button(
            "From a file ...",
            "<qt>CSV: columns row,col or row_min,col_min,row_max,col_max in pixels of the image, or a file that "
            "napari saved of points or shapes. Of a raster with a place on Earth also GeoJSON, GeoPackage or "
            "Shapefile with points, boxes or polygons in any reference system</qt>",
            self._ask_what_to_open,
        )
        self.cancel = button("Cancel", "Stop; no object is made", one_each.cancel)
        self.note = QLabel()
        self.note.setWordWrap(True)
        grid = QGridLayout()
        grid.addWidget(self.make, 0, 0, 1, 2)
        grid.addWidget(self.open, 1, 0)
        grid.addWidget(self.cancel, 1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.layers)
        column.addLayout(grid)
        column.addWidget(self.note)
        self.layers.chosen.connect(self._follow)
        one_each.changed.connect(self._show)
        self._follow(self.layers.layer())

    def release(self) -> None:
        """Stop listening to the viewer."""
        self._links.clear()
        self.layers.release()

    def _follow(self, layer: Any) -> None:
        """Count what the chosen layer holds, now and when it changes."""
        self._links.clear()
        if layer is not None:
            self._links.add(layer.events.data, self._show)
        self._show()

    def _show(self, event: Any = None) -> None:
        layer, progress = self.layers.layer(), self._one_each.progress
        kind = kind_of(layer)
        number = 0 if layer is None else len(layer.data)
        self.make.setText(
            f"One object per {kind}" + (f" ({number:,})" if number else "") if kind else "One object each"
        )
        self.make.setEnabled(progress is None and number > 0)
        self.open.setEnabled(progress is None)
        self.cancel.setEnabled(progress is not None)
        if progress is not None:
            share = f" {progress.done / progress.total:.0%}" if progress.total and progress.done else ""
            self.note.setText(f"{progress.note}{share}")
        elif kind is None or layer is None:
            self.note.setText("Add a Points or Shapes layer, or open a file.")
        else:
            self.note.setText(f"{layer.name}: {counted(number, kind)}." if number else f"{layer.name} is empty.")

    def _make(self) -> None:
        layer = self.layers.layer()
        if layer is not None:
            self._one_each.attempt("from_layer", layer)

    def _ask_what_to_open(self) -> None:
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = open_file_dialog(
            self,
            "Points or boxes",
            "Points or boxes (*.csv *.tsv *.txt *.geojson *.gpkg *.shp *.fgb *.kml)",
            lambda path: self._one_each.attempt("from_file", path),
        )


def one_each_section(viewer: Any, one_each: OneEach) -> tuple[Section, OneEachPanel]:
    """Return the panel in a part of the dock that can be folded away."""
    panel = OneEachPanel(viewer, one_each)
    return Section("One object per point or box", panel), panel
