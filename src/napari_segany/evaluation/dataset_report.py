"""Statistics of data sets as tables and plots."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_segany.evaluation.dataset_statistics import (
    COUNT_BINS,
    MaskStatistics,
    center_map,
    image_shares,
    matched_by_size,
)
from napari_segany.evaluation.plots import new_figure

_HEADINGS = (
    "data set",
    "images",
    "masks",
    "masks per image",
    "median",
    "relative size",
    "concavity",
    "of equal sizes",
    "n",
)
STATISTICS_NOTE = (
    "Masks per image: mean and median. Relative size: median of the square root of mask by image area. Concavity: "
    "mean of 1 - mask by convex hull area; of equal sizes: over n masks of each data set, chosen so that the sizes "
    "are the same in all."
)


def statistics_table(statistics: Mapping[str, MaskStatistics]) -> str:
    """Return a Markdown table with a line for each data set."""
    matched = matched_by_size(statistics)
    lines: list[Sequence[str]] = [_HEADINGS, ["---", *["---:"] * (len(_HEADINGS) - 1)]]
    for name, own in statistics.items():
        chosen = matched[name]
        lines.append(
            [
                name,
                str(len(own.images)),
                str(len(own.areas)),
                _cell(own.masks_per_image, np.mean, 1),
                _cell(own.masks_per_image, np.median, 1),
                _cell(own.relative_sizes, np.median),
                _cell(own.concavities, np.mean),
                _cell(own.concavities[chosen], np.mean) if len(statistics) > 1 else "-",
                str(len(chosen)) if len(statistics) > 1 else "-",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_statistics(statistics: Mapping[str, MaskStatistics], folder: Path) -> None:
    """Write masks.csv and images.csv.

    Raises
    ------
    OSError
        Where the folder cannot be written.
    """
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "image", "masks"])
        for name, own in statistics.items():
            writer.writerows(
                [name, image, count] for image, count in zip(own.images, own.masks_per_image, strict=True)
            )
    with (folder / "masks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "image", "area", "relative_size", "concavity", "center_row", "center_col"])
        for name, own in statistics.items():
            for number, image in enumerate(own.image_of):
                values = (own.relative_sizes[number], own.concavities[number], *own.centers[number])
                writer.writerow([name, own.images[image], own.areas[number], *(f"{value:.6f}" for value in values)])


def plot_statistics(statistics: Mapping[str, MaskStatistics], path: Path) -> None:
    """Draw masks per image, relative sizes, and concavity of equal sizes, as the paper's figure 6.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(11, 3.4)
    per_image, sizes, shape = figure.subplots(1, 3)
    matched = matched_by_size(statistics)
    width = 0.8 / max(len(statistics), 1)
    for number, (name, own) in enumerate(statistics.items()):
        color = f"C{number % 10}"
        places = np.arange(len(COUNT_BINS)) + (number + 0.5) * width - 0.4
        per_image.bar(places, 100 * image_shares(own), width, color=color, label=name)
        if len(own.areas):
            weights = np.full(len(own.areas), 100 / len(own.areas))
            sizes.hist(own.relative_sizes, np.linspace(0, 1, 41), weights=weights, histtype="step", color=color)
        chosen = matched[name]
        if len(chosen):
            weights = np.full(len(chosen), 100 / len(chosen))
            shape.hist(
                own.concavities[chosen], np.linspace(0, 0.8, 33), weights=weights, histtype="step", color=color
            )
    per_image.set(xlabel="masks per image", ylabel="images, %")
    per_image.set_xticks(range(len(COUNT_BINS)), list(COUNT_BINS), fontsize="small")
    per_image.legend(frameon=False, fontsize="small")
    sizes.set(xlabel="relative mask size", ylabel="masks, %", yscale="log")
    title = "sizes matched" if len(statistics) > 1 else None
    shape.set(xlabel="concavity", ylabel="masks, %", title=title)
    figure.savefig(path, dpi=110)


def plot_centers(statistics: Mapping[str, MaskStatistics], path: Path) -> None:
    """Draw where the centres of masks lie, a map for each data set, as the paper's figure 5.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(2.6 * max(len(statistics), 1), 2.9)
    axes = np.atleast_1d(figure.subplots(1, max(len(statistics), 1)))
    for one, (name, own) in zip(axes, statistics.items(), strict=False):
        one.imshow(center_map(own), cmap="viridis", vmin=0)
        one.set(title=f"{name}\n{len(own.areas)} masks", xticks=[], yticks=[])
    figure.savefig(path, dpi=110)


def _cell(values: np.ndarray, function: object, digits: int = 3) -> str:
    return f"{function(values):.{digits}f}" if len(values) else "-"  # type: ignore[operator]
