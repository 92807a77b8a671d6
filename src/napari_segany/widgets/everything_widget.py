"""The dock widget "Segment everything": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer, Points, Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
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

from napari_segany.engine.automatic_presets import PRESETS
from napari_segany.formats.painting import PAINTING_RULES
from napari_segany.widgets.catalogue import BUNDLED, Catalogue, catalogue_steps, predictor_loader, weights_steps
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.everything_form import SettingsForm
from napari_segany.widgets.everything_keys import EVERYTHING_KEYS
from napari_segany.widgets.everything_layers import EVERYTHING_NAME
from napari_segany.widgets.everything_parameters import CHOICE_TITLES
from napari_segany.widgets.everything_run_row import RunRow
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.everything_words_panel import WordsPanel
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.model_picker import ModelPicker
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.section import Section
from napari_segany.widgets.settings import Settings, read_settings
from napari_segany.widgets.vertical_scroll import VerticalScroll
from napari_segany.widgets.workers import BackgroundRunner

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_segany.widgets.embedder import LoadPredictor
    from napari_segany.widgets.progress_runner import Runner

_POINTS = {"grid": "Regular grid", "layer": "Points layer"}
_REGIONS = {"image": "Whole image", "view": "Current view", "layer": "Shapes or mask layer"}


class EverythingWidget(DockBody):
    """Masks for everything in an image, a part of it, or all its slices.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer, given by napari.
    runner : Runner, optional
        How long work is run; in threads where not given.
    load_predictor : callable, optional
        Makes a predictor from the names of a model and a device; `engine.predictor` where not given.
    settings : Settings, optional
        The preferences; napari's where not given.

    Attributes
    ----------
    session : EverythingSession
        Everything that the buttons do, for the console and scripts.
    """

    def __init__(
        self,
        napari_viewer: ViewerModel,
        *,
        runner: Runner | None = None,
        load_predictor: LoadPredictor | None = None,
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        viewer = unwrap(napari_viewer)
        self._settings = settings or read_settings()
        self._runner = runner or BackgroundRunner()
        self.session = EverythingSession(
            viewer,
            self._runner,
            load_predictor or predictor_loader(self._settings.weights_folder, precision=self._settings.precision),
            model=self._settings.model,
            device=self._settings.device,
            cache_bytes=self._settings.cache_bytes,
        )
        self._build(viewer)
        self._connect()
        self._farewell = Farewell(self, partial(self.session.close, keep_layers=True))
        active = viewer.layers.selection.active
        if isinstance(active, Image):
            self.image_combo.choose(active)
        self._choose_image(self.image_combo.layer())
        self._list_models()

    # -------------------------------------------------------------------- layout

    def _build(self, viewer: ViewerModel) -> None:
        self.image_combo = LayerCombo(viewer, _is_image, "no image")
        self.image_combo.setToolTip("The image that is worked on")
        self.model_picker = ModelPicker(self.session.model)
        self.device_combo = QComboBox()
        self.device_combo.setToolTip("Where the model computes; auto takes a graphics card if there is one")
        self.region_combo = _combo(_REGIONS, "Points outside are not asked, and pixels outside are not labelled")
        self.region_layer = LayerCombo(viewer, _offers_region, "no Shapes or Labels layer")
        self.region_layer.setToolTip("Closed shapes (the selected ones, if any), or the objects of a mask")
        self.points_combo = _combo(
            _POINTS,
            "Where the model is asked: at a regular grid, or at your own points, such as those of a spot detector. "
            "Crops keep the regular grid. The model must be asked again. <i>point_grids</i>",
        )
        self.points_layer = LayerCombo(viewer, _offers_points, "no Points layer")
        self.points_layer.setToolTip("<qt>Its points on the image are asked; of a stack, on each slice its own</qt>")
        self.preset_combo = _combo({one.name: one.title for one in PRESETS}, "Settings for a kind of image")
        self.preset_combo.setPlaceholderText("Own settings")
        self.preset_note = _words()
        self.run_row = RunRow()
        self.status_label = _words()
        self.status_label.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.form = SettingsForm()
        self.words_panel = WordsPanel(self.session.words)
        rules = {rule: CHOICE_TITLES[rule] for rule in PAINTING_RULES}
        self.painting_combo = _combo(
            rules,
            "Which object shows where several overlap. No overlap leaves objects out that a better one covers. "
            "All masks are kept behind the layer, so this can be changed at any time.",
        )

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        for title, field in (
            ("Image", self.image_combo),
            ("Model", self.model_picker),
            ("Device", self.device_combo),
            ("Region", self.region_combo),
            ("", self.region_layer),
            ("Points", self.points_combo),
            ("", self.points_layer),
            ("Preset", self.preset_combo),
        ):
            form.addRow(title, field)
        painting = QHBoxLayout()
        painting.addWidget(QLabel("Overlaps"))
        painting.addWidget(self.painting_combo, stretch=1)

        body = QWidget()
        column = QVBoxLayout(body)
        column.addLayout(form)
        column.addWidget(self.preset_note)
        column.addWidget(self.run_row)
        column.addWidget(self.status_label)
        column.addLayout(self._buttons())
        column.addWidget(_line())
        column.addWidget(self.form)
        column.addLayout(painting)
        column.addWidget(Section("Words", self.words_panel))
        column.addWidget(_line())
        column.addWidget(_shortcuts())
        column.addStretch(1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(VerticalScroll(body))

    def _buttons(self) -> QGridLayout:
        attempt = self.session.editor.attempt
        self.pick_button = _button("Pick  N", "Copy the selected objects into the layer objects", attempt, "pick")
        self.merge_button = _button("Join  J", "Make the selected objects one", attempt, "merge")
        self.delete_button = _button("Delete  Del", "Delete the selected objects", attempt, "delete")
        self.undo_button = _button("Undo  Ctrl-Z", "Take the last deletion or merger back", attempt, "undo")
        grid = QGridLayout()
        for place, button in enumerate((self.pick_button, self.merge_button, self.delete_button, self.undo_button)):
            grid.addWidget(button, place // 2, place % 2)
        return grid

    # --------------------------------------------------------------- connections

    def _connect(self) -> None:
        session = self.session
        self.image_combo.chosen.connect(self._choose_image)
        self.model_picker.chosen.connect(self._choose_model)
        self.model_picker.download_wanted.connect(self._download)
        self.device_combo.textActivated.connect(self._choose_device)
        self.region_combo.activated.connect(lambda _: self._choose_region())
        self.region_layer.chosen.connect(lambda _: self._choose_region())
        self.points_combo.activated.connect(lambda _: self._choose_points())
        self.points_layer.chosen.connect(lambda _: self._choose_points())
        self.preset_combo.activated.connect(lambda _: session.choose_preset(self.preset_combo.currentData()))
        self.painting_combo.activated.connect(lambda _: session.choose_painting(self.painting_combo.currentData()))
        self.form.changed.connect(self._change)
        self.run_row.run_wanted.connect(self._run)
        self.run_row.cancelled.connect(session.cancel)
        self.run_row.slices_chosen.connect(self._show_estimate)

        session.image_changed.connect(self._show_image)
        session.model_changed.connect(self.model_picker.show_model)
        session.settings_changed.connect(self._show_settings)
        session.state_changed.connect(self._show_state)
        session.estimate_changed.connect(self._show_estimate)
        session.results_changed.connect(self._enable_buttons)
        session.editor.selection_changed.connect(self._enable_buttons)
        session.status_changed.connect(lambda text: self.status_label.setText(text))
        self.status_label.setText(session.status)
        self._show_catalogue(BUNDLED)
        self._show_settings(session.settings)
        self._show_region()
        self._enable_buttons()

    def _choose_image(self, image: Image | None) -> None:
        self.session.choose_image(image)
        self.session.prepare()

    def _choose_model(self, name: str) -> None:
        self.session.choose_model(name)
        self.session.prepare()

    def _choose_device(self, device: str) -> None:
        self.session.choose_device(device)
        self.device_combo.setCurrentText(self.session.device)
        self.session.prepare()

    def _choose_region(self) -> None:
        kind, layer = self.region_combo.currentData(), self.region_layer.layer()
        if kind != "layer":
            self.session.choose_region(kind)
        elif layer is not None:
            self.session.choose_region(layer)
        else:
            self.status_label.setText(
                "Draw a polygon in a Shapes layer, or a mask in a Labels layer, and choose it here."
            )
        self._show_region()

    def _choose_points(self) -> None:
        wanted = self.points_combo.currentData() == "layer"
        layer = self.points_layer.layer() if wanted else None
        self.session.choose_points(layer)
        if wanted and layer is None:
            self.status_label.setText("Add a Points layer and click on the objects; then choose it here.")
        self._show_region()

    def _change(self, name: str, value: object) -> None:
        try:
            self.session.change(**{name: value})
        except ValueError as error:
            self.status_label.setText(str(error))
            self.form.show_settings(self.session.settings)

    def _run(self, all_slices: bool) -> None:
        try:
            where = self.session.where
            if self.region_combo.currentData() == "layer" and where.region.layer is None:
                raise ValueError("No layer is chosen for the region: draw one, or choose the whole image.")
            if self.points_combo.currentData() == "layer" and where.points is None:
                raise ValueError("No layer is chosen for the points: add one, or choose the regular grid.")
            self.session.run(all_slices=all_slices)
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
            self._choose_model(name)

        self.session.download(f"Downloading {name}", weights_steps(name, self._settings.weights_folder), downloaded)

    # ------------------------------------------------------------ showing the state

    def _show_image(self, image: Image | None) -> None:
        self.image_combo.blockSignals(True)
        self.image_combo.choose(image)
        self.image_combo.blockSignals(False)
        self._show_estimate()

    def _show_settings(self, settings: Any) -> None:
        self.form.show_settings(settings)
        fitting = [index for index, one in enumerate(PRESETS) if one.settings == settings]
        self.preset_combo.setCurrentIndex(fitting[0] if fitting else -1)
        self.preset_note.setText(PRESETS[fitting[0]].note if fitting else "Own settings.")

    def _show_region(self) -> None:
        self.region_layer.setVisible(self.region_combo.currentData() == "layer")
        self.points_layer.setVisible(self.points_combo.currentData() == "layer")

    def _show_state(self, state: Any = None) -> None:
        session = self.session
        self.run_row.show_state(session.state, possible=session.plane is not None)

    def _show_estimate(self) -> None:
        self.run_row.show_slices(self.session.slices)
        self.run_row.show_estimate(self.session.estimate(all_slices=self.run_row.all_slices))
        self._show_state()

    def _enable_buttons(self, selection: Any = None) -> None:
        count = len(self.session.editor.selection)
        self.pick_button.setEnabled(count > 0)
        self.delete_button.setEnabled(count > 0)
        self.merge_button.setEnabled(count > 1)
        self.undo_button.setEnabled(self.session.editor.can_undo)

    # ------------------------------------------------------------------- the end

    def _end(self) -> None:
        self.image_combo.release()
        self.region_layer.release()
        self.points_layer.release()
        self.session.close()


def _is_image(layer: Layer) -> bool:
    return isinstance(layer, Image)


def _offers_region(layer: Layer) -> bool:
    ours = PREVIEW_KEY in layer.metadata or layer.name == EVERYTHING_NAME
    return isinstance(layer, Shapes | Labels) and not ours


def _offers_points(layer: Layer) -> bool:
    return isinstance(layer, Points)


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


def _button(text: str, tip: str, attempt: Any, name: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    button.clicked.connect(lambda: attempt(name))
    return button


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line


def _shortcuts() -> QLabel:
    rows = "".join(f"<tr><td><b>{key.key}</b>&nbsp;&nbsp;</td><td>{key.text}</td></tr>" for key in EVERYTHING_KEYS)
    label = QLabel(f"<table>{rows}</table>")
    label.setToolTip("Keys of the layer everything; they work while it is the active layer")
    return label
