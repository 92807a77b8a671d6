"""The dock widget "Segment a folder": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.engine.batch.output_names import EVERY_OUTPUT
from napari_segany.formats.painting import PAINTING_RULES
from napari_segany.widgets.batch_form import BatchForm
from napari_segany.widgets.batch_inputs_row import BatchInputsRow
from napari_segany.widgets.batch_run_row import BatchRunRow
from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.batch_work import named_model
from napari_segany.widgets.catalogue import BUNDLED, Catalogue, catalogue_steps, weights_steps
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.everything_parameters import CHOICE_TITLES
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.model_picker import ModelPicker
from napari_segany.widgets.object_size_row import ObjectSizeRow
from napari_segany.widgets.path_row import PathRow
from napari_segany.widgets.settings import Settings, read_settings
from napari_segany.widgets.vertical_scroll import VerticalScroll
from napari_segany.widgets.workers import BackgroundRunner

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_segany.widgets.batch_work import ModelMaker
    from napari_segany.widgets.progress_runner import Runner

_OUTPUT_TITLES = {
    "labels": "Labels",
    "csv": "Table (CSV)",
    "coco": "COCO",
    "sa1b": "SA-1B",
    "yolo": "YOLO",
    "overlay": "Overlays",
    "gpkg": "GeoPackage",
    "geojson": "GeoJSON",
    "shp": "Shapefile",
}


class BatchWidget(DockBody):
    """Masks for everything in many images: files, a folder, or the open layers.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer, given by napari.
    runner : Runner, optional
        How long work is run; in threads where not given.
    make_model : callable, optional
        Makes a model that is not loaded yet from the names of a model and a device; one of the registry where not
        given.
    settings : Settings, optional
        The preferences; napari's where not given.

    Attributes
    ----------
    session : BatchSession
        Everything that the buttons do, for the console and scripts.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel,
        *,
        runner: Runner | None = None,
        make_model: ModelMaker | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings or read_settings()
        self._runner = runner or BackgroundRunner()
        self.session = BatchSession(
            unwrap(napari_viewer),
            self._runner,
            make_model or named_model(self._settings.weights_folder, self._settings.precision),
            model=self._settings.model,
            device=self._settings.device,
        )
        self._build()
        self._connect()
        self._farewell = Farewell(self, self.session.close)
        self._list_models()

    # -------------------------------------------------------------------- layout

    def _build(self) -> None:
        self.inputs_row = BatchInputsRow()
        self.output_row = PathRow("The folder to write into; it is made if it is not there", "Folder for the results")
        self.model_picker = ModelPicker(self.session.model)
        self.device_combo = QComboBox()
        self.device_combo.setToolTip("Where the model computes; auto takes a graphics card if there is one")
        self.preset_combo = _combo({one.name: one.title for one in PRESETS}, "Settings for a kind of image")
        self.preset_combo.setPlaceholderText("Own settings")
        self.preset_note = _words()
        self.run_row = BatchRunRow()
        self.status_label = _words()
        self.status_label.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.open_button = QPushButton("Open results as layers")
        self.open_button.setToolTip("The masks of the last run over their images, which are opened if need be")
        self.open_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.form = BatchForm()
        self.painting_combo = _combo(
            {rule: CHOICE_TITLES[rule] for rule in PAINTING_RULES},
            "Which mask shows in label images where several overlap; the other files keep every mask whole",
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        for title, field in (
            ("Images", self.inputs_row),
            ("Write into", self.output_row),
            ("Model", self.model_picker),
            ("Device", self.device_combo),
            ("Preset", self.preset_combo),
        ):
            form.addRow(title, field)
        painting = QHBoxLayout()
        painting.addWidget(QLabel("Overlaps"))
        painting.addWidget(self.painting_combo, stretch=1)
        self.object_size_row = ObjectSizeRow()
        self.tiling_section = QCollapsible("Images that are done tile by tile")
        self.tiling_section.setDuration(0)
        self.tiling_section.toggleButton().setToolTip("Show or hide what is for zarrs and large images alone")
        self.tiling_section.addWidget(self.object_size_row)

        body = QWidget()
        column = QVBoxLayout(body)
        column.addLayout(form)
        column.addWidget(self.preset_note)
        column.addLayout(self._output_boxes())
        column.addWidget(self.run_row)
        column.addWidget(self.status_label)
        column.addWidget(self.open_button)
        column.addWidget(_line())
        column.addWidget(self.form)
        column.addLayout(painting)
        column.addWidget(self.tiling_section)
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(VerticalScroll(body))

    def _output_boxes(self) -> QGridLayout:
        grid = QGridLayout()
        self.output_boxes: dict[str, QCheckBox] = {}
        for place, (name, tip) in enumerate(EVERY_OUTPUT.items()):
            box = QCheckBox(_OUTPUT_TITLES[name])
            box.setToolTip(f"<qt>Write: {tip}</qt>")
            box.setChecked(name in self.session.outputs)
            grid.addWidget(box, place // 3, place % 3)
            self.output_boxes[name] = box
        return grid

    # --------------------------------------------------------------- connections

    def _connect(self) -> None:
        session, inputs = self.session, self.inputs_row
        inputs.source_chosen.connect(self._choose_source)
        inputs.folder_chosen.connect(lambda text, deep: session.use_folder(text or None, recursive=deep))
        inputs.files_chosen.connect(session.use_files)
        self.output_row.changed.connect(lambda _: session.choose_output(self.output_row.text or None))
        for box in self.output_boxes.values():
            box.toggled.connect(lambda _: self._choose_outputs())
        self.model_picker.chosen.connect(session.choose_model)
        self.model_picker.download_wanted.connect(self._download)
        self.device_combo.textActivated.connect(session.choose_device)
        self.preset_combo.activated.connect(lambda _: session.choose_preset(self.preset_combo.currentData()))
        self.painting_combo.activated.connect(lambda _: session.choose_painting(self.painting_combo.currentData()))
        self.form.changed.connect(self._change)
        self.object_size_row.chosen.connect(session.choose_object_size)
        self.run_row.run_wanted.connect(lambda: self._attempt(session.run))
        self.run_row.cancelled.connect(session.cancel)
        self.open_button.clicked.connect(lambda: self._attempt(session.open_results))

        session.inputs_changed.connect(self._show_inputs)
        session.output_changed.connect(self._show_output)
        session.model_changed.connect(self.model_picker.show_model)
        session.settings_changed.connect(self._show_settings)
        session.tiling_changed.connect(lambda tiling: self.object_size_row.show_size(tiling.object_size))
        session.state_changed.connect(self._show_state)
        session.outcome_changed.connect(self._show_state)
        session.status_changed.connect(self._show_status)
        self.status_label.setText(session.status)
        self._show_catalogue(BUNDLED)
        self._show_settings(session.settings)
        self._show_inputs()
        self._show_state()

    def _choose_source(self, source: str) -> None:
        session = self.session
        if source == "layers":
            session.use_layers()
        elif source == "folder":
            session.use_folder(session.folder, recursive=session.recursive)
        else:
            session.use_files(session.files)

    def _choose_outputs(self) -> None:
        self.session.choose_outputs([name for name, box in self.output_boxes.items() if box.isChecked()])

    def _change(self, name: str, value: object) -> None:
        self._attempt(lambda: self.session.change(**{name: value}))
        self.form.show_settings(self.session.settings)

    def _attempt(self, action: Any) -> None:
        try:
            action()
        except ValueError as error:
            self.status_label.setText(str(error))

    # -------------------------------------------------------------------- models

    def _list_models(self) -> None:
        self._runner.start(
            "Looking for models",
            catalogue_steps(self._settings.weights_folder),
            done=self._show_catalogue,
            failed=lambda error: self.status_label.setText(f"The list of models could not be made: {error}"),
        )

    def _show_catalogue(self, catalogue: Catalogue) -> None:
        self.model_picker.set_catalogue(catalogue)
        self.device_combo.clear()
        self.device_combo.addItems(list(catalogue.devices))
        if self.device_combo.findText(self.session.device) < 0:
            self.device_combo.addItem(self.session.device)
        self.device_combo.setCurrentText(self.session.device)

    def _download(self, name: str) -> None:
        def downloaded() -> None:
            self._list_models()
            self.session.choose_model(name)

        self.session.download(f"Downloading {name}", weights_steps(name, self._settings.weights_folder), downloaded)

    # ------------------------------------------------------------ showing the state

    def _show_inputs(self) -> None:
        session, row = self.session, self.inputs_row
        row.show_source(session.source)
        row.show_folder(session.folder, recursive=session.recursive)
        if session.source == "layers":
            row.show_names(session.layer_names, "image layer")
        elif session.source == "files":
            row.show_names([file.name for file in session.files], "file")

    def _show_output(self) -> None:
        self.output_row.show_path(self.session.output)

    def _show_status(self, text: str) -> None:
        self.status_label.setText(text)

    def _show_settings(self, settings: Any) -> None:
        self.form.show_settings(settings)
        fitting = [index for index, one in enumerate(PRESETS) if one.settings == settings]
        self.preset_combo.setCurrentIndex(fitting[0] if fitting else -1)
        self.preset_note.setText(PRESETS[fitting[0]].note if fitting else "Own settings.")

    def _show_state(self, state: Any = None) -> None:
        self.run_row.show_state(self.session.state)
        self.open_button.setEnabled(self.session.can_open)

    # ------------------------------------------------------------------- the end

    def _end(self) -> None:
        self.session.close()


def _combo(items: dict[str, str], tip: str) -> QComboBox:
    combo = QComboBox()
    for value, title in items.items():
        combo.addItem(title, value)
    combo.setToolTip(f"<qt>{tip}</qt>")
    return combo


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    return label


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line
