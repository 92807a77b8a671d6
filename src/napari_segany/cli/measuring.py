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
    from napari_segany.evaluation.report import Heading, Row
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


def told_tables(
    rows: Sequence[Row],
    columns: Sequence[Heading],
    note: str,
    groups: tuple[str, Sequence[Row]] | None = None,
    remark: str = "",
) -> dict[str, str]:
    """Print a table of data sets, what is to be known of it, and a table of groups; return them as files by name.

    Parameters
    ----------
    rows, columns
        The table, as `evaluation.report.to_text` takes it.
    note : str
        What the columns are, for who reads it on the screen.
    groups : tuple of (str, sequence of Row), optional
        What the groups are, and their rows.
    remark : str
        A result beside the table, printed and kept in summary.md.
    """
    from napari_segany.evaluation.report import to_csv, to_markdown, to_text

    markdown = [to_markdown(rows, columns), remark]
    texts = {"summary.csv": to_csv(rows, columns)}
    print(to_text(rows, columns), f"{note}\n{remark}".rstrip(), sep="\n\n")
    if groups is not None:
        name, members = groups
        print("", to_text(members, columns, name), sep="\n")
        markdown.append(to_markdown(members, columns, name))
        texts["groups.csv"] = to_csv(members, columns, "group")
    return {**texts, "summary.md": "\n\n".join(part for part in markdown if part)}


def keep_results(
    args: argparse.Namespace,
    title: str,
    texts: Mapping[str, str],
    scores: str,
    plot: Callable[[Path], None] | None = None,
) -> None:
    """Write tables and their plot into the folder that was asked for, if any, with the command that made them.

    Without matplotlib it is said what the plot would need: the tables are worth having without it.

    Parameters
    ----------
    args : argparse.Namespace
        With `output`, the folder or None.
    title : str
        What was measured.
    texts : mapping of str to str
        The tables by the names of their files.
    scores : str
        What holds the scores of each image or object there.
    plot : callable, optional
        Writes the plot into a folder.

    Raises
    ------
    OSError
        Where the folder cannot be written.
    """
    from napari_segany.evaluation.plots import MatplotlibMissingError

    if args.output is None:
        return
    for name, text in texts.items():
        (args.output / name).write_text(text.rstrip() + "\n", encoding="utf-8")
    record_command(args, args.output, title)
    if plot is not None:
        try:
            plot(args.output)
        except MatplotlibMissingError as error:
            print(error, file=sys.stderr)
    print(f"\n{', '.join(texts)} and {scores} are in {args.output}")


def asked_of(predictor: Predictor, settings: AutomaticSettings | None = None) -> dict[str, object]:
    """Return what is to be remembered of a run: the model, its weights, and the settings that count."""
    from dataclasses import asdict

    from napari_segany.engine.loaded_model import weights_checksum

    asked: dict[str, object] = {"model": predictor.name, "weights": weights_checksum(predictor.sam)}
    if settings is not None:
        asked["settings"] = {name: value for name, value in asdict(settings).items() if name != "points_per_batch"}
    return asked
