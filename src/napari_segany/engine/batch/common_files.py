"""The files of a batch that are one for all images: which of them are ours, and which somebody's own.

`.segany/common.json` is the record of those that a batch has written or is about to write (`ledger.py`), and of the
images that they show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from napari_segany.engine.batch.ledger import Ledger
from napari_segany.engine.digests import content_digest_steps
from napari_segany.engine.progress import Steps


def check_is_not_foreign(folder: Path, names: Collection[str]) -> None:
    """Refuse to write over a file that no batch wrote, as far as is written down: somebody's own.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of a batch's outputs.
    names : collection of str
        Paths within it of files that are one for all images.

    Raises
    ------
    ValueError
        Where there is such a file.
    """
    ledger = _ledger(folder)
    foreign = ledger.foreign([folder / name for name in names])
    if foreign:
        raise ValueError(
            f"{ledger.within(foreign[0])} is in {folder} and was not written by segany; choose another folder"
        )


def claim_common_files(folder: Path, names: Collection[str]) -> None:
    """Write down which files are about to be written, so that a killed run can go on with them.

    Raises
    ------
    ValueError
        Where one of them is there and no batch wrote it.
    OSError
        Where the folder cannot be written to.
    """
    check_is_not_foreign(folder, names)
    _ledger(folder).claim([folder / name for name in names])


def common_written_steps(folder: Path, shown: Mapping[str, Collection[str]]) -> Steps[None]:
    """Write down which images are shown by files that have been written.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of a batch's outputs.
    shown : Mapping
        What the outputs of the images are called that a file shows, by the file's path within the folder.

    Raises
    ------
    OSError
        Where the folder cannot be written to.
    """
    ledger, files = _ledger(folder), {}
    for name in shown:
        files[name] = yield from content_digest_steps(folder / name)
    facts = {"shown": {**_shown(ledger), **{name: sorted(images) for name, images in shown.items()}}}
    ledger.write({**(ledger.files() or {}), **files}, facts)


def remove_outdated(folder: Path, wanted: Collection[str], written: Collection[str], images: Collection[str]) -> None:
    """Remove files for all images that are as they were written and show what is no longer so.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of a batch's outputs.
    wanted, written : collection of str
        What the run was asked for, and what it wrote: the rest shows images of other runs alone.
    images : collection of str
        What the outputs of images are called that were done otherwise, and so have other masks.

    Raises
    ------
    OSError
        Where a file cannot be removed.
    """
    ledger = _ledger(folder)
    files, shown = ledger.files() or {}, _shown(ledger)
    outdated = {
        name: digest
        for name, digest in files.items()
        if name in shown and name not in written and (name in wanted or not set(images).isdisjoint(shown[name]))
    }
    gone = set(outdated) - set(ledger.remove(outdated))
    if gone:
        facts = {"shown": {name: of_file for name, of_file in shown.items() if name not in gone}}
        ledger.write({name: digest for name, digest in files.items() if name not in gone}, facts)


def _shown(ledger: Ledger) -> dict[str, list[str]]:
    """Return which images files show; former versions did not write it down."""
    shown = (ledger.read() or {}).get("shown")
    if not isinstance(shown, dict):
        return {}
    return {name: [str(image) for image in images] for name, images in shown.items() if isinstance(images, list)}


def _ledger(folder: Path) -> Ledger:
    return Ledger(folder, "common.json")
