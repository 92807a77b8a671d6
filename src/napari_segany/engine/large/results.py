"""What became of the images of a batch that were done tile by tile, as its report says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_segany.engine.batch.common_files import claim_common_files, remove_outdated
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.former_names import forget_former_steps
from napari_segany.engine.batch.one_image import ImageResult
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.batch.summary_files import REPORT_NAME, summary_names, write_report
from napari_segany.engine.large.choice import TILES, not_written_text
from napari_segany.engine.large.run import LargeResult
from napari_segany.engine.progress import Steps

EARLIER = "the labels and the table are those of the run before, which had all tiles"
"""What is said where they were not replaced by others without the tiles that failed."""


def image_result(name: str, done: LargeResult, settings: BatchSettings) -> ImageResult:
    """Return what became of an image; one with tiles that failed is not complete.

    Parameters
    ----------
    name : str
        What its outputs are called.
    done : LargeResult
        What became of its tiles.
    settings : BatchSettings
        What was asked for.
    """
    problem = f"{len(done.failed)} of {done.tiles} tiles failed: {done.failed[0]}" if done.failed else ""
    problem += f"; {EARLIER}" if done.is_earlier else ""
    missing = not_written_text(settings)
    return ImageResult(
        name, done.shown, () if problem else (TILES,), done.objects, problem, done.reused == done.tiles,
        f"{missing} of an image that goes tile by tile" if missing else "",
    )  # fmt: skip


def finish_in_tiles_steps(folder: Path, results: Sequence[ImageResult], settings: BatchSettings) -> Steps[None]:
    """End a batch whose images all went in tiles: what is outdated goes, and report.csv is written.

    Yields
    ------
    Progress
        Earlier names of images.

    Raises
    ------
    OSError
        Where the folder cannot be written to, or another batch writes into it.
    ValueError
        Where somebody's own file is in the report's place.
    """
    folder = folder.expanduser().absolute()
    with BatchFolder(folder).locked():
        claim_common_files(folder, [REPORT_NAME])
        yield from forget_former_steps((), (), BatchFolder(folder), results)
        done = [result.name for result in results if result.planes]
        remove_outdated(folder, summary_names(settings.outputs), [REPORT_NAME], done)
        write_report(results, folder)
