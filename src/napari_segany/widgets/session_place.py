"""Where the session of one image is saved: the newest state wins, and files of other sessions are put aside."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from napari_segany.formats.file_stamp import FileStamp, file_stamp
from napari_segany.formats.session_file import SavedSession, write_session

_FILES_KEPT = 100
_ASIDE_KEPT = 10
"""Files of one image that are put aside, beyond which the oldest go."""


class SessionPlace:
    """The file of one image's session.

    States may be written by several threads, and not in the order in which they were: a state that is older than the
    one in the file is dropped. A file that something else has written, an earlier session or another napari, is put
    aside under a name of its own. May be used from any thread.

    Parameters
    ----------
    path : Path
        The file; its folder is made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = self._own = path
        self._found = _newest(path)
        self._written_stamp: FileStamp | None = None
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._written = 0

    @property
    def earlier(self) -> Path | None:
        """The newest file that was there before this place; None if there was none."""
        found = self._found
        if found is None:
            return None
        path, stamp = found
        if path == self._path and _stamps([path]).get(path) != stamp:  # another napari has put it aside
            path = _aside(path, stamp)
        return path if path.is_file() else None

    def next_number(self) -> int:
        """Return the number of a state that is about to be described: higher than those of all before it."""
        return next(self._numbers)

    def write(self, saved: SavedSession, number: int) -> None:
        """Write a state, whole or not at all, unless a later one is there already.

        Raises
        ------
        OSError
            Where the file cannot be written.
        """
        with self._lock:
            if number < self._written:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room()
            write_session(self._own, saved)
            self._written_stamp = file_stamp(self._own)
            self._written = number

    def _make_room(self) -> None:
        """See to it that what is overwritten is what was written last here."""
        there = file_stamp(self._own)
        if there is None or there == self._written_stamp:
            return
        if self._written_stamp is None:
            aside = _free(_aside(self._own, there))
            self._own.replace(aside)
            if self._found == (self._own, there):
                self._found = (aside, there)
            with suppress(OSError):
                os.utime(aside)  # as old as its state, it would be the first to be forgotten
            _forget(_asides(self._path), _ASIDE_KEPT)
        else:  # another napari works on the same image: each goes on in a file of its own
            self._own = _free(_aside(self._path, self._written_stamp))


def forget_oldest(folder: Path) -> None:
    """Keep the newest of the saved sessions in a folder."""
    with suppress(OSError):
        _forget(list(folder.glob("*.json")), _FILES_KEPT)


def _forget(paths: Iterable[Path], kept: int) -> None:
    """Remove all but the newest; one that is gone already, or held by another program, is none of our business."""
    there = _stamps(paths)
    for path in sorted(there, key=lambda one: there[one])[:-kept]:
        with suppress(OSError):
            path.unlink()


def _stamps(paths: Iterable[Path]) -> dict[Path, FileStamp]:
    """Return the stamps of those files that are there and can be looked at."""
    found = {}
    for path in paths:
        with suppress(OSError):
            stamp = file_stamp(path)
            if stamp is not None:
                found[path] = stamp
    return found


def _newest(path: Path) -> tuple[Path, FileStamp] | None:
    """Return the newest file of the image; the one at `path` itself where two are equally old."""
    there = _stamps((path, *_asides(path)))
    return max(there.items(), key=lambda item: (item[1][0], item[0] == path), default=None)


def _asides(path: Path) -> list[Path]:
    try:
        return list(path.parent.glob(f"{glob.escape(path.stem)}.*earlier.json"))
    except OSError:
        return []


def _aside(path: Path, stamp: FileStamp) -> Path:
    """Return the name for a state that is put aside: that of the file, with the time of the state."""
    when = datetime.fromtimestamp(stamp[0] / 1e9)
    return path.with_suffix(f".{when:%Y%m%d-%H%M%S-%f}.earlier.json")


def _free(path: Path) -> Path:
    """Return this name, or one like it that no file has."""
    stem = path.name.removesuffix(".earlier.json")
    others = (path.with_name(f"{stem}-{number}.earlier.json") for number in itertools.count(2))
    return next(one for one in itertools.chain((path,), others) if not one.exists())
