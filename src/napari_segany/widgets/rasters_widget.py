"""The dock widget "Rasters on Earth": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels, Layer
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFileDialog, QFormLayout, QLabel, QProgressBar, QVBoxLayout

from napari_segany.formats.geo_bands import PRESETS
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.rasters_session import RastersSession
from napari_segany.widgets.small_parts import button, fill_bar, open_files_dialog, open_save_dialog, rule
from napari_segany.widgets.workers import BackgroundRunner

_RASTERS = "Rasters (*.tif *.tiff *.TIF *.TIFF *.vrt *.VRT);;All files (*)"
_VECTORS = "GeoPackage (*.gpkg);;GeoJSON (*.geojson);;Shapefile (*.shp)"
_TOLD = "what the file tells"


class RastersWidget(DockBody):
    """Opens rasters with a place on Earth and saves objects as features.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer.
    runner : Runner, optional
        For tests: how work runs.
    """

    def __init__(self, napari_viewer: Any, *, runner: Runner | None = None) -> None:
        super().__init__()
        viewer = unwrap(napari_viewer)
        self.session = session = RastersSession(viewer, runner or BackgroundRunner())
        self.dialog: QFileDialog | None = None
        self.bands = QComboBox()
        self.bands.setEditable(True)
        self.bands.addItems([_TOLD, *PRESETS, "single band"])
        self.bands.setToolTip(
            "<qt>A preset, or bands by their numbers from 1: 5, or 4,3,2 for red, green and blue</qt>"
        )
        self.open_button = button("Open rasters ...", "GeoTIFF, COG and VRT with these bands", self._ask_what_to_open)
        self.labels = LayerCombo(viewer, _is_objects, "no Labels layer")
        self.labels.setToolTip("The layer whose objects are saved")
        self.simplify = _number(0, 20, 0.1, " px", "Leave out corners that span less than its square; 0 is exact")
        self.min_area = _number(0, 1e9, 1, " m\u00b2", "Leave out smaller objects")
        self.measure = QComboBox()
        self.measure.addItems(["geodesic", "projected"])
        self.measure.setToolTip("Areas on the ellipsoid, or in the plane of the map")
        self.save_button = button("Save as features ...", "GeoPackage, GeoJSON or Shapefile", self._ask_where_to_save)
        self.prompts_button = button(
            "Save prompts ...",
            "The points and boxes that the objects were asked with",
            self._ask_where_to_save_prompts,
        )
        self.cancel_button = button("Cancel", "Stop; no file is left", session.cancel)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.note = QLabel()
        self.note.setWordWrap(True)
        self._lay_out()
        self.bands.currentTextChanged.connect(self._choose_bands)
        self.labels.chosen.connect(self._choose_labels)
        self.simplify.valueChanged.connect(lambda value: setattr(session, "simplify", value))
        self.min_area.valueChanged.connect(lambda value: setattr(session, "min_area", value))
        self.measure.currentTextChanged.connect(lambda text: setattr(session, "measure", text))
        session.changed.connect(self._refresh)
        self._farewell = Farewell(self, session.close)
        self._choose_labels(self.labels.layer())

    def _lay_out(self) -> None:
        opening, saving = QFormLayout(), QFormLayout()
        opening.addRow("Bands", self.bands)
        saving.addRow("Objects", self.labels)
        saving.addRow("Simplify", self.simplify)
        saving.addRow("Minimum area", self.min_area)
        saving.addRow("Measure", self.measure)
        column = QVBoxLayout(self)
        column.addLayout(opening)
        column.addWidget(self.open_button)
        column.addWidget(rule())
        column.addLayout(saving)
        for part in (self.save_button, self.prompts_button, rule(), self.cancel_button, self.bar, self.note):
            column.addWidget(part)
        column.addStretch(1)

    def _end(self) -> None:
        self.labels.release()
        if self.dialog is not None:
            self.dialog.close()
        self.session.close()

    def _choose_bands(self, text: str) -> None:
        self.session.bands = "" if text == _TOLD else text

    def _choose_labels(self, layer: Layer | None) -> None:
        self.session.labels = layer if isinstance(layer, Labels) else None
        self._refresh()

    def _ask_what_to_open(self) -> None:
        self._show(open_files_dialog(self, "Open rasters with a place on Earth", _RASTERS, self.session.open))

    def _ask_where_to_save(self) -> None:
        self._show(open_save_dialog(self, "Save objects", "objects.gpkg", _VECTORS, self.session.save))

    def _ask_where_to_save_prompts(self) -> None:
        save = self.session.save_prompts
        self._show(open_save_dialog(self, "Save prompts", "asked.prompts.gpkg", _VECTORS, save))

    def _show(self, dialog: QFileDialog) -> None:
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = dialog

    def _refresh(self) -> None:
        progress = self.session.progress
        self.open_button.setEnabled(progress is None)
        for part in (self.save_button, self.prompts_button):
            part.setEnabled(progress is None and self.session.labels is not None)
        self.cancel_button.setEnabled(progress is not None)
        fill_bar(self.bar, progress)
        self.note.setText(self.session.message if progress is None else progress.note)


def _is_objects(layer: Layer) -> bool:
    return isinstance(layer, Labels) and PREVIEW_KEY not in layer.metadata


def _number(low: float, high: float, step: float, unit: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setSuffix(unit)
    box.setToolTip(tip)
    return box
