"""Embeddings in a folder, up to a number of bytes; several processes may use it at once. Knows no images.

A file is written under another name and renamed, so a reader sees it whole or not at all, and needs no lock. Writers
take turns: whoever holds the lock knows that unfinished files are those of a process that was killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from napari_segany.engine.cache_entry import CacheEntry, read_entry, write_entry
from napari_segany.engine.cache_key import CacheKey

MANIFEST_NAME = "manifest.json"
"""What makes a folder a portable one, see `engine.cache_manifest`; a cache with a limit only reads such a folder."""

_LOCK_SECONDS = 30.0
_ENTRY = re.compile(r"[0-9a-f]{32}\.zarr\.zip")
_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.zarr-[0-9a-f]{8}\.zip")  # the names that `replacing` gives


class CacheBusyError(OSError):
    """Another process holds the lock of the folder for longer than anybody should."""


@dataclass(frozen=True)
class DiskCache:
    """The folder. No other file than its own is ever counted or removed.

    Attributes
    ----------
    folder : pathlib.Path
        Made when the first embedding is kept.
    limit : int or None
        Bytes of files; those not used for longest give way. None for no limit.
    """

    folder: Path
    limit: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the files."""
        return sum(size for _, size, _ in self._files())

    def __len__(self) -> int:
        return len(self._files())

    def path(self, key: CacheKey) -> Path:
        """Return where an embedding is kept."""
        return self.folder / f"{key.digest}.zarr.zip"

    def get(self, key: CacheKey) -> CacheEntry | None:
        """Return an embedding, which thereby becomes the one used last, or None.

        Raises
        ------
        DamagedEntryError
            Where its file is not what was written.
        """
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            entry = read_entry(path, key)
        except FileNotFoundError:  # another process has just removed it
            return None
        if self.limit is not None:
            with suppress(OSError):  # a folder may be shared for reading only
                os.utime(path)
        return entry

    def put(self, key: CacheKey, entry: CacheEntry) -> bool:
        """Keep an embedding; tell whether it was kept.

        It is not where it alone is larger than the limit, nor in a portable folder that is used with a limit.

        Raises
        ------
        CacheBusyError
            Where the lock is not to be had.
        OSError
            Where the file cannot be written.
        """
        if self.limit is not None and (entry.nbytes > self.limit or (self.folder / MANIFEST_NAME).exists()):
            return False
        with self.locked():
            write_entry(self.path(key), key, entry)
            self._make_room(self.path(key))
        return True

    def remove(self, name: str) -> None:
        """Remove a file of this cache by its name; a name that is not of its form is left alone."""
        if _ENTRY.fullmatch(name):
            with suppress(OSError):  # open in another program, on systems that mind
                (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out, and clear what a killed one left.

        Raises
        ------
        CacheBusyError
            Where the lock is not to be had.
        OSError
            Where the folder cannot be written to.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock", timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise CacheBusyError(
                f"another program has been writing into {self.folder} for {_LOCK_SECONDS:g} s; wait for its end or "
                "choose another folder"
            ) from None
        try:
            for path in self.folder.iterdir():
                if _UNFINISHED.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _make_room(self, newest: Path) -> None:
        """Remove the files not used for longest until the rest fits; never the newest."""
        if self.limit is None:
            return
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit:
                return
            if path != newest:
                self.remove(path.name)
                total -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """Return the time of last use, the size and the path of each file."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self.folder) as items:
            for item in items:
                if _ENTRY.fullmatch(item.name):
                    with suppress(FileNotFoundError):  # removed by another process meanwhile
                        status = item.stat()
                        found.append((status.st_mtime_ns, status.st_size, Path(item.path)))
        return found
