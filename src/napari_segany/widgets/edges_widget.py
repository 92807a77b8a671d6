"""The dock widget "Edges of everything": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Layer
from qtpy.QtWidgets import QCheckBox, QFormLayout, QProgressBar, QSpinBox, QVBoxLayout

from napari_segany.widgets.catalogue import Catalogue, catalogue_steps, predictor_loader
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.edges_session import EdgesSession, LoadPredictor
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.model_picker import ModelPicker
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.settings import Settings, read_settings
from napari_segany.widgets.small_parts import button, fill_bar, wrapping_label
from napari_segany.widgets.workers import BackgroundRunner


class EdgesWidget(DockBody):
    """Draws an edge map of an image as a layer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer; its layers are listed.
    runner, load_predictor, settings : optional
        For tests: how work runs, what answers, and the preferences.
    """

    def __init__(
        self,
        napari_viewer: Any,
        *,
        runner: Runner | None = None,
        load_predictor: LoadPredictor | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        viewer = unwrap(napari_viewer)
        settings = settings or read_settings()
        self._weights_folder = settings.weights_folder
        self._runner = runner or BackgroundRunner()
        load = load_predictor or predictor_loader(settings.weights_folder, precision=settings.precision)
        self.session = EdgesSession(viewer, self._runner, load, settings.model, settings.device)
        self.image_combo = LayerCombo(viewer, _is_image, "no image")
        self.image_combo.setToolTip("The image whose edges are drawn; of a stack its shown slice")
        self.model_picker = ModelPicker(self.session.model)
        self.points = QSpinBox()
        self.points.setRange(1, 128)
        self.points.setValue(self.session.points_per_side)
        self.points.setToolTip("Points along each side of the grid that is asked: more find smaller things")
        self.thin = QCheckBox("Ridges only")
        self.thin.setChecked(self.session.thin)
        self.thin.setToolTip("Thin every edge to a line of one pixel")
        self.run_button = button("Run", "Draw the edges, or stop", self._pressed)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.note = wrapping_label()
        self._lay_out()
        self._connect(viewer)
        self._farewell = Farewell(self, self.session.close)
        self._refresh()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.addRow("Image", self.image_combo)
        form.addRow("Model", self.model_picker)
        form.addRow("Points per side", self.points)
        form.addRow("", self.thin)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.run_button)
        column.addWidget(self.bar)
        column.addWidget(self.note)
        column.addStretch(1)

    def _connect(self, viewer: Any) -> None:
        self.image_combo.chosen.connect(self.session.choose)
        self.model_picker.chosen.connect(self._choose_model)
        self.model_picker.download_wanted.connect(self._tell_download)
        self.points.valueChanged.connect(lambda value: setattr(self.session, "points_per_side", value))
        self.thin.toggled.connect(lambda value: setattr(self.session, "thin", value))
        self.session.changed.connect(self._refresh)
        active = viewer.layers.selection.active
        if isinstance(active, Image):
            self.image_combo.choose(active)
        self.session.choose(self.image_combo.layer())
        steps = catalogue_steps(self._weights_folder)
        self._runner.start("Looking for models", steps, done=self._list_models, failed=lambda error: None)

    def _end(self) -> None:
        self.image_combo.release()
        self.session.close()

    def _list_models(self, catalogue: Catalogue) -> None:
        self.model_picker.set_catalogue(catalogue)

    def _choose_model(self, name: str) -> None:
        self.session.model = name
        self.model_picker.show_model(name)

    def _tell_download(self, name: str) -> None:
        self.note.setText(f"Download it first, in the dock Segment everything: {name} is not here.")

    def _pressed(self) -> None:
        if self.session.progress is None:
            self.session.run()
        else:
            self.session.cancel()

    def _refresh(self) -> None:
        progress = self.session.progress
        working = progress is not None
        self.run_button.setText("Cancel" if working else "Run")
        self.run_button.setEnabled(working or self.session.image is not None)
        fill_bar(self.bar, progress)
        self.note.setText(self.session.message if progress is None else progress.note)


def _is_image(layer: Layer) -> bool:
    return isinstance(layer, Image)
