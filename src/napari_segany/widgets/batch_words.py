"""What the status line of segmenting a folder says. Words only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.engine.batch.folder import BatchFolder

if TYPE_CHECKING:
    from napari_segany.engine.batch.run import BatchResult

READY = "Press Run. It can be cancelled at any time: what is finished stays, and the next run goes on."


def folder_note(folder: Path) -> str:
    """Return what a run makes of a folder that holds results already; "" for other folders."""
    if not any(os.path.exists(path) for path in BatchFolder(folder).subfolders):  # Path.exists may raise
        return ""
    return "This folder holds results. Those of the same images and settings are kept, others are written anew."


def stopped_text(complete: int, total: int) -> str:
    """Return what is left of a run that was cancelled."""
    return f"Stopped: {complete:,} of {total:,} images are complete. Run again to go on with the rest."


def summary(result: BatchResult) -> str:
    """Return what came of a run: images, masks, and what failed."""
    failed = len(result.failed)
    done = len(result.images) - failed
    words = [f"{counted(done, 'image')}", f"{counted(result.objects, 'mask')}"]
    if result.reused:
        words.append(f"{result.reused:,} complete before")
    if failed:
        words.append(f"{failed:,} failed: see report.csv")
    text = ", ".join(words) + "."
    return f"{text}\n{sentence(result.failed[0].error)}" if failed else text


def opened_text(opened: int, complete: int, folder: Path) -> str:
    """Return what was opened as layers, of how many images that are complete."""
    if opened == complete:
        return f"{counted(opened, 'result')} opened."
    return f"The first {opened:,} of {complete:,} results are opened; all are in {folder}."


def failure_text(error: Exception, folder: Path | None = None) -> str:
    """Return an error in one sentence for a user; files within `folder` are our affair, and the folder is named."""
    if not isinstance(error, OSError) or not error.strerror:
        return sentence(" ".join(str(error).split()) or type(error).__name__)
    if not isinstance(error.filename, str | os.PathLike):
        return sentence(error.strerror)
    path = Path(error.filename)
    return sentence(f"{folder if folder is not None and path.is_relative_to(folder) else path}: {error.strerror}")


def sentence(text: str) -> str:
    """Return a text with a full stop at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: "1 image", "1,200 images"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
