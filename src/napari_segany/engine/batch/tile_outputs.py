"""What runs wrote of an image in tiles, so that later ones know their own files from somebody's, and stale ones go.

`.segany/tiles/NAME/` holds the tiles and `outputs.json`, the record of the files that were made of them
(`ledger.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_segany.engine.batch.ledger import STATE, Ledger, Origin
from napari_segany.engine.digests import content_digest_steps
from napari_segany.engine.progress import Steps


@dataclass(frozen=True)
class TileOutputs:
    """The outputs of one image.

    Attributes
    ----------
    root : pathlib.Path
        The folder of a batch's outputs.
    name : str
        What the outputs of the image are called.
    """

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where the tiles of the image are kept."""
        return self.root / STATE / "tiles" / self.name

    @property
    def ledger(self) -> Ledger:
        """The record of its files."""
        return Ledger(self.root, f"tiles/{self.name}/outputs.json")

    @property
    def origin(self) -> Origin | None:
        """What the tiles are of; None where that is not written down, as former versions did not do."""
        values = self.ledger.read() or {}
        facts = [values.get(name) for name in ("source", "plane", "content")]
        return Origin(*map(str, facts)) if None not in facts else None

    @property
    def source(self) -> str:
        """Where the file is that the tiles are of, "" for none and for one that is not known."""
        if self.origin is not None:
            return self.origin.source
        try:  # of former versions
            return (self.folder / "source").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def has_written(self, path: Path) -> bool:
        """Tell whether a run by tiles wrote a file or began to; former versions wrote down none of theirs."""
        files = self.ledger.files()
        return self.folder.exists() if files is None else self.ledger.within(path) in files

    def claim(self, files: Collection[Path], source: str = "", plane: str = "") -> None:
        """Write down which files are about to be written, and of what.

        Parameters
        ----------
        files : collection of pathlib.Path
            The files, and zarr folders.
        source, plane : str
            Where the image is, "" for what is no file, and which plane of it.

        Raises
        ------
        OSError
            Where the folder cannot be written to.
        """
        if self.ledger.files() is None:
            former = [self.root / "labels" / f"{self.name}.tif", *(self.root / "vectors").glob(f"{self.name}.*")]
            files = [*files, *(path for path in former if (self.folder / "done").exists() and path.exists())]
        before = self.origin
        is_same = before is not None and (before.source, before.plane) == (source, plane)
        content = before.content if before is not None and is_same else ""
        self.ledger.claim(files, {"source": source, "plane": plane, "content": content})

    def made_of(self, content: str) -> None:
        """Write down what tells the pixels of all tiles from those of other images."""
        if self.origin is not None and self.origin.content != content:
            self.ledger.write(self.ledger.files() or {}, {**vars(self.origin), "content": content})

    def written_steps(self, files: Collection[Path], others: Mapping[str, str] | None = None) -> Steps[None]:
        """Write down what has been written.

        Parameters
        ----------
        files : collection of pathlib.Path
            The files, and zarr folders.
        others : Mapping, optional
            Given where the masks are new: hashes of the files by their paths within the folder that were written of
            the image as a whole. These, and those of earlier runs by tiles, show other masks: they are removed unless
            somebody has changed them.
        """
        new = {}
        for path in files:
            new[self.ledger.within(path)] = yield from content_digest_steps(path)
        before = self.ledger.files() or {}
        if others is None:
            self.ledger.write({**before, **new})
            return
        stale = {path: digest for path, digest in {**others, **before}.items() if path not in new}
        shown = {path: digest for path, digest in stale.items() if STATE not in PurePosixPath(path).parts}
        self.ledger.write({**self.ledger.remove(shown), **new})

    def give_way(self, files: Collection[Path]) -> None:
        """Remove what shows the masks of tiles, unless somebody has changed it: the image was done as a whole now.

        The tiles themselves are kept.

        Parameters
        ----------
        files : collection of pathlib.Path
            What was written of the image as a whole.
        """
        before = self.ledger.files()
        if before is None:
            return
        (self.folder / "done").unlink(missing_ok=True)  # the table, for one, is no longer theirs
        own = set(map(self.ledger.within, files))
        self.ledger.write(self.ledger.remove({path: digest for path, digest in before.items() if path not in own}))

    def forget(self) -> bool:
        """Remove all files and tiles and tell whether they went; if a file was changed by hand, all stay."""
        is_gone = self.ledger.forget()
        if is_gone:
            with suppress(FileNotFoundError):  # it went with its last file
                shutil.rmtree(self.folder)
        return is_gone
