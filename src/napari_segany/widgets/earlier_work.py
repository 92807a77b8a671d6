"""What an earlier session left of an image, in a sentence for people. Knows neither napari nor Qt."""

from __future__ import annotations

from pathlib import Path

from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.session_file import SavedSession, read_session


def told_steps(path: Path) -> Steps[str]:
    """Read a saved session, and return the sentence that offers it, if there is something in it.

    Raises
    ------
    OSError, ValueError
        Where it cannot be read.
    """
    yield Progress(0, 0, "Looking at earlier work")
    return told(read_session(path))


def told(saved: SavedSession) -> str:
    """Return the sentence that offers a saved session; "" for one in which all was undone."""
    if not (saved.objects or saved.points or saved.boxes or saved.mask_prompts):
        return ""
    count, when = len(saved.objects), saved.saved_at[:16].replace("T", " ")
    what = f"{count} object{'' if count == 1 else 's'}" if count else "prompts"
    return (
        f"There is earlier work on this image, with {what}, of {when}: Restore brings it back. Or click on an object."
    )
