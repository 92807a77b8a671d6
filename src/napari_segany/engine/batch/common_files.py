"""The files of a batch that are one for all images: which of them are ours, and which somebody's own.

`.segany/common.json` names those that a batch has written or is about to write.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import read_json_object

_RECORD = Path(".segany", "common.json")


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
    own = _recorded(folder)
    foreign = [name for name in names if name not in own and (folder / name).exists()]
    if foreign:
        raise ValueError(f"{foreign[0]} is in {folder} and was not written by segany; choose another folder")


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
    own = _recorded(folder)
    if own.issuperset(names):
        return
    record = folder / _RECORD
    record.parent.mkdir(parents=True, exist_ok=True)
    with replacing(record) as temporary:
        temporary.write_text(json.dumps({"files": sorted(own.union(names))}), encoding="utf-8")


def _recorded(folder: Path) -> set[str]:
    """Return the files that are written down; none where nothing can be read."""
    try:
        names = read_json_object(folder / _RECORD, "record").get("files")
    except (OSError, ValueError):
        return set()
    return {str(name) for name in names} if isinstance(names, list) else set()
