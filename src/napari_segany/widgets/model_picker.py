"""A combo box of models: those that are here, and those that can be downloaded once the user agrees."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDialog, QSizePolicy, QWidget

from napari_segany.widgets.catalogue import BUNDLED, Catalogue, ModelChoice
from napari_segany.widgets.small_parts import open_file_dialog, open_question

_FROM_FILE = "A checkpoint file ..."


class ModelPicker(QComboBox):
    """Emits `chosen` with the name (or the file) of a model that is here, `download_wanted` with one that is not."""

    chosen = Signal(str)
    download_wanted = Signal(str)

    def __init__(self, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._current = model
        self._choices: dict[str, ModelChoice] = {}
        self.dialog: QDialog | None = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setToolTip("The model that answers; one that is not here yet is downloaded when it is chosen")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_catalogue(BUNDLED)
        self.activated.connect(self._picked)

    def set_catalogue(self, catalogue: Catalogue) -> None:
        """List these models; the current one stays current, also if it is a file."""
        self._choices = {choice.name: choice for choice in catalogue.models}
        self.clear()
        for choice in catalogue.models:
            self._append(choice.text, choice.name, choice.note or choice.name)
        if self._current not in self._choices:
            self._append(Path(self._current).name, self._current, self._current)
        self._append(_FROM_FILE, "", "A .pth, .pt or .safetensors file with the weights of a SAM")
        self.show_model(self._current)

    def show_model(self, name: str) -> None:
        """Show which model is in use."""
        self._current = name
        index = self.findData(name)
        if index < 0:
            index = self.count() - 1
            self.insertItem(index, Path(name).name, name)
            self.setItemData(index, name, Qt.ItemDataRole.ToolTipRole)
        self.setCurrentIndex(index)

    def knows(self, name: str) -> bool:
        """Whether a model answers already, or could without a download."""
        choice = self._choices.get(name)
        return name == self._current or (choice is not None and choice.present) or Path(name).is_file()

    def _append(self, text: str, name: str, tip: str) -> None:
        self.addItem(text, name)
        self.setItemData(self.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def _picked(self, index: int) -> None:
        """Take the user's choice; the combo box shows it only once it is in use."""
        name = str(self.itemData(index))
        self.setCurrentIndex(self.findData(self._current))
        if not name:
            filters = "Checkpoints (*.pth *.pt *.safetensors)"
            self.dialog = open_file_dialog(self, "Weights of a SAM", filters, self.chosen.emit)
            return
        choice = self._choices.get(name)
        if choice is None or choice.present:
            self.chosen.emit(name)
        else:
            self._ask_for(choice)

    def _ask_for(self, choice: ModelChoice) -> None:
        size = "" if choice.size_bytes is None else f" ({choice.size_bytes / 1e6:,.0f} MB)"
        damaged = "The file that is here is damaged. " if choice.damaged else ""
        question = f"{damaged}Download the weights of {choice.name}{size}? {choice.note}"
        wanted = partial(self.download_wanted.emit, choice.name)
        self.dialog = open_question(self, "Download weights", question, wanted)
