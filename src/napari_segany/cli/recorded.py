"""What a run was asked, kept beside its results for the report. Imports no torch."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_segany import __version__
from napari_segany.evaluation.html_report import COMMAND_FILE
from napari_segany.formats.atomic import replacing


def record_command(args: argparse.Namespace, folder: Path, title: str) -> None:
    """Write the command line and what it measures into the folder of its results.

    Raises
    ------
    OSError
        Where the folder cannot be written.
    """
    values = {"title": title, "command": getattr(args, "command_line", ""), "version": __version__}
    with replacing(folder / COMMAND_FILE) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
