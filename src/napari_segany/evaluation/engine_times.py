"""How long a person took for each mask of the data engine, as a plot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.evaluation.plots import new_figure


def person_seconds(engine: DataEngine) -> np.ndarray:
    """Return (M,) seconds of the masks that a person made and was timed for, in the order of images and masks."""
    masks = (one for one in engine.all_masks() if one.origin.stage == "assisted" and one.origin.seconds > 0)
    return np.array([one.origin.seconds for one in masks], float)


def plot_times(engine: DataEngine, path: Path) -> None:
    """Draw the seconds of each mask in their order, with the mean of the twenty around it.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    ValueError
        Where no mask was timed.
    """
    seconds = person_seconds(engine)
    if not len(seconds):
        raise ValueError("no mask was timed yet: accept some objects first")
    figure = new_figure(6, 3.2)
    axes = figure.subplots()
    numbers = np.arange(1, len(seconds) + 1)
    axes.plot(numbers, seconds, ".", color="C0", alpha=0.5, label=f"a mask (median {np.median(seconds):.1f} s)")
    width = min(20, len(seconds))
    kernel = np.ones(width)
    means = np.convolve(seconds, kernel, "same") / np.convolve(np.ones(len(seconds)), kernel, "same")
    axes.plot(numbers, means, color="C1", label=f"mean of {width}")
    axes.set(xlabel="mask", ylabel="seconds of a person", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
