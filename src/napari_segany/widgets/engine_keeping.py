"""Keeping what was accepted: an image's objects go into its record soon after every change. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from napari_segany.engine.data_engine.folder import DataEngine, RecordChangedError
from napari_segany.engine.data_engine.masks import EngineMask, new_masks
from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.engine_efforts import AcceptedMasks, Efforts, ObjectsThen
from napari_segany.widgets.progress_runner import Runner

_DELAY_MS = 1000


class Keeping:
    """Brings the record of the shown image up to date: its objects, and the masks that have given way to them.

    That is done in the background, so that no click waits for it.

    Parameters
    ----------
    runner : Runner
        Runs what is done in the background.
    efforts : Efforts
        Knows the objects, and tells when they change.
    kept : callable
        Called when the record was brought up to date by itself.
    refused : callable
        Called with what was wrong where it could not be.
    """

    def __init__(
        self, runner: Runner, efforts: Efforts, kept: Callable[[], None], refused: Callable[[Exception], None]
    ) -> None:
        self._runner, self._efforts, self._tell_kept, self._tell_refused = runner, efforts, kept, refused
        self._engine: DataEngine | None = None
        self._name = ""
        self._lock = Lock()  # of what follows, and that it fits the record
        self._own: dict[str, tuple[EngineMask, ...]] = {}  # of the record, what a layer of objects holds, by its id
        self._displaced: tuple[EngineMask, ...] = ()  # from the record, by what is in the layer now
        self._number = 0  # of what was written last, or begun since
        self._is_due = self._is_writing = False
        efforts.changed.connect(self._changed)

    def turn_to(self, engine: DataEngine | None, name: str = "") -> None:
        """Keep the objects of another image, of whose record nothing is among the objects."""
        with self._lock:
            self._engine, self._name, self._own, self._displaced = engine, name, {}, ()
            self._number += 1
        self._is_due = False

    def others(self) -> list[EngineMask]:
        """Return the masks of the record that are not in the layer `objects`."""
        layer = self._efforts.layer
        with self._lock:
            if self._engine is None:
                return []
            # What a layer held that was removed stays on record.
            own = set() if layer is None else set(self._own.get(layer.unique_id, ()))
            return [mask for mask in self._engine.masks(self._name) if mask not in own]

    def keep(self) -> None:
        """Write the objects into the record, as they are now; errors are those of `DataEngine.put`."""
        self._is_due = False
        then = self._efforts.now()
        with self._lock:
            self._number += 1
            if then is not None and self._engine is not None:
                self._write(self._engine, then.layer_id, then.encoded())

    # ------------------------------------------------------------------- inside

    def _write(self, engine: DataEngine, layer_id: str, accepted: AcceptedMasks) -> None:
        """Write the objects of a layer beside the others of the record.

        One that was filled in, and that the person has made too, gives way; it is back when theirs is gone.
        """
        own = set(self._own.get(layer_id, ()))
        if not (accepted.masks or own):
            return
        theirs = [mask.record for mask in accepted.masks]
        displaced: list[EngineMask] = []

        def merged(there: tuple[EngineMask, ...]) -> tuple[EngineMask, ...]:
            others = [mask for mask in there if mask not in own]
            others += [mask for mask in self._displaced if mask not in others]
            apart = {id(record) for record in new_masks([mask.record for mask in others], theirs)}
            stay = [mask for mask in others if id(mask.record) in apart and mask not in accepted.given_way]
            displaced.extend(mask for mask in others if mask not in stay)
            return (*stay, *accepted.masks)

        engine.change(self._name, merged)
        self._own[layer_id], self._displaced = accepted.masks, tuple(displaced)

    def _changed(self) -> None:
        """Keep soon: at most a second after the first change."""
        if self._engine is not None and not self._is_due:
            self._is_due = True
            self._runner.later(self._begin, _DELAY_MS)

    def _begin(self) -> None:
        if not self._is_due or self._is_writing:
            return
        self._is_due = False
        then = self._efforts.now()
        if then is not None and self._engine is not None:
            self._is_writing = True
            steps = self._steps(self._engine, then, self._number)
            self._runner.start("Keeping the masks", steps, done=lambda _: self._done(), failed=self._failed)

    def _steps(self, engine: DataEngine, then: ObjectsThen, number: int) -> Steps[None]:
        """Encode and write, unless later objects were written meanwhile, or another image is shown."""
        yield Progress(0, 1, "Keeping the masks")
        accepted = then.encoded()
        with self._lock:
            if number != self._number:
                return
            try:
                self._write(engine, then.layer_id, accepted)
            except RecordChangedError:  # it was read again: what somebody else has made stays beside
                self._write(engine, then.layer_id, accepted)

    def _done(self) -> None:
        self._is_writing = False
        self._tell_kept()
        self._begin()

    def _failed(self, error: Exception) -> None:
        self._is_writing = False
        self._tell_refused(error)
        self._begin()
