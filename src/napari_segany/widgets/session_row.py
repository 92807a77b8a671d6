"""Saving, opening and copying the session: a part of the dock, with dialogs that leave the viewer usable."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QWidget

from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.session_files import FILE_ENDING, IN_NO_FILE
from napari_segany.widgets.small_parts import button, open_file_dialog, open_save_dialog

_IMAGE_FILTER = "TIFF (*.tif);;NumPy (*.npy)"
_FILTER = f"Sessions (*{FILE_ENDING} *.json)"


class SessionRow(QWidget):
    """Buttons for `session.files`.

    Parameters
    ----------
    session : PromptSession
        The session.
    runner : Runner
        Makes the script in the background.
    """

    def __init__(self, session: PromptSession, runner: Runner) -> None:
        super().__init__()
        self._session, self._runner = session, runner
        self.dialog: QFileDialog | None = None
        tips = (
            "Save prompts, choices and objects to a file; `segany replay` makes the labels again from it",
            "Go on with a saved session; its image is opened where it is not",
            "Put a Python script on the clipboard that makes the same labels",
            "The image is in no file: write it to one, where scripts and `segany replay` find it",
        )
        self.save = button("Save session ...", tips[0], self._ask_where_to_save)
        self.open = button("Open session ...", tips[1], self._ask_what_to_open)
        self.copy = button("Copy as script", tips[2], self.copy_script)
        self.save_image = button("Save image ...", tips[3], self._ask_where_to_save_image)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.save, 0, 0)
        grid.addWidget(self.open, 0, 1)
        grid.addWidget(self.copy, 1, 0, 1, 2)
        grid.addWidget(self.save_image, 2, 0, 1, 2)
        session.image_changed.connect(self._look_for_file)
        self._look_for_file()

    def copy_script(self) -> None:
        """Put the session as a script on the clipboard, and say so in `status`."""
        say = self._session.files.say

        def made(text: str) -> None:
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(text)
            where = "" if self._session.files.has_image_file else f" {IN_NO_FILE}"
            say(f"The script is on the clipboard: {len(text.splitlines())} lines of Python.{where}")

        try:
            steps = self._session.files.script_steps()
        except ValueError as error:
            say(str(error))
            return
        failed: Callable[[Exception], None] = lambda error: say(f"There is no script: {error}")  # noqa: E731
        self._runner.start("Writing the script", steps, done=made, failed=failed)

    def _ask_where_to_save(self) -> None:
        image = self._session.image
        if image is None:
            self._session.files.say("There is no image yet: open one and choose it first.")
            return
        self._close_dialog()
        name, save = f"{image.name}{FILE_ENDING}", self._session.files.save
        self.dialog = open_save_dialog(self, "Save session", name, _FILTER, save)

    def _ask_where_to_save_image(self) -> None:
        image = self._session.image
        if image is not None:
            self._close_dialog()
            title, name = "Save image", f"{image.name}.tif"
            self.dialog = open_save_dialog(self, title, name, _IMAGE_FILTER, self._save_image)

    def _save_image(self, path: str) -> None:
        self._session.files.save_image(path, done=self._image_saved)

    def _image_saved(self) -> None:
        """Put the script on the clipboard anew: now it says where the image is."""
        self._look_for_file()
        self.copy_script()

    def _look_for_file(self, image: object = None) -> None:
        """Offer to save the image where it is in no file."""
        self.save_image.setVisible(not self._session.files.has_image_file)

    def _ask_what_to_open(self) -> None:
        self._close_dialog()
        self.dialog = open_file_dialog(self, "Open session", _FILTER, self._session.files.open)

    def _close_dialog(self) -> None:
        if self.dialog is not None:
            self.dialog.close()
