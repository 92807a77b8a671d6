"""Saving the work on an image by itself, and bringing it back on request. Knows napari's layers, but no Qt."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from napari.layers import Image, Labels

from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.labels import run_lengths_by_label
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_file import PlaneIndex, SavedSession, read_session
from napari_segany.widgets.layers import full_resolution, spatial_shape
from napari_segany.widgets.object_table import labels_of, rows_of
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.progress_runner import Runner, SynchronousRunner
from napari_segany.widgets.session_choices import LASTING_CHOICES, check_choices
from napari_segany.widgets.session_place import SessionPlace, forget_oldest
from napari_segany.widgets.work_log import WorkLog

FOLDER_VARIABLE = "SEGANY_DATA"
"""The environment variable that names the folder of saved sessions."""

_DELAY_MS = 2000
_SAMPLES_PER_AXIS = 64

Planes = dict[PlaneIndex, dict[int, RunLengths]]


def saved_sessions_folder() -> Path:
    """Return the folder of saved sessions, which need not exist: `SEGANY_DATA`, else the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE, "")
    return Path(chosen or platformdirs.user_data_dir("napari-segany")).expanduser().absolute() / "sessions"


def image_identity(image: Image) -> dict[str, Any]:
    """Return what tells an image from others: name, shape, type, and a digest of samples where they are in memory."""
    data = full_resolution(image)
    digest = hashlib.blake2b(digest_size=8)
    digest.update(repr((tuple(data.shape), str(data.dtype), str(image.source.path))).encode())
    if isinstance(data, np.ndarray):
        sampled = data[tuple(slice(None, None, max(1, size // _SAMPLES_PER_AXIS)) for size in data.shape)]
        digest.update(np.ascontiguousarray(sampled).tobytes())
    return {
        "name": image.name,
        "shape": [int(size) for size in data.shape],
        "dtype": str(data.dtype),
        "digest": digest.hexdigest(),
    }


@dataclass(frozen=True, eq=False)
class _Saving:
    """One state that is being saved: where, which planes are encoded anew, and all planes once it is over."""

    place: SessionPlace
    number: int
    state: SavedSession
    layer: Labels | None
    log: WorkLog
    dirty: frozenset[PlaneIndex] | None
    planes: Planes

    def steps(self) -> Steps[SavedSession]:
        """Encode what has changed and write the session, whole or not at all."""
        objects = None if self.layer is None else self.layer.data
        saved = yield from whole_state_steps(self.state, objects, self.log, self.planes, self.dirty)
        self.place.write(saved, self.number)
        return saved


@dataclass(eq=False)
class _ImageWork:
    """What is known of the work on one image: where it is saved, what of it is encoded, and what is due.

    Attributes
    ----------
    image, identity : Image and dict
        The image, and what tells it from others.
    place : SessionPlace
        Its file.
    layer : Labels or None
        Has the objects.
    planes : dict
        The objects that are encoded already, by plane.
    dirty : set or None
        The planes that have changed since; None for all of them.
    saving : _Saving or None
        The state that is being saved.
    before_removal : SavedSession or None
        The state before layers of it were removed, until it is known whether the image goes too.
    last_state : SavedSession or None
        The state that is saved from now on, because the image is gone.
    is_due : bool
        Whether something is to be saved.
    choices : Mapping
        What was chosen in the state that was saved last.
    """

    image: Image
    identity: dict[str, Any]
    place: SessionPlace
    layer: Labels | None = None
    planes: Planes = field(default_factory=dict)
    dirty: set[PlaneIndex] | None = None
    saving: _Saving | None = None
    before_removal: SavedSession | None = None
    last_state: SavedSession | None = None
    is_due: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)

    def take_up(self, layer: Labels) -> None:
        """Have the objects of this layer, none of which is encoded."""
        self.layer, self.dirty, self.planes = layer, None, {}

    def note(self, pixels: PixelChange) -> None:
        """Take note which planes are to be encoded again."""
        if self.dirty is not None and len(pixels.indices):
            numbers = np.unique(pixels.indices // (pixels.shape[-2] * pixels.shape[-1]))
            places = np.stack(np.unravel_index(numbers, pixels.shape[:-2] or (1,)), axis=1).tolist()
            self.dirty |= {tuple(place) if len(pixels.shape) > 2 else () for place in places}

    def removal_over(self) -> None:
        """Take note that layers were removed, and the image was not."""
        self.before_removal = None

    def begin_saving(self, state: SavedSession, log: WorkLog) -> _Saving:
        """Take a state to be saved, with the planes of a saving that did not come to its end."""
        if self.layer is not None and not state.rows:  # the layer was removed, and its pixels are saved
            state = replace(state, rows=rows_of(self.layer.features, labels_of(self.layer.features)))
        unsaved = frozenset() if self.saving is None else self.saving.dirty
        dirty = None if self.dirty is None or unsaved is None else frozenset(self.dirty | unsaved)
        self.dirty = set()
        self.choices = state.choices
        state = replace(state, image=self.identity)
        number = self.place.next_number()
        self.saving = _Saving(self.place, number, state, self.layer, log, dirty, dict(self.planes))
        return self.saving

    def end_saving(self, saving: _Saving) -> None:
        """Take note that a state is saved; nothing follows of one that another has overtaken."""
        if saving is self.saving:
            self.saving = None
            if self.dirty is not None:
                self.planes = saving.planes


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
        self._work: _ImageWork | None = None
        self._places: dict[tuple[str, Path], SessionPlace] = {}
        self.log = WorkLog()
        self._left: list[_Saving] = []
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
            self._work = _ImageWork(image, identity, place)

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

    def _left_over(self, saving: _Saving, outcome: SavedSession | Exception) -> None:
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

    def _is_to_be_saved(self, work: _ImageWork) -> bool:
        return work.is_due or work.saving is not None or self._was_chosen_since(work)

    def _was_chosen_since(self, work: _ImageWork) -> bool:
        """Whether something else was chosen since the last saving: that alone is no step of the history."""
        state = (work.last_state or self._describe()) if work.choices else None
        if state is None:
            return False
        return any(state.choices.get(name) != work.choices.get(name) for name in LASTING_CHOICES)

    def _present_steps(self, work: _ImageWork) -> Steps[SavedSession | None]:
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

    def _begun(self, work: _ImageWork) -> _Saving | None:
        state = work.last_state or self._describe()
        return None if state is None else work.begin_saving(state, self.log)

    def _saved(self, work: _ImageWork, saving: _Saving, saved: SavedSession) -> None:
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


def whole_state_steps(
    state: SavedSession,
    objects: Any,
    log: WorkLog,
    planes: Planes | None = None,
    dirty: Collection[PlaneIndex] | None = None,
) -> Steps[SavedSession]:
    """Encode what has changed; return a session with its objects, its log and the versions.

    Parameters
    ----------
    state : SavedSession
        The session, but for its objects and log.
    objects : array, optional
        The labels.
    log : WorkLog
        How the objects came about.
    planes : dict, optional
        Objects that are encoded already, by plane; brought up to date.
    dirty : set, optional
        Which planes have changed; all of them where not given.
    """
    planes = {} if planes is None else planes
    if objects is not None:
        wanted = sorted(np.ndindex(*objects.shape[:-2]) if dirty is None else dirty)
        for number, index in enumerate(wanted):
            yield Progress(number, len(wanted), "Saving the session")
            planes[index] = run_lengths_by_label(np.asarray(objects[index]))
    yield Progress(1, 1, "Saving the session")
    kept = {index: masks for index, masks in planes.items() if masks}
    return replace(state, planes=kept, log=(yield from log.saved_steps()), versions=versions())


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks, by name."""
    names = ("napari-segany", "torch", "numpy", "pillow", "napari")
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def now() -> str:
    """Return the local time, ISO 8601 to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def fits(saved: SavedSession, image: Image) -> bool:
    """Whether the positions and masks of a saved session are of the size of an image."""
    shape = spatial_shape(image)
    positions = [*saved.points, *(corner for box in saved.boxes for corner in box)]
    sizes = {mask.size for masks in saved.planes.values() for mask in masks.values()}
    return (
        all(len(position) == len(shape) for position in positions)
        and len(saved.points) == len(saved.labels)
        and all(len(index) == len(shape) - 2 and (np.asarray(index) < shape[:-2]).all() for index in saved.planes)
        and sizes <= {shape[-2:]}
    )
