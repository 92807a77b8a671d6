"""What tells one state of a file from others, without reading it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

FileStamp: TypeAlias = tuple[int, int]
"""The time of the last change in nanoseconds, and the size in bytes."""


def file_stamp(path: str | os.PathLike[str]) -> FileStamp | None:
    """Return what changes when a file is written; None where there is none.

    Parameters
    ----------
    path : str or PathLike
        The file.

    Raises
    ------
    OSError
        Where it cannot be told whether there is a file: one that cannot be looked at is not taken for one that is
        gone, and so is neither forgotten nor written over.
    """
    try:
        status = Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size
