"""Where the session of one image is saved: the newest state wins, and an earlier session's file is put aside once."""

from __future__ import annotations

import itertools
from pathlib import Path
from threading import Lock

from napari_segany.formats.session_file import SavedSession, write_session


class SessionPlace:
    """The file of one image's session.

    States may be written by several threads, and not in the order in which they were: a state that is older than the
    one in the file is dropped. May be used from any thread.

    Parameters
    ----------
    path : Path
        The file; its folder is made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._aside = path, path.with_suffix(".earlier.json")
        self._earlier = next((one for one in (self._path, self._aside) if one.is_file()), None)
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._written = 0

    @property
    def earlier(self) -> Path | None:
        """The file that an earlier session left; None if there is none."""
        return self._earlier

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
            if self._earlier == self._path and self._path.is_file():
                self._path.replace(self._aside)
                self._earlier = self._aside
            write_session(self._path, saved)
            self._written = number
