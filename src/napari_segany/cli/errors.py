"""How the command line fails: one line on stderr and an exit status. Knows neither torch nor napari nor Qt."""

from __future__ import annotations

import argparse
from typing import NoReturn

from napari_segany.formats.geo_extra import GeoMissingError

USER_ERRORS = (ValueError, OSError, MemoryError, GeoMissingError)
"""What a user, a file, the computer or a missing extra can cause; anything else is a defect of ours and keeps its
traceback."""

USAGE_STATUS = 2
INTERRUPTED_STATUS = 130


class UsageError(ValueError):
    """Arguments that the command does not understand."""

    def __init__(self, program: str, message: str) -> None:
        super().__init__(message)
        self.program = program


class Parser(argparse.ArgumentParser):
    """An argument parser that raises its complaints, so that `main` prints them like any other error."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        raise UsageError(self.prog, message)


def one_line(error: BaseException) -> str:
    """Return an error in one line for a user."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
