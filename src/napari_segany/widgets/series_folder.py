"""A folder of images as a work list on the disk: which there are, and how far each is. Knows neither napari nor Qt.

What is done is kept beside the images, in a folder `segany`: `cells.tif.session.json` with prompts and objects of
`cells.tif`, `cells.tif.labels.tif` with the objects as a label image, and `series.json` with what is done, where the
work stands, and the classes that the images share. What does not go with an image any more is kept as
`cells.tif.earlier-...`. Where nothing can be written beside the images, it is kept in the user's data folder.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from napari_segany.engine.batch.inputs import SERIES_FILE, find_images
from napari_segany.engine.batch.sources import FileSource
from napari_segany.formats.atomic import replacing
from napari_segany.widgets.class_list import ClassList
from napari_segany.widgets.class_values import class_values, saved_classes

Status = Literal["untouched", "started", "done"]

STORE = "segany"
_FORMAT = "napari-segany series"


class SeriesFolder:
    """The images of a folder, and what is kept of the work on them.

    Parameters
    ----------
    folder : path
        The folder.
    elsewhere : Path
        A folder to write into where that one cannot be written.

    Attributes
    ----------
    images : tuple of Path
        The image files, by name.
    store : Path
        Where the work is kept.
    classes : tuple, optional
        The list of classes of all the images, and the name of the current one; None where none is kept yet.

    Raises
    ------
    OSError
        For a folder that does not exist or cannot be read.
    ValueError
        Where there is no image, or the list of an earlier session is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], elsewhere: Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        if not self.folder.is_dir():
            raise ValueError(f"there is no folder {self.folder}; choose one with images")
        found = find_images([self.folder])
        self.images = tuple(one.source.path for one in found if isinstance(one.source, FileSource))
        self.store = _writable(self.folder / STORE) or _made(elsewhere, self.folder)
        self._done, self._at, self.classes = self._read()
        self._is_due = False

    def session_file(self, image: Path) -> Path:
        """Return where prompts and objects of an image are kept."""
        return self.store / f"{image.name}.session.json"

    def labels_file(self, image: Path) -> Path:
        """Return where the objects of an image are kept as a label image."""
        return self.store / f"{image.name}.labels.tif"

    def put_aside(self, image: Path) -> Path | None:
        """Give what is kept of an image a name with its time, and return that of the session; None without one.

        Raises
        ------
        OSError
            Where that cannot be done.
        """
        session, labels = self.session_file(image), self.labels_file(image)
        if not session.is_file():
            return None
        when = datetime.fromtimestamp(session.stat().st_mtime).strftime("%Y%m%d-%H%M%S")
        for number in itertools.count(1):
            stem = f"{image.name}.earlier-{when}" + (f"-{number}" if number > 1 else "")
            aside = self.store / f"{stem}.session.json", self.store / f"{stem}.labels.tif"
            if not any(path.exists() for path in aside):
                break
        if labels.is_file():  # first: where one of the two fails, the session is still there to be put aside again
            labels.rename(aside[1])
        return session.rename(aside[0])

    def status(self, image: Path) -> Status:
        """Return how far an image is."""
        if image.name in self._done:
            return "done"
        return "started" if self.session_file(image).is_file() else "untouched"

    @property
    def first(self) -> int:
        """Where the work stood; else the first image that is not done, else the first one."""
        names = [image.name for image in self.images]
        if self._at in names:
            return names.index(self._at)
        return next((at for at, name in enumerate(names) if name not in self._done), 0)

    def mark(self, image: Path, *, done: bool) -> None:
        """Say that an image is done, or is not."""
        self._done = self._done | {image.name} if done else self._done - {image.name}
        self._write()

    def stand_at(self, image: Path) -> None:
        """Remember which image is worked on."""
        self._at = image.name
        self._write()

    def keep_classes(self, classes: ClassList, current: str) -> None:
        """Keep the classes of the images.

        Which one is current changes with a key, often: that alone is written with the next that is, or by
        `write_due`.
        """
        is_other_list = self.classes is None or self.classes[0] != classes
        self.classes, self._is_due = (classes, current), True
        if is_other_list:
            self._write()

    def write_due(self) -> None:
        """Write what waits for it."""
        if self._is_due:
            self._write()

    def _read(self) -> tuple[frozenset[str], str, tuple[ClassList, str] | None]:
        path = self.store / SERIES_FILE
        if not path.is_file():
            return frozenset(), "", None
        try:
            known: Any = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            known = None
        remedy = "move it away to begin a new list, sessions stay where they are"
        if not isinstance(known, dict) or known.get("format") != _FORMAT or not isinstance(known.get("done"), list):
            raise ValueError(f"{path} is damaged; {remedy}")
        try:
            classes = saved_classes(known)
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}; {remedy}") from None
        return frozenset(str(name) for name in known["done"]), str(known.get("at", "")), classes

    def _write(self) -> None:
        values = {"format": _FORMAT, "version": 1, "done": sorted(self._done), "at": self._at}
        if self.classes is not None:
            values |= class_values(*self.classes)
        with replacing(self.store / SERIES_FILE) as path:
            path.write_text(json.dumps(values, indent=1), encoding="utf-8")
        self._is_due = False


def _writable(folder: Path) -> Path | None:
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return None


def _made(elsewhere: Path, folder: Path) -> Path:
    digest = hashlib.blake2b(str(folder).encode(), digest_size=6).hexdigest()
    made = elsewhere / f"{folder.name}-{digest}"
    made.mkdir(parents=True, exist_ok=True)
    return made
