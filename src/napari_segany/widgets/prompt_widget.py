"""The dock widget "Prompt segmentation": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari import Viewer
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.widgets import outline_colours
from napari_segany.widgets.candidate_list import CandidateList
from napari_segany.widgets.catalogue import BUNDLED, Catalogue, catalogue_steps, predictor_loader, weights_steps
from napari_segany.widgets.choosing_row import ChoosingRow
from napari_segany.widgets.classes_panel import ClassesPanel
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.keys import KeyBindings
from napari_segany.widgets.layer_combo import LayerCombo
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.layers_ahead import LayersAhead
from napari_segany.widgets.model_picker import ModelPicker
from napari_segany.widgets.numbers_overlay import NumbersOverlay
from napari_segany.widgets.object_picker import ObjectPicker
from napari_segany.widgets.object_table_dock import ObjectTableDock
from napari_segany.widgets.objects_row import ObjectsRow
from napari_segany.widgets.one_each_panel import one_each_section
from napari_segany.widgets.progress_row import ProgressRow
from napari_segany.widgets.section import Section
from napari_segany.widgets.series_panel import SeriesPanel
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.session_row import SessionRow
from napari_segany.widgets.session_saving import saved_sessions_folder
from napari_segany.widgets.session_settings import put_settings
from napari_segany.widgets.settings import Settings, SettingsWatch, read_settings, remember
from napari_segany.widgets.similar_panel import SimilarPanel
from napari_segany.widgets.small_parts import button, key_list, rule
from napari_segany.widgets.stack_panel import StackSection
from napari_segany.widgets.tool_row import ToolRow
from napari_segany.widgets.vertical_scroll import VerticalScroll
from napari_segany.widgets.view_row import ViewRow
from napari_segany.widgets.viewer_events import EventLinks
from napari_segany.widgets.windows_panel import WindowsPanel
from napari_segany.widgets.workers import BackgroundRunner

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_segany.widgets.embedder import LoadPredictor
    from napari_segany.widgets.progress_runner import Runner


class PromptWidget(DockBody):
    """Click, box or take over an object, and get its mask.

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
    session : PromptSession
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
        self._remember = remember if settings is None else lambda name, value: None
        self._runner = runner or BackgroundRunner()
        self._watch = SettingsWatch(self._put_settings, self._runner.later) if settings is None else None
        self.session = PromptSession(
            viewer,
            self._runner,
            load_predictor
            or predictor_loader(self._settings.weights_folder, self._settings.places, self._settings.precision),
            model=self._settings.model,
            device=self._settings.device,
            cache_bytes=self._settings.cache_bytes,
            autosave=saved_sessions_folder(),
        )
        put_settings(self.session, self._settings, ("overlap_rule", "candidate_policy", "mask_colours", "preview"))
        self._keys = KeyBindings(viewer, self.session)
        self._numbers = NumbersOverlay(viewer, self.session, self._runner)
        self._links = EventLinks()
        self._build(viewer)
        self._connect(viewer)
        self._farewell = Farewell(self, partial(self.session.close, keep_layers=True))
        active = viewer.layers.selection.active
        if isinstance(active, Image):
            self.image_combo.choose(active)
        self._choose_image(self.image_combo.layer())
        put_settings(self.session, self._settings, ("compute_ahead",))
        self._list_models()
        # A viewer model without a window has nothing that could stand still.
        ahead = partial(LayersAhead, viewer, self.session, self._runner, self._numbers.ready_steps)
        self.layers_ahead = ahead() if isinstance(viewer, Viewer) else None
        # Last: napari compiles for the layers of prompts too, and would wait for this to be over.
        self._runner.start("Preparing", outline_colours.ready_steps(), done=self._prepared, failed=self._prepared)

    def _prepared(self, outcome: object) -> None:
        if self.layers_ahead is not None:
            self.layers_ahead.begin()

    # -------------------------------------------------------------------- layout

    def _build(self, viewer: ViewerModel) -> None:
        self.image_combo = LayerCombo(viewer, _is_image, "no image")
        self.image_combo.setToolTip("The image that is worked on")
        self.model_picker = ModelPicker(self.session.model)
        self.device_combo = QComboBox()
        self.device_combo.setToolTip("Where the model computes; auto takes a graphics card if there is one")
        self.status_label = QLabel()
        self.status_label.setWordWrap(True)
        self.status_label.setMinimumHeight(3 * self.fontMetrics().lineSpacing())
        self.status_label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.progress_row = ProgressRow()
        self.tool_row = ToolRow()
        self.candidate_list = CandidateList(self._settings.mask_colours)
        self.object_picker = ObjectPicker(viewer)
        self.objects_row = ObjectsRow()

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.addRow("Image", self.image_combo)
        form.addRow("Model", self.model_picker)
        form.addRow("Device", self.device_combo)

        body = QWidget()
        column = QVBoxLayout(body)
        column.addLayout(form)
        column.addWidget(self.progress_row)
        column.addWidget(rule())
        column.addWidget(self.tool_row)
        column.addWidget(self.object_picker)
        column.addWidget(self.status_label)
        column.addWidget(self.candidate_list)
        column.addLayout(self._buttons())
        column.addWidget(rule())
        column.addWidget(self.objects_row)
        sections = self._sections()
        for section in sections:
            column.addWidget(section)
        self.view_row = ViewRow(sections, self._remember, all_tools=self._settings.all_tools)
        column.addWidget(self.view_row)
        column.addStretch(1)

        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(VerticalScroll(body))

    def _sections(self) -> list[Section]:
        """Return what can be folded away, in its order from top to bottom."""
        session = self.session
        self.table_dock = ObjectTableDock(session.viewer, session)
        self.classes_panel = ClassesPanel(session.classes, self._show_status, self.table_dock.open)
        self.similar_panel = SimilarPanel(session.similar)
        self.stack_section = StackSection(session.stack)
        each, self.one_each_panel = one_each_section(session.viewer, session.one_each)
        self.windows_panel = WindowsPanel(session.windows, self._settings.places)
        self.choosing_row = ChoosingRow(session, self._remember)
        return [
            Section("Preview and first mask", self.choosing_row),
            each,
            self.stack_section,
            Section("Classes and table", self.classes_panel, unfolded=True),
            Section("Find similar", self.similar_panel),
            Section("Large image", self.windows_panel),
            Section("Folder of images", SeriesPanel(session.series)),
            Section("Session", SessionRow(session, self._runner)),
            Section("Keys", key_list()),
        ]

    def _buttons(self) -> QGridLayout:
        session = self.session
        self.accept_button = button("Accept  N", "Keep the shown mask in the layer objects", session.accept)
        self.previous_button = button("Previous  Shift-W", "Show the previous mask", session.previous_candidate)
        self.next_button = button("Next  W", "Show the next mask", session.next_candidate)
        self.drop_button = button("Drop prompts  U", "Remove clicks, boxes and masks", session.clear_prompts)
        grid = QGridLayout()
        grid.addWidget(self.previous_button, 0, 0)
        grid.addWidget(self.next_button, 0, 1)
        grid.addWidget(self.drop_button, 1, 0)
        grid.addWidget(self.accept_button, 1, 1)
        return grid

    # --------------------------------------------------------------- connections

    def _connect(self, viewer: ViewerModel) -> None:
        session = self.session
        self.image_combo.chosen.connect(self._choose_image)
        self.model_picker.chosen.connect(self._choose_model)
        self.model_picker.download_wanted.connect(self._download)
        self.device_combo.textActivated.connect(self._choose_device)
        self.progress_row.begun.connect(session.compute_embedding)
        self.progress_row.cancelled.connect(session.cancel)
        self.tool_row.tool_chosen.connect(self._choose_tool)
        self.tool_row.polarity_toggled.connect(session.toggle_polarity)
        self.candidate_list.chosen.connect(session.select_candidate)
        self.object_picker.chosen.connect(self._use_object)
        self.objects_row.pressed.connect(session.attempt)
        self.objects_row.overlap_chosen.connect(self._set_overlap)
        self.objects_row.cleaning_chosen.connect(self._set_cleaning)

        session.model_changed.connect(self.model_picker.show_model)
        session.image_changed.connect(self._show_image)
        session.embedding_changed.connect(self._show_embedding)
        session.candidates_changed.connect(self._show_candidates)
        session.selected_changed.connect(self.candidate_list.show_selected)
        session.prompts_changed.connect(self._enable_buttons)
        session.polarity_changed.connect(self.tool_row.show_polarity)
        session.status_changed.connect(self._show_status)
        session.history_changed.connect(self._show_history)
        session.choices_changed.connect(self._show_choices)
        session.editor.selection_changed.connect(self.objects_row.show_selection)
        self._links.add(viewer.layers.selection.events.active, self._show_tool)
        self.status_label.setText(session.status)
        self._show_catalogue(BUNDLED)
        self._show_embedding()
        self._enable_buttons()

    def _choose_image(self, image: Image | None) -> None:
        tool = partial(self._choose_tool, "points") if image is not None else lambda: None
        self.session.choose_image_in_turns(image, done=tool)

    def _choose_tool(self, name: str) -> None:
        self.session.choose_tool(name)
        self._show_tool()

    def _use_object(self, labels: Any) -> None:
        try:
            self.session.use_object(labels)
        except ValueError as error:
            self.status_label.setText(str(error))

    def _set_overlap(self, rule: Any) -> None:
        self.session.overlap = rule
        self._remember("overlap_rule", rule)

    def _set_cleaning(self, cleaning: CleanUp, accepted_too: bool) -> None:
        self.session.editor.cleaning = cleaning
        self.session.editor.clean_accepted = accepted_too

    def _put_settings(self, settings: Settings, names: frozenset[str]) -> None:
        """Take over what was changed on the page of preferences while the dock is open."""
        self.candidate_list.paint(settings.mask_colours)
        if "all_tools" in names:
            self.view_row.all_tools.setChecked(settings.all_tools)
        if not self.model_picker.knows(settings.model):
            names -= {"model"}  # a name that is still being typed
        put_settings(self.session, settings, names)
        self._show_candidates(self.session.candidates)
        self.candidate_list.show_selected(self.session.selected)

    # -------------------------------------------------------------------- models

    def _choose_model(self, name: str) -> None:
        self.session.choose_model(name)
        self._remember("model", name)

    def _choose_device(self, device: str) -> None:
        self.session.choose_device(device)
        self._remember("device", device.partition(":")[0])  # the page knows no second graphics card

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
        self._show_choices()

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
        self.objects_row.restore.setEnabled(self.session.earlier_work is not None)
        self._show_embedding()

    def _show_choices(self) -> None:
        session = self.session
        if self.device_combo.findText(session.device) < 0:
            self.device_combo.addItem(session.device)
        self.device_combo.setCurrentText(session.device)
        editor = session.editor
        self.objects_row.show_choices(session.overlap, editor.cleaning, clean_accepted=editor.clean_accepted)

    def _show_status(self, text: str) -> None:
        self.status_label.setText(text)

    def _show_embedding(self, state: Any = None) -> None:
        session = self.session
        possible = session.image is not None and session.plane is not None
        self.progress_row.show_state(session.embedding_state, stale=session.embedding_is_stale, possible=possible)

    def _show_candidates(self, candidates: tuple[Any, ...]) -> None:
        self.candidate_list.show_candidates(candidates)
        self._enable_buttons()

    def _enable_buttons(self, prompts: Any = None) -> None:
        candidates = len(self.session.candidates)
        self.accept_button.setEnabled(candidates > 0)
        self.previous_button.setEnabled(candidates > 1)
        self.next_button.setEnabled(candidates > 1)
        self.drop_button.setEnabled(bool(self.session.prompts))

    def _show_history(self) -> None:
        history = self.session.history
        self.objects_row.show_history(can_undo=history.can_undo, can_redo=history.can_redo)

    def _show_tool(self, event: Any = None) -> None:
        layers = self.session.prompt_layers
        active = self.session.viewer.layers.selection.active
        tools = {id(layers.points): "points", id(layers.boxes): "boxes"}
        self.tool_row.show_tool(tools.get(id(active)) if active is not None else None)

    # ------------------------------------------------------------------- the end

    def _end(self) -> None:
        self._links.clear()
        if self._watch is not None:
            self._watch.close()
        self._keys.clear()
        self._numbers.close()
        if self.layers_ahead is not None:
            self.layers_ahead.close()
        self.image_combo.release()
        self.object_picker.combo.release()
        self.one_each_panel.release()
        self.session.close()


def _is_image(layer: Any) -> bool:
    return isinstance(layer, Image)
