"""The log of a run as CSV and as curves."""

from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from napari_segany.evaluation.plots import MatplotlibMissingError
from napari_segany.training.metrics_log import MetricsLog, read_metrics
from napari_segany.training.plots import plot_metrics
from napari_segany.training.rounds import LessonResult
from napari_segany.training.validation import ValidationResult


def lesson(loss: float) -> LessonResult:
    return LessonResult(loss, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, (1.0, 0.0, 0.0))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.csv"
    writer = MetricsLog(path, 2, 0)
    for step in range(1, 7):
        writer.add(step, [lesson(float(step))])
        if step in (2, 6):
            writer.add_validation(step, ValidationResult(0.1 * step, 0.7, 0.8, 0.05))
    return path


def test_lines_are_means_over_steps(log: Path) -> None:
    rows = read_metrics(log)
    assert [(row["step"], row["loss"], row["click"]) for row in rows] == [
        ("2", "1.5000", ""), ("2", "", "0.2000"), ("4", "3.5000", ""), ("6", "5.5000", ""), ("6", "", "0.6000"),
    ]  # fmt: skip


def test_a_run_that_goes_on_forgets_what_it_does_again(log: Path) -> None:
    with log.open("a") as file:
        file.write("8,0.1,0")  # half a line
    MetricsLog(log, 2, 4)
    assert [row["step"] for row in read_metrics(log)] == ["2", "2", "4"]
    MetricsLog(log, 2, 0)
    assert read_metrics(log) == []


def test_lines_wait_while_another_program_locks_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = MetricsLog(tmp_path / "metrics.csv", 1, 0)
    writer.add(1, [lesson(1.0)])
    with monkeypatch.context() as locked:
        locked.setattr(Path, "open", Mock(side_effect=PermissionError(13, "in use")))
        writer.add(2, [lesson(2.0)])
    writer.add(3, [lesson(3.0)])
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.csv")] == ["1", "2", "3"]


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="not the log of a training run"):
        read_metrics(tmp_path / "other.csv")


def test_curves(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot_metrics(read_metrics(log), tmp_path / "curves.png")
    plot_metrics([], tmp_path / "empty.png")
    colours = {
        name: len(np.unique(np.asarray(Image.open(tmp_path / name).convert("RGB")).reshape(-1, 3), axis=0))
        for name in ("curves.png", "empty.png")
    }
    assert colours["curves.png"] > colours["empty.png"]


def test_without_matplotlib_the_remedy_is_named(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MatplotlibMissingError, match="pip install matplotlib"):
        plot_metrics(read_metrics(log), tmp_path / "curves.png")
