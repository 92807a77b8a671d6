"""Pictures of what was measured of whole objects: proposals and masks of boxes. Knows no models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_segany.evaluation.mask_ap import NUMBERS
from napari_segany.evaluation.plots import new_figure
from napari_segany.evaluation.proposals import BUDGETS, SIZES

_MARKERS = "os^vD"  # there are ten colours


def plot_recall(recall: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw average recall over the number of masks, a panel for each size of objects, and write the picture.

    Parameters
    ----------
    recall : mapping of str to mapping
        What `average_recall` returns, by data set.
    path : pathlib.Path
        The picture.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(11, 3.2)
    panels = figure.subplots(1, len(SIZES), sharey=True)
    for axes, size in zip(panels, SIZES, strict=True):
        for number, (name, own) in enumerate(recall.items()):
            marker = _MARKERS[number // 10 % len(_MARKERS)]
            values = [own[f"AR@{budget} {size}"] for budget in BUDGETS]
            axes.plot(BUDGETS, values, marker=marker, color=f"C{number % 10}", label=name)
        axes.set(xscale="log", xlabel="masks of an image", title=f"{size} objects", ylim=(0, 1))
    panels[0].set(ylabel="average recall")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)


def plot_mask_ap(precision: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw mask AP with that of single thresholds and sizes, a line for each data set, and write the picture.

    Parameters
    ----------
    precision : mapping of str to mapping
        What `mask_ap` returns, by data set.
    path : pathlib.Path
        The picture.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(7.5, 1.4 + 0.35 * len(precision))
    axes = figure.subplots()
    names = list(precision)
    for number, column in enumerate(NUMBERS):
        values = [precision[name][column] for name in names]
        is_mean = number == 0
        axes.scatter(
            values,
            range(len(names)),
            s=70 if is_mean else 28,
            color="black" if is_mean else f"C{number}",
            marker="o" if is_mean else _MARKERS[number % len(_MARKERS)],
            label=column,
        )
    axes.set(xlabel="average precision of masks", xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    figure.savefig(path, dpi=110)
