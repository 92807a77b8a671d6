"""Write a file whole or not at all: an interrupted program never leaves half a file, nor destroys the one before."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends without an error.

    Raises
    ------
    OSError
        Where the folder does not exist or cannot be written to.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}-", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(_mode_of_new_files(target))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _mode_of_new_files(target: Path) -> int:
    """Return the permissions of the file that is replaced, or those of any new file (mkstemp's are private)."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
