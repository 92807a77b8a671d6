"""Which files of a folder runs have written for one purpose, so that later ones know their own from somebody's.

A record is a JSON file under `.segany`: `images/NAME/done.json` of an image done as a whole,
`tiles/NAME/outputs.json` of one in tiles, `common.json` of the files for all images. Its "files" are hashes by paths
within the folder, "" for those that are about to be written; what else is in it are facts that its reader
understands. Knows no images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from napari_segany.engine.digests import content_digest_steps
from napari_segany.engine.progress import drain
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import read_json_object

STATE = ".segany"
"""The folder of all records, within that of the outputs."""


@dataclass(frozen=True)
class Origin:
    """Where the input of an image was.

    Attributes
    ----------
    source : str
        The whole path of its file, "" for what was no file.
    plane : str
        Which plane of it, "" for all of it.
    content : str
        What is the same for the same pixels, "" where it is not known.
    """

    source: str
    plane: str = ""
    content: str = ""


@dataclass(frozen=True)
class Ledger:
    """One record.

    Attributes
    ----------
    root : pathlib.Path
        The folder of the outputs.
    name : str
        Where the record is, within `.segany`.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        """The record's file."""
        return self.root / STATE / self.name

    def read(self) -> dict[str, Any] | None:
        """Return the facts and the files; None where nothing is written down, or it is damaged."""
        try:
            values = read_json_object(self.path, "record")
        except (OSError, ValueError):
            return None
        files = values.get("files")
        if isinstance(files, list):  # as former versions wrote them of files for all images
            return {**values, "files": {str(path): "" for path in files}}
        return values if isinstance(files, dict) else None

    def files(self) -> dict[str, str] | None:
        """Return the hashes that are written down; None where nothing is, or it is damaged."""
        values = self.read()
        return None if values is None else {str(path): str(digest) for path, digest in values["files"].items()}

    def write(self, files: Mapping[str, str], facts: Mapping[str, Any] | None = None) -> None:
        """Write down what there is, and the facts; those of before, where none are given.

        Raises
        ------
        OSError
            Where the folder cannot be written to.
        """
        known = {**((self.read() or {}) if facts is None else facts)}
        known.pop("files", None)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps({**known, "files": dict(sorted(files.items()))}), encoding="utf-8")

    def within(self, path: Path) -> str:
        """Return what a file is called in the record."""
        return path.relative_to(self.root).as_posix()

    def foreign(self, files: Collection[Path]) -> list[Path]:
        """Return those of the files that are there and not written down: somebody's own."""
        own = self.files() or {}
        return [path for path in files if self.within(path) not in own and path.exists()]

    def claim(self, files: Collection[Path], facts: Mapping[str, Any] | None = None) -> None:
        """Write down which files are about to be written, so that a killed run can go on with them."""
        before = self.files() or {}
        after = {**dict.fromkeys(map(self.within, files), ""), **before}
        if after != before or facts is not None:
            self.write(after, facts)

    def is_unchanged(self, written: str, digest: str) -> bool:
        """Tell whether a file is there as it was written."""
        path = self.root / written
        if not digest or ".." in PurePosixPath(written).parts or not path.is_relative_to(self.root):
            return False
        return drain(content_digest_steps(path)) == digest

    def remove(self, files: Mapping[str, str]) -> dict[str, str]:
        """Remove files that are as they were written; return those that stay because somebody has changed them."""
        stay = {}
        for written, digest in files.items():
            path = self.root / written
            if self.is_unchanged(written, digest):
                self._unlink(path)
            elif path.exists():
                stay[written] = digest
        return stay

    def forget(self) -> bool:
        """Remove all files and the record and tell whether they went; if one was changed by hand, all stay."""
        files = self.files()
        if files is None:
            return False
        if any((self.root / path).exists() and not self.is_unchanged(path, digest) for path, digest in files.items()):
            return False
        for written in files:
            self._unlink(self.root / written)
        self._unlink(self.path)  # the last, so that the next run can go on with it
        return True

    def is_same(self, other: Ledger) -> bool:
        """Tell whether two records are one on this file system, which may not tell upper from lower case."""
        return self.path.exists() and other.path.exists() and self.path.samefile(other.path)

    def _unlink(self, path: Path) -> None:
        """Remove a file, or a zarr, and the folder of this image's own that is empty then: of planes, of masks."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        if path.parent.name == self.path.parent.name:
            with suppress(OSError):  # something of somebody else is in it
                path.parent.rmdir()
