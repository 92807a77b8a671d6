"""A session saved where people want it, opened again, and written as a script. Knows napari's layers, but no Qt.

Through `session.files` in napari's console::

    session.files.save("cells.session.json")    # `segany replay cells.session.json` makes its labels again
    session.files.open("cells.session.json")    # goes on with it; the image is opened where it is not
    print(session.files.script())
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_segany.engine.cache_key import image_digest_steps
from napari_segany.engine.image import checked_image
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.engine.replay import RASTER_KEY, check_image, saved_bands, session_image
from napari_segany.engine.replay import SAMPLE_KEY as SAVED_SAMPLE_KEY
from napari_segany.engine.session_script import questions_under_work, session_script
from napari_segany.formats.geo_pyramid import RasterLevel
from napari_segany.formats.geo_session import SavedBands
from napari_segany.formats.image_file import write_array
from napari_segany.formats.session_file import SavedSession, read_session, write_session
from napari_segany.widgets.geo_reader import LayerTuple, view_layer
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.image_identity import fits, image_identity
from napari_segany.widgets.layers import full_resolution, read_plane, show_plane
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.samples import SAMPLE_KEY
from napari_segany.widgets.session_choices import check_choices, put_choices_back, with_device_of_here
from napari_segany.widgets.whole_state import whole_state_steps
from napari_segany.widgets.work_log import WorkLog

if TYPE_CHECKING:
    from napari_segany.widgets.session import PromptSession
    from napari_segany.widgets.session_objects import SessionObjects

FILE_ENDING = ".session.json"
FILE_KEY = "napari_segany_file"
"""Key of an image layer's metadata: the file that this plugin read it from; napari's own reader says it elsewhere."""

IN_NO_FILE = "The image is in no file yet: Save image ... writes it, for scripts and replay."

Written = TypeVar("Written")


class SessionFiles:
    """Saves and opens whole sessions of one `PromptSession`.

    Parameters
    ----------
    session : PromptSession
        The session.
    work : SessionObjects
        Has its objects and their log.
    runner : Runner
        Runs what takes long.
    say : callable
        Receives sentences for the user.
    """

    def __init__(
        self, session: PromptSession, work: SessionObjects, runner: Runner, say: Callable[[str], None]
    ) -> None:
        self._session, self._work = session, work
        self._runner, self.say = runner, say
        self._unfinished: list[tuple[str, Callable[[], Steps[Any]]]] = []

    # ------------------------------------------------------------------------- saving

    def save(
        self,
        path: str | os.PathLike[str],
        done: Callable[[], None] | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the session to a file, in the background; what goes wrong is said in `status`.

        Parameters
        ----------
        path : path
            The file; `.session.json` is added to a name without an ending.
        done, failed : callable, optional
            Called when it is written, or could not be.

        Raises
        ------
        ValueError
            Without an image.
        """
        target = _named(Path(path).expanduser())
        described = self._described()

        def sentence(saved: SavedSession) -> str:
            where = "" if self.has_image_file else f" {IN_NO_FILE}"
            return f"Saved {len(saved.objects)} objects and the prompts to {target.name}.{where}"

        self._write("session", lambda: _saving_steps(target, described()), sentence, done, failed)

    @property
    def has_image_file(self) -> bool:
        """Whether scripts and replay find the image: it is in a file, a sample image, or there is none."""
        image = self._session.image
        if image is None or image.source.path or RasterData.of(image) is not None:
            return True
        return any(image.metadata.get(key) for key in (FILE_KEY, SAMPLE_KEY))

    def save_image(
        self,
        path: str | os.PathLike[str],
        done: Callable[[], None] | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Write the image to a TIFF or .npy file, in the background; scripts and sessions read it from there.

        Parameters
        ----------
        path : path
            The file.
        done, failed : callable, optional
            Called when it is written, or could not be; what goes wrong is said in `status`.

        Raises
        ------
        ValueError
            Without an image.
        """
        image, target = self._session.image, Path(path).expanduser().absolute()
        if image is None:
            raise ValueError("There is no image yet: open one and choose it first.")

        def sentence(_: None) -> str:
            image.metadata = {**image.metadata, FILE_KEY: str(target)}
            return f"The image is saved as {target.name}: scripts and sessions read it from there."

        data, rgb = full_resolution(image), image.rgb
        self._write("image", lambda: _image_steps(target, data, rgb=rgb), sentence, done, failed)

    def _write(
        self,
        what: str,
        begin: Callable[[], Steps[Written]],
        sentence: Callable[[Written], str],
        done: Callable[[], None] | None,
        failed: Callable[[], None],
    ) -> None:
        """Run a writing in the background; say its sentence at the end, or why it failed."""
        unfinished = what, begin
        self._unfinished.append(unfinished)

        def written(value: Written) -> None:
            self._unfinished.remove(unfinished)
            self._told(sentence(value), done)

        def not_written(error: Exception) -> None:
            self._unfinished.remove(unfinished)
            self._told(_not_saved(what, error), failed)

        self._runner.start(f"Saving the {what}", begin(), done=written, failed=not_written)

    def close(self) -> None:
        """Save what is still being saved, now: what runs in the background is about to be stopped."""
        from napari.utils.notifications import show_warning

        unfinished, self._unfinished = self._unfinished, []
        for what, begin in unfinished:
            try:
                drain(begin())
            except (OSError, ValueError) as error:
                show_warning(_not_saved(what, error))  # the widget may be gone already

    def _told(self, text: str, then: Callable[[], None] | None) -> None:
        self.say(text)
        if then is not None:
            then()

    def script(self) -> str:
        """Return a Python script that makes the objects, and the mask under work, with the package's scripting names.

        Raises
        ------
        ValueError
            Without an image.
        """
        return session_script(drain(self._described()()))

    def script_steps(self) -> Steps[str]:
        """Return what makes the script, to be run in the background.

        Raises
        ------
        ValueError
            Without an image.
        """
        return _script_steps(self._described()())

    def _described(self) -> Callable[[], Steps[SavedSession]]:
        """Return what describes the session as it is now; it may be begun more than once."""
        image, state = self._session.image, self._work.state(even_untouched=True)
        if image is None or state is None:
            raise ValueError("There is no image yet: open one and choose it first.")
        layer = None if self._work.layer is None else self._work.layer.layer
        planes, shown = self._work.log.planes, self._session.plane
        if questions_under_work(state) and shown is not None:
            planes.add(shown)
        objects = None if layer is None else np.asarray(layer.data)
        return partial(_described_steps, state, image, planes, objects, self._work.log)

    # ------------------------------------------------------------------------ opening

    def open(
        self,
        path: str | os.PathLike[str],
        done: Callable[[], None] | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Go on with a saved session, in the background; what goes wrong is said in `status`, and changes nothing.

        The session is put into the chosen image where that is the one it was made with; else its image is opened.

        Parameters
        ----------
        path : path
            The file.
        done, failed : callable, optional
            Called when it is there, or cannot be opened.
        """
        source = Path(path).expanduser()
        chosen = self._session.image
        shown = None if chosen is None else full_resolution(chosen)

        def opened(found: tuple[SavedSession, LayerTuple | None]) -> None:
            try:
                self._take_up(*found, chosen)
            except ValueError as error:
                self._told(f"{source.name} cannot be opened: {error}", failed)
                return
            if done is not None:
                done()

        self._runner.start(
            "Opening the session",
            _opening_steps(source, shown, self._session.device),
            done=opened,
            failed=lambda error: self._told(f"{source.name} cannot be opened: {_reason(error)}", failed),
        )

    def _take_up(self, saved: SavedSession, of_image: LayerTuple | None, chosen: Image | None) -> None:
        """Go on with a session, in a layer of its image; without one in the image that was chosen for it."""
        session = self._session
        if of_image is not None:
            layer = session.viewer.add_layer(Layer.create(*of_image))
            session.choose_image(layer)
        elif session.image is not chosen:
            raise ValueError("another image was chosen meanwhile; open it again")
        image = session.image
        if image is None or not fits(saved, image):
            raise ValueError("its image has another size than the one that is chosen")
        self._go_on_with(saved, image)

    def restore(self) -> bool:
        """Go on with what an earlier session saved of the chosen image by itself; return whether there was any.

        Prompts and objects come back as one step of the history; choices, model and device are those of then.
        """
        saving, image = self._work.saving, self._session.image
        if saving is None or image is None:
            self.say("Sessions are not saved by themselves here: there is nothing to restore.")
            return False
        saved = saving.read_earlier()
        if saved is None:
            return False
        self._go_on_with(with_device_of_here(saved, self._session.device), image)
        return True

    def _go_on_with(self, saved: SavedSession, image: Image) -> None:
        """Have all of a saved session in place of what there is: choices, model, prompts, objects, shown plane."""
        session = self._session
        put_choices_back(session, saved.choices)
        if saved.model and saved.model != session.model:
            session.choose_model(saved.model)
        self._work.put_back(saved)
        plane = saved.choices.get("plane")
        if isinstance(plane, dict):
            axes, index = tuple(plane["axes"]), tuple(plane["index"])
            show_plane(session.viewer, image, Plane((int(axes[0]), int(axes[1])), tuple(int(at) for at in index)))
        when = saved.saved_at[:16].replace("T", " ")
        self.say(f"Restored {len(saved.objects)} objects and the prompts of {when}.")


# ----------------------------------------------------------------------- in the background


def _described_steps(
    state: SavedSession, image: Image, planes: set[Plane], objects: NDArray[Any] | None, log: WorkLog
) -> Steps[SavedSession]:
    """Add to a state what takes time: objects, log, and digests of the planes that were worked on."""
    yield Progress(0, 0, "Saving the session")
    data = full_resolution(image)
    digests = []
    for plane in sorted(planes, key=lambda one: (one.axes, one.index)):
        digest = yield from image_digest_steps(checked_image(read_plane(data, plane)))
        digests.append({"axes": list(plane.axes), "index": list(plane.index), "digest": digest})
    path, sample = image.source.path or image.metadata.get(FILE_KEY), image.metadata.get(SAMPLE_KEY)
    where = None if path is None else str(Path(path).absolute())
    found = {"path": where, SAVED_SAMPLE_KEY: sample}
    identity = {**image_identity(image), **found, "ndim": image.ndim, "planes": digests}
    raster = RasterData.of(image)
    if raster is not None:
        identity[RASTER_KEY] = SavedBands.of(raster.view).to_dict()
    return (yield from whole_state_steps(replace(state, image=identity), objects, log))


def _saving_steps(path: Path, steps: Steps[SavedSession]) -> Steps[SavedSession]:
    saved = yield from steps
    write_session(path, saved)
    return saved


def _image_steps(path: Path, data: Any, *, rgb: bool) -> Steps[None]:
    yield Progress(0, 0, "Saving the image")
    write_array(path, np.asarray(data), rgb=rgb)


def _script_steps(steps: Steps[SavedSession]) -> Steps[str]:
    return session_script((yield from steps))


def _opening_steps(path: Path, shown: Any, device: str) -> Steps[tuple[SavedSession, LayerTuple | None]]:
    """Return a session, and what a layer of its image is made of where the shown one is another."""
    yield Progress(0, 0, "Opening the session")
    saved = with_device_of_here(read_session(path), device)
    check_choices(saved)  # told before anything is changed
    if shown is not None and list(shown.shape) == list(saved.image.get("shape", ())):
        try:
            check_image(saved, shown, "the image that is chosen")
        except ValueError:
            if not (saved.image.get("path") or saved.image.get(SAVED_SAMPLE_KEY)):
                raise
        else:
            return saved, None
    bands = saved_bands(saved)
    if bands is not None:
        view = bands.view()
        check_image(saved, RasterLevel(view), Path(bands.path).name)
        return saved, view_layer(view)
    pixels = session_image(saved)
    name, ndim = str(saved.image.get("name", "image")), int(saved.image.get("ndim", pixels.ndim))
    file, sample = saved.image.get("path"), saved.image.get(SAVED_SAMPLE_KEY)
    where = {FILE_KEY: str(file)} if file else {SAMPLE_KEY: sample}
    return saved, (pixels, {"name": name, "rgb": ndim < pixels.ndim, "metadata": where}, "image")


def _named(path: Path) -> Path:
    return path if path.suffix else path.with_name(path.name + FILE_ENDING)


def _not_saved(what: str, error: Exception) -> str:
    return f"The {what} was not saved: {_reason(error)}"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error) or type(error).__name__
