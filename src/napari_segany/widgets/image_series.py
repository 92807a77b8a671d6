"""A folder of images worked through one after the other; each is saved when it is left. Knows no Qt.

`session.series` in napari's console::

    session.series.open("plate3")      # goes on where it stood
    session.series.next()              # saves prompts and objects first; previous() and go_to(7) too
    session.series.mark_done()
    session.series.statuses            # ("done", "started", "untouched", ...)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_warning
from numpy.typing import NDArray
from psygnal import Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.labels import write_label_tiff
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.layers import remove
from napari_segany.widgets.objects import OWNER_KEY
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import OWNER_KEY as PROMPTS_OF
from napari_segany.widgets.series_ahead import ImagesAhead, layer_of, reading_steps
from napari_segany.widgets.series_classes import SeriesClasses
from napari_segany.widgets.series_folder import SeriesFolder, Status
from napari_segany.widgets.session_saving import saved_sessions_folder

if TYPE_CHECKING:
    from napari_segany.widgets.session import PromptSession

AHEAD = 2
"""Images that are made ready while one is worked on."""


class ImageSeries:
    """The work list of one `PromptSession`.

    Parameters
    ----------
    session : PromptSession
        The session.
    runner : Runner
        Reads, saves and computes in the background.
    embedder : Embedder
        Has the model and the embeddings.
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    position : int
        Which image is worked on, counted from 0; -1 while none is.
    is_moving : bool
        Whether an image is being saved or opened.
    """

    changed = Signal()

    def __init__(
        self,
        session: PromptSession,
        runner: Runner,
        embedder: Embedder,
        say: Callable[[str | None], None],
    ) -> None:
        self.position, self.is_moving = -1, False
        self._session, self._runner, self._say = session, runner, say
        self._folder: SeriesFolder | None = None
        self._layer: Image | None = None
        self._last_saved: object = None
        self._labels_due: tuple[Path, Labels] | None = None
        self._is_foreign = False  # the present image's files hold work that is not in its layers
        self.ahead = ImagesAhead(runner, embedder)
        self._classes = SeriesClasses(session.classes, self._kept)
        session.image_changed.connect(self._image_chosen)
        session.history_changed.connect(self.changed.emit)

    # --------------------------------------------------------------------- for users

    @property
    def images(self) -> tuple[Path, ...]:
        """The image files, by name."""
        return () if self._folder is None else self._folder.images

    @property
    def statuses(self) -> tuple[Status, ...]:
        """How far each image is: "untouched", "started" or "done"."""
        folder = self._folder
        if folder is None:
            return ()
        found = [folder.status(image) for image in folder.images]
        if self._layer is not None and found[self.position] == "untouched" and self._has_changed:
            found[self.position] = "started"
        return tuple(found)

    def open(self, folder: str | os.PathLike[str]) -> None:
        """Work through the images of a folder, from where it stood.

        Raises
        ------
        ValueError
            For a folder that will not do.
        """
        try:
            found = SeriesFolder(folder, saved_sessions_folder().parent / "series")
        except OSError as error:
            raise ValueError(f"the folder {folder} cannot be opened: {error.strerror or error}") from error
        if not self.is_moving:
            self._moving()
            self._saved(lambda: self._begin(found))

    def next(self) -> None:
        """Save and go on with the next image."""
        self.go_to(self.position + 1)

    def previous(self) -> None:
        """Save and go back to the image before."""
        self.go_to(self.position - 1)

    def go_to(self, position: int) -> None:
        """Save and go to an image, counted from 0."""
        if self._folder is None:
            self._say("There is no list of images yet: open a folder.")
        elif not 0 <= position < len(self.images):
            self._say("This is the last image." if position > 0 else "This is the first image.")
        elif not self.is_moving and position != self.position:
            self._read(position)

    def mark_done(self, done: bool = True) -> None:
        """Say that the present image is done, or is not."""
        if self._folder is None or self.position < 0:
            self._say("There is no list of images yet: open a folder.")
            return
        self._kept(lambda folder: folder.mark(folder.images[self.position], done=done))
        self.changed.emit()

    def done_and_next(self) -> None:
        """Mark the present image done and go on with the next one."""
        self.mark_done()
        if self.position + 1 < len(self.images):
            self.next()
        elif self._folder is not None:
            self.save()
            left = sum(status != "done" for status in self.statuses)
            self._say("This was the last image" + (f"; {left} are not done." if left else ", and all are done."))

    def attempt(self, folder: str) -> None:
        """Open a folder for a button: what speaks against it is said, not raised."""
        try:
            self.open(folder)
        except ValueError as error:
            text = str(error)
            self._say(text if text.endswith(".") else f"{text}.")

    def save(self) -> None:
        """Save prompts and objects of the present image, and stay."""
        if not self.is_moving:
            self._moving()
            self._saved(self._rest)

    def close(self) -> None:
        """Stop for good; layers stay. What was not saved is in the session's own file, see `session.restore`."""
        due, self._labels_due = self._labels_due, None
        if due is not None:  # their session is written by `session.files`, and they must not be older than that
            path, layer = due
            try:
                write_label_tiff(path, np.array(layer.data))
            except OSError as error:
                show_warning(f"The labels were not saved in {path.name}: {error}")
        self._kept(SeriesFolder.write_due)
        self.ahead.close()

    # --------------------------------------------------------------- leaving an image

    def _saved(self, then: Callable[[], None]) -> None:
        """Save what was done on the present image, as often as something is done meanwhile; then go on, at once.

        Where that fails, the image stays.
        """
        folder, layer, session = self._folder, self._layer, self._session
        if folder is None or layer is None or layer not in session.viewer.layers:
            then()
            return
        if session.image is not layer:
            session.choose_image(layer)  # another one was chosen: what was done on this one waits with it
        if not self._has_changed:
            then()
            return
        image, last = folder.images[self.position], session.history.next_undo
        if self._is_foreign and not self._put_aside(folder, image):
            return
        objects = None if session.objects is None else session.objects.layer  # of now: another image may be chosen
        self._labels_due = None if objects is None else (folder.labels_file(image), objects)

        def labels_written(result: object = None) -> None:
            self._last_saved, self._labels_due = last, None
            self._saved(then)

        def session_written() -> None:
            if objects is None:
                labels_written()
                return
            self._runner.start(
                "Saving the labels",
                _label_steps(folder.labels_file(image), np.array(objects.data)),
                done=labels_written,
                failed=lambda error: self._stuck(f"The labels of {image.name} were not saved: {error}"),
            )

        session.files.save(folder.session_file(image), session_written, self._rest)

    @property
    def _has_changed(self) -> bool:
        return self._session.history.next_undo is not self._last_saved

    def _put_aside(self, folder: SeriesFolder, image: Path) -> bool:
        """Give the files that hold other work than is shown another name; return whether the image can be saved."""
        try:
            aside = folder.put_aside(image)
        except OSError as error:
            self._stuck(f"What was saved of {image.name} before could not be put aside: {error.strerror or error}")
            return False
        self._is_foreign = False
        if aside is not None:
            self._say(f"What was saved of {image.name} before is kept as {aside.name}.")
        return True

    def _moving(self) -> None:
        self.is_moving = True
        self.changed.emit()

    def _rest(self) -> None:
        self.is_moving, self._labels_due = False, None
        self.changed.emit()

    def _stuck(self, text: str) -> None:
        self._rest()
        self._say(text if text.endswith(".") else f"{text}.")

    # --------------------------------------------------------------- coming to an image

    def _begin(self, folder: SeriesFolder) -> None:
        self._classes.turn_to(None)
        self._drop_layers()
        self._folder, self.position = folder, -1
        self._read(folder.first)

    def _read(self, position: int) -> None:
        """Read an image, while the present one can still be worked on, and then turn to it."""
        self._moving()
        path = self.images[position]
        ready = self.ahead.take(path)
        if ready is not None:
            self._saved(partial(self._show, position, ready))
            return
        self._runner.start(
            f"Opening {path.name}",
            reading_steps(path),
            done=lambda pixels: self._saved(partial(self._show, position, layer_of(path, pixels))),
            failed=lambda error: self._saved(partial(self._unreadable, position, error)),
        )

    def _unreadable(self, position: int, error: Exception) -> None:
        """Stand at an image that cannot be read, so that the next one can be reached."""
        self._drop_layers()
        self.position = position
        self._stuck(f"{self.images[position].name} cannot be read: {error}")

    def _show(self, position: int, layer: Image) -> None:
        folder, session = self._folder, self._session
        if folder is None:
            return
        session.viewer.layers.insert(0, layer)
        session.choose_image(layer)
        self._drop_layers()
        self._layer, self.position, self._is_foreign = layer, position, False
        self._classes.turn_to(folder)
        session.viewer.reset_view()
        path = folder.images[position]
        self._kept(lambda folder: folder.stand_at(path))
        self._last_saved = session.history.next_undo
        session.choose_tool("points")
        if folder.session_file(path).is_file():
            session.files.open(folder.session_file(path), self._is_back, self._did_not_come_back)
        else:
            self._rest()
            self._say(None)
        self.ahead.want(tuple(folder.images[position + 1 : position + 1 + AHEAD]))

    def _is_back(self) -> None:
        if self._session.image is self._layer:
            self._last_saved = self._session.history.next_undo
        else:  # the session was of another image, which was opened for it
            self._is_foreign = True
        self._rest()

    def _did_not_come_back(self) -> None:
        self._is_foreign = True
        self._stuck(f"{self._session.status.rstrip('.')}. It stays as it is; what you do now is saved beside it")

    def _image_chosen(self, image: Image | None) -> None:
        """Have the classes of the folder for the present image, and for no other one that is chosen meanwhile."""
        self._classes.turn_to(self._folder if image is not None and image is self._layer else None)

    def _drop_layers(self) -> None:
        """Remove the image that was left, with its objects and prompts: they are on the disk.

        Of an image that people removed themselves nothing could be saved: its objects stay.
        """
        layer, self._layer = self._layer, None
        viewer = self._session.viewer
        if layer is None or layer not in viewer.layers:
            return
        theirs = [
            one
            for one in viewer.layers
            if layer.unique_id in (one.metadata.get(OWNER_KEY), one.metadata.get(PROMPTS_OF))
        ]
        for one in (*theirs, layer):
            remove(viewer, one)

    def _kept(self, keep: Callable[[SeriesFolder], None]) -> None:
        if self._folder is None:
            return
        try:
            keep(self._folder)
        except OSError as error:
            self._say(f"The list in {self._folder.store} could not be written: {error.strerror or error}.")


def _label_steps(path: Path, labels: NDArray[Any]) -> Steps[None]:
    yield Progress(0, 0, "Saving the labels")
    write_label_tiff(path, labels)
