"""What the protocols of whole images have in common on the command line. Imports no torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from napari_segany.cli.recorded import record_command
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    from napari_segany.engine.automatic_settings import AutomaticSettings
    from napari_segany.engine.predictor import Predictor
    from napari_segany.engine.progress import Steps
    from napari_segany.evaluation.image_loop import ImageScores
    from napari_segany.evaluation.score_file import Scored, ScoreFile

Score = TypeVar("Score", bound="Scored")


class ImageProtocol(Protocol[Score]):
    """A protocol that knows its images."""

    def __call__(
        self, *, known: Mapping[tuple[str, str], Score] | None, receive: Callable[[Score], None]
    ) -> Steps[ImageScores[Score]]:
        """Measure; see `evaluation.image_loop.measured_images`."""


def measure_images(
    protocol: ImageProtocol[Score],
    file_of: Callable[[Path], ScoreFile[Score]],
    folder: Path | None,
    scores: list[Score],
) -> None:
    """Run a protocol with a bar, and tell on stderr what was skipped, or that it was interrupted.

    Parameters
    ----------
    protocol : callable
        The protocol with all but what is known of an earlier run, and what gets its scores.
    file_of : callable
        Opens the file of scores in a folder.
    folder : pathlib.Path or None
        Where images.csv grows with every image; the scores of an earlier run are taken over from there.
    scores : list
        Grows with every image, also by the scores of the earlier run: what the table is made of, whatever happens.
    """
    file: ScoreFile[Score] | None = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = file_of(folder)

    def receive(score: Score) -> None:
        scores.append(score)
        if file is not None:
            file.write(score)

    try:
        result = watched(protocol(known=file.known if file else None, receive=receive), "image")
    except KeyboardInterrupt:
        print("interrupted: the tables hold what was measured so far; run it again to go on", file=sys.stderr)
        raise
    finally:
        if file is not None:
            file.close()
    for reason in result.skipped:
        print(f"skipped: {reason}", file=sys.stderr)


def check_measured(scores: Sequence[object], images: int, data: Path) -> None:
    """Raise a ValueError where no image could be measured; the reasons were told."""
    if not scores:
        raise ValueError(f"none of the {images} images of {data} can be measured; see the reasons above")


def keep_results(args: argparse.Namespace, text: str, title: str, plot: Callable[[Path], None]) -> None:
    """Write a table and its plot into the folder that was asked for, if any, with the command that made them.

    Without matplotlib it is said what the plot would need: the table is worth having without it.

    Parameters
    ----------
    args : argparse.Namespace
        With `output`, the folder or None.
    text : str
        What goes into summary.md.
    title : str
        What was measured.
    plot : callable
        Writes the plot into a folder.

    Raises
    ------
    OSError
        Where the folder cannot be written.
    """
    from napari_segany.evaluation.plots import MatplotlibMissingError

    if args.output is None:
        return
    (args.output / "summary.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    record_command(args, args.output, title)
    try:
        plot(args.output)
    except MatplotlibMissingError as error:
        print(error, file=sys.stderr)


def asked_of(predictor: Predictor, settings: AutomaticSettings | None = None) -> dict[str, object]:
    """Return what is to be remembered of a run: the model, its weights, and the settings that count."""
    from dataclasses import asdict

    from napari_segany.engine.loaded_model import weights_checksum

    asked: dict[str, object] = {"model": predictor.name, "weights": weights_checksum(predictor.sam)}
    if settings is not None:
        asked["settings"] = {name: value for name, value in asdict(settings).items() if name != "points_per_batch"}
    return asked
