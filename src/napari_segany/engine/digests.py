"""Hashes of the files of one folder, computed once and remembered beside them. Knows nothing of models."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.atomic import replacing

MEMORY_NAME = ".segany-digests.json"
"""The file that remembers, in the folder that it is about."""

_CHUNK_BYTES = 8 << 20
# A change within one tick of the file system's clock leaves no trace in the times; ticks are 10 ms and shorter.
_SETTLED_NS = 100_000_000


@dataclass
class _Record:
    """What is known of one file while its stamp (size and times) stays the same."""

    stamp: tuple[int, int, int]
    digests: dict[str, str] = field(default_factory=dict)


class DigestBook:
    """Hashes of the files of one folder, for as long as one piece of work takes.

    A hash counts only while the file's size, modification time and change time are those it had when it was hashed.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; its memory is read at once and written after every new hash, where it can be written to.
    trusting : bool
        Believe what earlier books remembered; False hashes every file again.
    """

    def __init__(self, folder: Path, *, trusting: bool = True) -> None:
        self.folder = folder
        self._records = _read(folder / MEMORY_NAME) if trusting else {}

    def digest_steps(self, path: Path, algorithm: str) -> Steps[str]:
        """Return a file's hash, in hexadecimal digits; progress in bytes, none where the hash is remembered.

        Parameters
        ----------
        path : pathlib.Path
            A file of the folder.
        algorithm : str
            "sha256" or "xxh128".

        Raises
        ------
        OSError
            Where the file cannot be read.
        """
        record = self._records.get(path.name)
        if record is not None and record.stamp == _stamp(path.stat()) and algorithm in record.digests:
            return record.digests[algorithm]
        hasher = new_hasher(algorithm)
        started = time.time_ns()
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            done = 0
            while chunk := file.read(_CHUNK_BYTES):
                hasher.update(chunk)
                done += len(chunk)
                yield Progress(done, before.st_size, f"Checking {path.name}")
            after = os.fstat(file.fileno())
        digest: str = hasher.hexdigest()
        if _stamp(before) == _stamp(after):
            self._keep(path, _stamp(after), algorithm, digest)
            if started - after.st_mtime_ns > _SETTLED_NS:
                self._write(path.name)
        return digest

    def remember(self, path: Path, algorithm: str, digest: str) -> None:
        """Remember the hash of a file that this program has just written, hashing the bytes as it wrote them."""
        self._keep(path, _stamp(path.stat()), algorithm, digest)
        self._write(path.name)

    def _keep(self, path: Path, stamp: tuple[int, int, int], algorithm: str, digest: str) -> None:
        record = self._records.get(path.name)
        if record is None or record.stamp != stamp:
            record = self._records[path.name] = _Record(stamp)
        record.digests[algorithm] = digest

    def _write(self, name: str) -> None:
        memory = self.folder / MEMORY_NAME
        records = {**_read(memory), name: self._records[name]}
        content = {
            key: {"stamp": list(record.stamp), "digests": record.digests}
            for key, record in records.items()
            if (self.folder / key).is_file()
        }
        # A folder shared for reading only is still usable; its files are hashed anew each time.
        with suppress(OSError), replacing(memory) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def content_digest_steps(path: Path) -> Steps[str]:
    """Return a hash of a file, or of all files in a folder and how they are called; "" where that cannot be read."""
    is_folder = path.is_dir()
    hasher = new_hasher("xxh128")
    try:
        files = sorted(item for item in path.rglob("*") if item.is_file()) if is_folder else [path]
        for number, item in enumerate(files):
            yield Progress(number, len(files), f"Checking {path.name}")
            if is_folder:
                hasher.update(f"{item.relative_to(path).as_posix()}\0{item.stat().st_size}\0".encode())
            with item.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    hasher.update(chunk)
    except OSError:
        return ""
    digest: str = hasher.hexdigest()
    return digest


def new_hasher(algorithm: str) -> Any:
    """Return an object with `update` and `hexdigest` for "sha256" or "xxh128"."""
    if algorithm == "xxh128":
        import xxhash

        return xxhash.xxh128()
    if algorithm == "sha256":
        return hashlib.sha256()
    raise ValueError(f"the hash algorithm is {algorithm!r}; known are sha256 and xxh128")


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    # The change time sees an edit whose modification time was set back; both are integers, equal or not.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(memory: Path) -> dict[str, _Record]:
    """Return what is remembered; a memory that is missing or damaged remembers nothing."""
    try:
        content = json.loads(memory.read_text(encoding="utf-8"))
        return {name: _record(values) for name, values in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _record(values: dict[str, Any]) -> _Record:
    size, modified, changed = values["stamp"]
    return _Record((size, modified, changed), {str(key): str(value) for key, value in values["digests"].items()})
