"""What runs wrote of an image in tiles, so that later ones know their own files from somebody's, and stale ones go.

`.segany/tiles/NAME/outputs.json` holds the hash of each, "" for those that are about to be written. Knows no images.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_segany.engine.digests import content_digest_steps
from napari_segany.engine.progress import Steps, drain
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import a_mapping, read_json_object

_STATE = ".segany"


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
        return self.root / _STATE / "tiles" / self.name

    def has_written(self, path: Path) -> bool:
        """Tell whether a run by tiles wrote a file or began to; former versions wrote down none of theirs."""
        files = self._recorded()
        return self.folder.exists() if files is None else self._within(path) in files

    def claim(self, files: Collection[Path]) -> None:
        """Write down which files are about to be written.

        Raises
        ------
        OSError
            Where the folder cannot be written to.
        """
        before = self._recorded()
        if before is None:
            former = [self.root / "labels" / f"{self.name}.tif", *(self.root / "vectors").glob(f"{self.name}.*")]
            files = [*files, *(path for path in former if (self.folder / "done").exists() and path.exists())]
        self._write({**dict.fromkeys(map(self._within, files), ""), **(before or {})})

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
            new[self._within(path)] = yield from content_digest_steps(path)
        before = self._recorded() or {}
        if others is None:
            self._write({**before, **new})
            return
        stale = {path: digest for path, digest in {**others, **before}.items() if path not in new}
        self._write({**self._removed(stale), **new})

    def give_way(self, files: Collection[Path]) -> None:
        """Remove what shows the masks of tiles, unless somebody has changed it: the image was done as a whole now.

        The tiles themselves are kept.

        Parameters
        ----------
        files : collection of pathlib.Path
            What was written of the image as a whole.
        """
        before = self._recorded()
        if before is None:
            return
        (self.folder / "done").unlink(missing_ok=True)  # the table, for one, is no longer theirs
        own = set(map(self._within, files))
        self._write(self._removed({path: digest for path, digest in before.items() if path not in own}))

    def _removed(self, files: Mapping[str, str]) -> dict[str, str]:
        """Remove files that are as we wrote them, and return those that stay because somebody has changed them."""
        stay = {}
        for written, digest in files.items():
            parts, path = PurePosixPath(written).parts, self.root / written
            if ".." in parts or _STATE in parts or not path.is_relative_to(self.root) or not path.exists():
                continue
            if not digest or drain(content_digest_steps(path)) != digest:
                stay[written] = digest
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
                if path.parent.name == self.name:  # a folder of its own, of planes
                    with suppress(OSError):
                        path.parent.rmdir()
        return stay

    def _recorded(self) -> dict[str, str] | None:
        """Return the hashes that are written down; None where nothing is, or it is damaged."""
        try:
            values = a_mapping(read_json_object(self.folder / "outputs.json", "record"), "files")
            return {str(path): str(digest) for path, digest in values.items()}
        except (OSError, ValueError):
            return None

    def _write(self, files: Mapping[str, str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "outputs.json") as temporary:
            temporary.write_text(json.dumps({"files": dict(sorted(files.items()))}), encoding="utf-8")

    def _within(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
