"""The dock widget "Data engine": shows a session's state, calls its methods and decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QLineEdit,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.widgets.catalogue import predictor_loader
from napari_segany.widgets.dock_body import DockBody
from napari_segany.widgets.embedder import LoadPredictor
from napari_segany.widgets.engine_session import EngineSession
from napari_segany.widgets.farewell import Farewell
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_widget import PromptWidget
from napari_segany.widgets.remembering_loader import RememberingLoader
from napari_segany.widgets.section import Section
from napari_segany.widgets.settings import Settings, read_settings
from napari_segany.widgets.small_parts import button, fill_bar, open_folder_dialog, wrapping_label
from napari_segany.widgets.workers import BackgroundRunner

_LOOK_MS = 1000


class EngineWidget(DockBody):
    """Annotates a folder of images with the model's help, and teaches it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer.
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
        load = RememberingLoader(
            load_predictor or predictor_loader(settings.weights_folder, settings.places, settings.precision)
        )
        self.prompts = PromptWidget(viewer, load_predictor=load, settings=settings)
        prompting, runner = self.prompts.session, runner or BackgroundRunner()
        self.session = EngineSession(viewer, runner, prompting, load, weights=load.weights)
        self.folder_button = button("Folder of images ...", "What is annotated", self._ask)
        self.images = QComboBox()
        self.images.setToolTip("The image that is shown; those with a tick are done")
        self.images.activated.connect(lambda _: self.session.show(str(self.images.currentData())))
        self.note, self.counts = wrapping_label(), wrapping_label()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = button("Cancel", "Stop what runs; masks that are written down stay", self.session.cancel)
        self.dialog: QFileDialog | None = None
        self._listed: tuple[DataEngine, int] | None = None
        self._rows: list[tuple[str, str]] = []
        self._lay_out()
        self.session.changed.connect(self._refresh)
        self._looks = QTimer(self)
        self._looks.timeout.connect(self._show_note)
        self._looks.start(_LOOK_MS)
        self._farewell = Farewell(self, partial(self.session.close, keep_layers=True))
        self._refresh()

    def _lay_out(self) -> None:
        session = self.session
        self.done_button = button("Image done", "Keep the masks and show the next image", session.finish)
        self.fill_button = button("Fill in", "Masks of which the model is sure; you add the rest", session.fill_in)
        self.remove_button = button("Remove filled", "The selected mask of the layer filled in", session.remove)
        self.rest_button = button("Annotate the rest", "All other images, without you", session.annotate_rest)
        self.retrain_button = button("Retrain", "Teach the model what is done; the better one stays", session.retrain)
        self.export_button = button("Export ...", "SA-1B's layout, COCO and YOLO, with a card", self._ask_export)
        grid = QGridLayout()
        buttons = (
            self.done_button,
            self.fill_button,
            self.rest_button,
            self.remove_button,
            self.retrain_button,
            self.cancel_button,
        )
        for number, one in enumerate(buttons):
            grid.addWidget(one, number // 2, number % 2)
        column = QVBoxLayout(self)
        column.addWidget(self.folder_button)
        column.addWidget(self.images)
        column.addWidget(self.note)
        column.addLayout(grid)
        column.addWidget(self.bar)
        column.addWidget(self.counts)
        column.addWidget(Section("Data set", self._data_set()))
        column.addWidget(self.prompts, stretch=1)

    def _data_set(self) -> QWidget:
        self.title, self.source, self.licence = QLineEdit(), QLineEdit(), QLineEdit()
        self.title.setToolTip("The name of the data set, for its card; without one it has that of the folder")
        self.source.setToolTip("Where the images come from, for its card: a study, an archive, an address")
        self.licence.setToolTip("What others may do with the data set, for its card, for example CC BY 4.0")
        body = QWidget()
        form = QFormLayout(body)
        form.addRow("Name", self.title)
        form.addRow("Source", self.source)
        form.addRow("Licence", self.licence)
        form.addRow(self.export_button)
        return body

    def _end(self) -> None:
        self._looks.stop()
        self.session.close()
        self.prompts.setParent(None)  # which closes it in its turn

    def _ask(self) -> None:
        self._show_dialog("Folder of images", lambda folder: self.session.open(Path(folder)))

    def _ask_export(self) -> None:
        self._show_dialog("Where the data set is written", self._export)

    def _export(self, folder: str) -> None:
        self.session.export(Path(folder), self.title.text(), self.source.text(), self.licence.text())

    def _show_dialog(self, title: str, chosen: Callable[[str], None]) -> None:
        if self.dialog is not None:
            self.dialog.close()
        self.dialog = open_folder_dialog(self, title, "", chosen)

    def _show_note(self) -> None:
        """Show the hint to the person, what runs, and else the last message."""
        progress = self.session.progress
        self.note.setText(self.session.hint() or (self.session.message if progress is None else progress.note))

    def _refresh(self) -> None:
        session, engine, progress = self.session, self.session.engine, self.session.progress
        working = progress is not None
        fill_bar(self.bar, progress)
        self._show_note()
        self.counts.setText(session.tell_counts())
        for one in (self.done_button, self.remove_button, self.images):
            one.setEnabled(engine is not None and session.can_go_on)
        for one in (self.fill_button, self.rest_button, self.retrain_button, self.export_button):
            one.setEnabled(engine is not None and not working)
        self.folder_button.setEnabled(not working)
        self.cancel_button.setEnabled(working)
        self._list_images()

    def _list_images(self) -> None:
        """Show the images and which are done; filled anew only where that has changed, for there may be thousands."""
        engine = self.session.engine
        listed = None if engine is None else (engine, engine.revision)
        if listed != self._listed:
            self._listed = listed
            self._fill_list(engine)
        names = () if engine is None else engine.names
        self.images.setCurrentIndex(names.index(self.session.name) if self.session.name in names else -1)

    def _fill_list(self, engine: DataEngine | None) -> None:
        finished = set() if engine is None else set(engine.finished)
        names = () if engine is None else engine.names
        rows = [(f"{'✓ ' if name in finished else ''}{name}", name) for name in names]
        if rows != self._rows:
            self._rows = rows
            self.images.clear()
            for text, name in rows:
                self.images.addItem(text, name)
