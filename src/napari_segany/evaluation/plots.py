"""Pictures of an evaluation, for those who have matplotlib (it is not among the dependencies)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_segany.evaluation.metrics import Calibration
from napari_segany.evaluation.report import Row
from napari_segany.evaluation.scores import point_counts, points_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MatplotlibMissingError(ImportError):
    """matplotlib is not installed."""

    def __init__(self) -> None:
        super().__init__("plots need matplotlib, which is not installed; `pip install matplotlib` brings it")


def check_matplotlib() -> None:
    """Raise MatplotlibMissingError where it is not installed: to be told before hours of work, not after."""
    new_figure(1, 1)


def plot_iou(rows: Sequence[Row], path: Path) -> None:
    """Draw mean IoU with its 95 % interval over the number of points, a line per row, and write it as a picture.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    ValueError
        If the rows hold no IoU after any number of points.
    """
    counts = point_counts(key for row in rows for key in row.cells)
    if not counts:
        raise ValueError("nothing was measured over the number of points; there is nothing to draw")
    figure = new_figure(7.5, 4.5)
    axes = figure.subplots()
    for index, row in enumerate(rows):
        cells = [row.cells[points_key(count)] for count in counts]
        means = np.array([cell.mean for cell in cells])
        reach = np.abs(np.array([[cell.low for cell in cells], [cell.high for cell in cells]]) - means)
        marker = "os^vD"[index // 10 % 5]  # there are ten colours
        axes.errorbar(counts, means, reach, label=row.name, color=f"C{index % 10}", marker=marker, capsize=2)
    axes.set(xlabel="points", ylabel="mean IoU (bars: 95 % interval)", xticks=counts, ylim=(0, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)


def plot_calibration(result: Calibration, path: Path) -> None:
    """Draw the reliability curve, true over predicted IoU with the number of masks per bin, and write it.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(4.5, 5.5)
    curve, histogram = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    curve.plot((0, 1), (0, 1), color="0.7", linestyle="--", label="perfect")
    filled = result.counts > 0
    curve.plot(result.predicted[filled], result.true[filled], marker="o", color="C0", label="measured")
    curve.set(ylabel="true IoU", xlim=(0, 1), ylim=(0, 1), title=f"expected calibration error {result.error:.3f}")
    curve.legend(frameon=False)
    histogram.bar(
        result.edges[:-1], result.counts, np.diff(result.edges), align="edge", color="C0", edgecolor="white"
    )
    histogram.set(xlabel="predicted IoU", ylabel="masks")
    figure.savefig(path, dpi=120)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure in inches; MatplotlibMissingError where there is no matplotlib."""
    # Without pyplot: it would choose a window system and keep every figure alive.
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MatplotlibMissingError from error
    return Figure(figsize=(width, height), layout="constrained")
