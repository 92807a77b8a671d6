"""Write a file whole or not at all: an interrupted program never leaves half a file, nor destroys the one before."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its place when the block ends without an error.

    Of a symbolic link the file is replaced that it leads to, and the link stays.

    Raises
    ------
    OSError
        Where the folder does not exist or cannot be written to; it names `path`.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        if target.exists():
            shutil.copymode(target, temporary)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == temporary:
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
