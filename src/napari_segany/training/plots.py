"""The curves of a run as a picture, for those who have matplotlib (it is not among the dependencies)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.evaluation.plots import MatplotlibMissingError
from napari_segany.formats.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LOSSES = (("dice", "dice loss"), ("iou_error", "squared error of the predicted IoU"))
_VALIDATION = (("click", "one click"), ("oracle", "best of three"), ("box", "box"), ("text", "picture, as words"))


def plot_metrics(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw losses and validation over the steps, and write them as a picture, whole or not at all.

    Parameters
    ----------
    rows : sequence of Mapping
        What `read_metrics` returns.
    path : pathlib.Path
        The picture.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # without pyplot: it would choose a window system
    except ImportError as error:
        raise MatplotlibMissingError from error
    figure = Figure(
        figsize=(7.5, 6)
    )  # without a layout that is looked for: it takes most of the time, at each measurement
    figure.subplots_adjust(left=0.12, right=0.98, top=0.98, bottom=0.08, hspace=0.06)
    losses, validation = figure.subplots(2, 1, sharex=True)
    for column, name in _LOSSES:
        _line(losses, rows, column, name, marker="")
    for column, name in _VALIDATION:
        _line(validation, rows, column, name, marker="o")
    losses.set(ylabel="training", ylim=(0, None))
    validation.set(xlabel="steps", ylabel="mean IoU on images\nkept from training", ylim=(0, 1))
    for axes in (losses, validation):
        if axes.lines:
            axes.legend(frameon=False, fontsize="small")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _line(axes: Axes, rows: Sequence[Mapping[str, str]], column: str, name: str, marker: str) -> None:
    points = [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, marker=marker, markersize=4)
