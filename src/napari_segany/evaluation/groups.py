"""Objects in groups: by a column of metadata, as the paper examines fairness (appendix C), or by their own shape."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.score_file import Scored
from napari_segany.evaluation.scores import ObjectScore

Grouping = Callable[[ObjectScore], str]

UNKNOWN = "(unknown)"
_SMALL, _MEDIUM = 32**2, 96**2


def size_class(score: ObjectScore) -> str:
    """COCO's classes of size: small under 32 x 32 pixels, medium under 96 x 96, large from there on."""
    return "small" if score.area < _SMALL else "medium" if score.area < _MEDIUM else "large"


OWN_GROUPS: Mapping[str, Grouping] = {
    "size": size_class,
    "at_border": lambda score: "cut by the edge" if score.at_border else "whole",
    "parts": lambda score: "one part" if score.parts == 1 else "several parts",
}


def grouping(column: str, samples: Sequence[Sample], table: Path | None = None) -> Grouping:
    """Return what tells an object's group.

    Parameters
    ----------
    column : str
        A column of `table`; without one, a value of `index.json`, or "size", "at_border" or "parts" for groups by the
        objects' own shape.
    samples : sequence of Sample
        The images that are measured.
    table : pathlib.Path, optional
        A CSV file with the column `image`, the group's column, and where needed to tell images or objects apart
        `dataset` and `object_id`.

    Raises
    ------
    ValueError
        If no image has the column, or the table lacks columns.
    """
    if table is not None:
        return _table_grouping(column, table)
    if column in OWN_GROUPS:
        return OWN_GROUPS[column]
    known = sorted({key for sample in samples for key in sample.metadata})
    if column not in known:
        raise ValueError(
            f"there is no column {column!r} in index.json; known are {', '.join([*known, *OWN_GROUPS])}, "
            "or give a table of your own"
        )
    return _metadata_grouping(column, samples)


def image_grouping(column: str, samples: Sequence[Sample], table: Path | None = None) -> Callable[[Scored], str]:
    """Return what tells an image's group; as `grouping`, without the groups of single objects.

    Raises
    ------
    ValueError
        If no image has the column, or the table lacks columns or tells objects apart.
    """
    if table is not None:
        return _table_grouping(column, table, ("dataset", "image"))
    known = sorted({key for sample in samples for key in sample.metadata})
    if column not in known:
        raise ValueError(
            f"there is no column {column!r} in index.json; known are {', '.join(known) or 'none'}, "
            "or give a table of your own"
        )
    return _metadata_grouping(column, samples)


def _metadata_grouping(column: str, samples: Sequence[Sample]) -> Callable[[ObjectScore | Scored], str]:
    groups = {(sample.dataset, sample.name): sample.metadata.get(column, UNKNOWN) for sample in samples}
    return lambda score: groups.get((score.dataset, score.image), UNKNOWN)


def _table_grouping(
    column: str, table: Path, columns_of_keys: Sequence[str] = ("dataset", "image", "object_id")
) -> Callable[[Any], str]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        missing = [name for name in ("image", column) if name not in columns]
        if missing:
            raise ValueError(f"{table} has no column {' nor '.join(missing)}; it has {', '.join(columns) or 'none'}")
        keys = [name for name in columns_of_keys if name in columns]
        groups = {tuple(row[name] for name in keys): row[column] or UNKNOWN for row in reader}
    return lambda score: groups.get(tuple(str(getattr(score, name)) for name in keys), UNKNOWN)
