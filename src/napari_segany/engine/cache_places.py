"""Where embeddings are kept, as a value that settings and command lines can make. Imports torch when it is opened."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segany.engine.cache import LayeredCache

FOLDER_VARIABLE = "SEGANY_CACHE"
"""The environment variable that names the folder of cached embeddings."""

DEFAULT_LIMIT = 5 * 1024**3


class NoPreparedFolderWarning(RuntimeWarning):
    """A folder of prepared embeddings that is not there."""


def cache_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the cache, which need not exist: the argument, else `SEGANY_CACHE`, else the user's.

    Parameters
    ----------
    folder : path, optional
        The user's choice; an empty string counts as none. `~` is the home folder.
    """
    chosen = os.fspath(folder) if folder is not None else ""
    chosen = chosen or os.environ.get(FOLDER_VARIABLE, "")
    if not chosen:
        import pooch

        return Path(pooch.os_cache("napari-segany")) / "embeddings"
    return Path(chosen).expanduser().absolute()


@dataclass(frozen=True)
class CachePlaces:
    """Where embeddings are looked up and kept.

    Attributes
    ----------
    folder : Path or None
        The cache on the disk; None for the default folder, see `cache_folder`.
    limit : int
        Its size, in bytes; 0 for no cache on the disk.
    prepared : Path or None
        A folder that `segany embed` made; it is looked into first, and only read.
    memory : int
        Bytes to keep in memory besides; 0 for none.
    """

    folder: Path | None = None
    limit: int = DEFAULT_LIMIT
    prepared: Path | None = None
    memory: int = 0

    def open(self) -> LayeredCache | None:
        """Return the cache; None where nothing is to be kept or looked up.

        A prepared folder that is not there is warned of and left out: it may be on a disk that is not connected.
        """
        from napari_segany.engine.cache import LayeredCache
        from napari_segany.engine.cache_disk import DiskCache
        from napari_segany.engine.cache_memory import MemoryCache

        prepared = self.prepared
        if prepared is not None and not prepared.is_dir():
            warnings.warn(
                f"the folder of prepared embeddings {prepared} does not exist: embeddings are computed here",
                NoPreparedFolderWarning,
                stacklevel=2,
            )
            prepared = None
        if not (self.limit or prepared or self.memory):
            return None
        return LayeredCache(
            memory=MemoryCache(self.memory) if self.memory else None,
            disk=DiskCache(cache_folder(self.folder), self.limit) if self.limit else None,
            prepared=None if prepared is None else DiskCache(prepared),
        )
