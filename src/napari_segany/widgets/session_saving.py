"""Saving the work on an image by itself, and bringing it back on request. Knows napari's layers, but no Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
from napari.layers import Image, Labels

from napari_segany.engine.progress import Steps
from napari_segany.formats.session_file import SavedSession, read_session
from napari_segany.widgets.image_identity import fits, image_identity
from napari_segany.widgets.image_work import ImageWork, Saving
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.progress_runner import Runner, SynchronousRunner
from napari_segany.widgets.session_choices import LASTING_CHOICES, check_choices
from napari_segany.widgets.session_place import SessionPlace, forget_oldest
from napari_segany.widgets.work_log import WorkLog

FOLDER_VARIABLE = "SEGANY_DATA"
"""The environment variable that names the folder of saved sessions."""

_DELAY_MS = 2000


def saved_sessions_folder() -> Path:
    """Return the folder of saved sessions, which need not exist: `SEGANY_DATA`, else the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE, "")
    return Path(chosen or platformdirs.user_data_dir("napari-segany")).expanduser().absolute() / "sessions"


class Autosave:
    """Keeps a file for the image that is worked on.

    A file of an earlier session is put aside, not overwritten.

    Parameters
    ----------
    folder : Path
        Where the files are; it is made when there is something to save.
    runner : Runner
        Writes them in the background.
    describe : callable
        Returns the present state without its planes; None where there is nothing to save.
    say : callable
        Receives sentences for the user.
    """

    def __init__(
        self, folder: Path, runner: Runner, describe: Callable[[], SavedSession | None], say: Callable[[str], None]
    ) -> None:
        self._folder, self._runner = folder, runner
        self._describe, self._say = describe, say
        self._work: ImageWork | None = None
        self._places: dict[tuple[str, Path], SessionPlace] = {}
        self.log = WorkLog()
        self._left: list[Saving] = []
        self._is_saving = self._was_refused = False

    # ------------------------------------------------------------------- what it is about

    def turn_to(self, image: Image | None) -> None:
        """Finish what is due for the last image, and look whether there is a file of this one."""
        self._save_present()
        self._work = None
        if image is not None:
            identity = image_identity(image)
            name = re.sub(r"[^\w.-]+", "_", image.name)[:60]
            path = self._folder / f"{name}-{identity['digest']}.json"
            known = self._places.get((image.unique_id, path))  # with the history that waits for the image
            place = known or self._places.setdefault((image.unique_id, path), SessionPlace(path))
            self._work = ImageWork(image, identity, place)

    def forget_image(self, image: Image) -> None:
        """Have what was saved of an image as an earlier session's: its history is gone."""
        self._places = {key: place for key, place in self._places.items() if key[0] != image.unique_id}

    @property
    def earlier(self) -> Path | None:
        """The file that an earlier session left of this image; None if there is none."""
        return None if self._work is None else self._work.place.earlier

    def read_earlier(self) -> SavedSession | None:
        """Return what an earlier session left; None, with a sentence for the user, where that cannot be read."""
        earlier = self.earlier
        if earlier is None:
            self._say("Nothing of this image was saved in an earlier session.")
            return None
        try:
            saved = read_session(earlier)
            check_choices(saved)
        except (OSError, ValueError) as error:
            self._say(f"The saved session cannot be read: {error}")
            return None
        if self._work is None or not fits(saved, self._work.image):
            self._say("The saved session is of an image of another size.")
            return None
        return saved

    # ------------------------------------------------------------------------- saving

    def layer_taken_up(self, layer: Labels) -> None:
        """Save the objects of this layer."""
        if self._work is not None:
            self._work.take_up(layer)

    def pixels_changed(self, pixels: PixelChange) -> None:
        """Take note which planes are to be encoded again."""
        if self._work is not None:
            self._work.note(pixels)

    def layer_goes(self) -> None:
        """Keep the state before a layer is removed: all of an image may be removed at once, the image last."""
        work = self._work
        if work is not None and work.before_removal is None:
            work.before_removal = self._describe()
            self._runner.later(work.removal_over)

    def image_gone(self) -> None:
        """Save the image as it was before its layers went: that these are gone, too, is no work of the user's."""
        if self._work is not None:
            self._work.last_state = self._work.before_removal
            self._work.is_due = self._work.is_due and self._work.last_state is not None

    def changed(self) -> None:
        """Save soon."""
        if self._work is not None and not self._work.is_due:
            self._work.is_due = True
            self._runner.later(self._begin, _DELAY_MS)

    def save_now(self) -> None:
        """Save what is due or only half saved, before the image or the widget goes."""
        self._save_present()
        while self._left:
            saving = self._left.pop()
            self._save_at_once(replace(saving, planes=dict(saving.planes)).steps())  # a thread may be at the first

    def save_left(self) -> None:
        """Save in the background what is due, because another image is chosen: its objects stay as they are."""
        work = self._work
        saving = self._begun(work) if work is not None and self._is_to_be_saved(work) else None
        if work is not None and saving is not None:
            work.is_due, work.saving = False, None
            self._left.append(saving)
            over = partial(self._left_over, saving)
            self._runner.start("Saving the session", saving.steps(), done=over, failed=over)

    def _left_over(self, saving: Saving, outcome: SavedSession | Exception) -> None:
        self._left = [one for one in self._left if one is not saving]
        if isinstance(outcome, Exception):
            self._refused(outcome)

    def _save_present(self) -> None:
        work = self._work
        if work is not None and self._is_to_be_saved(work):
            work.is_due = False
            self._save_at_once(self._present_steps(work))
            work.saving = None

    def _save_at_once(self, steps: Steps[Any]) -> None:
        """Save; whatever is wrong is said, for what calls this has more to do."""
        SynchronousRunner().start("Saving the session", steps, done=lambda saved: None, failed=self._refused)

    def _is_to_be_saved(self, work: ImageWork) -> bool:
        return work.is_due or work.saving is not None or self._was_chosen_since(work)

    def _was_chosen_since(self, work: ImageWork) -> bool:
        """Whether something else was chosen since the last saving: that alone is no step of the history."""
        state = (work.last_state or self._describe()) if work.choices else None
        if state is None:
            return False
        return any(state.choices.get(name) != work.choices.get(name) for name in LASTING_CHOICES)

    def _present_steps(self, work: ImageWork) -> Steps[SavedSession | None]:
        saving = self._begun(work)
        return None if saving is None else (yield from saving.steps())

    def _begin(self) -> None:
        work = self._work
        if work is None or not work.is_due or self._is_saving:
            return
        work.is_due = False
        saving = self._begun(work)
        if saving is not None:
            self._is_saving = True
            done = partial(self._saved, work, saving)
            self._runner.start("Saving the session", saving.steps(), done=done, failed=self._failed)

    def _begun(self, work: ImageWork) -> Saving | None:
        state = work.last_state or self._describe()
        return None if state is None else work.begin_saving(state, self.log)

    def _saved(self, work: ImageWork, saving: Saving, saved: SavedSession) -> None:
        work.end_saving(saving)
        forget_oldest(self._folder)
        self._go_on()

    def _failed(self, error: Exception) -> None:
        self._refused(error)
        self._go_on()

    def _go_on(self) -> None:
        self._is_saving = False
        self._begin()

    def _refused(self, error: Exception) -> None:
        """Say once that work is not saved: nobody wants to read it after each click."""
        if not self._was_refused:
            self._was_refused = True
            self._say(f"The session is not saved by itself: {error}")
