"""`segany models`: which models there are, where their weights are, and getting them. Knows no torch, no napari."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Never, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_segany.engine.progress import Progress, Steps
    from napari_segany.engine.weights import ModelEntry, ModelStatus

NAME = "models"
HELP = "List the models, download their weights, say where they are, or check them."
EXAMPLE = "segany models download vit_b"

Result = TypeVar("Result")

_COLUMNS = ("name", "architecture", "size", "licence", "state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(action="list", names=[])
    _add_folder(parser, default=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    listing = actions.add_parser("list", help="list all models (what happens without an action, too)")
    download = actions.add_parser("download", help="download the weights of models")
    download.add_argument("names", metavar="NAME", nargs="+", help="a model's name")
    where = actions.add_parser("where", help="print the folder of weights, or the file of a model")
    where.add_argument("names", metavar="NAME", nargs="*", help="a model's name")
    verify = actions.add_parser("verify", help="hash the files again; exit status 1 if one is damaged")
    verify.add_argument("names", metavar="NAME", nargs="*", help="a model's name; all that are there by default")
    for action, name in ((listing, "list"), (download, "download"), (where, "where"), (verify, "verify")):
        action.set_defaults(action=name)
        # Given before the action or after it; the latter must not undo the former.
        _add_folder(action, default=argparse.SUPPRESS)


def run(args: argparse.Namespace, models: Mapping[str, ModelEntry] | None = None) -> int:
    """List, download, locate or check, and return the exit status.

    Parameters
    ----------
    args : argparse.Namespace
        The arguments.
    models : mapping, optional
        The registry; that of the published models by default.
    """
    from napari_segany.engine.weights import MODELS

    actions = {"list": _list, "download": _download, "where": _where, "verify": _verify}
    return actions[args.action](args.names, args.folder, MODELS if models is None else models)


def _add_folder(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--folder", default=default, metavar="FOLDER",
        help="the folder of weights; by default SEGANY_MODELS, or else the user's cache",
    )  # fmt: skip


def _list(names: Sequence[str], folder: str | None, models: Mapping[str, ModelEntry]) -> int:
    from napari_segany.engine.weights import list_steps, weights_folder

    statuses = _watched(list_steps(folder, models))
    print(_table([_row(status) for status in statuses]))
    print(f"\nWeights are kept in {weights_folder(folder)}")
    return 0


def _download(names: Sequence[str], folder: str | None, models: Mapping[str, ModelEntry]) -> int:
    from napari_segany.engine.download import download_steps
    from napari_segany.engine.weights import find_entry

    # A slip in the last name should not show after gigabytes of the first.
    for name in names:
        find_entry(name, folder, models)
    for name in names:
        print(_watched(download_steps(name, folder, models)))
    return 0


def _where(names: Sequence[str], folder: str | None, models: Mapping[str, ModelEntry]) -> int:
    from napari_segany.engine.weights import resolve_steps, weights_folder

    if not names:
        print(weights_folder(folder))
    for name in names:
        print(_watched(resolve_steps(name, folder, models)))
    return 0


def _verify(names: Sequence[str], folder: str | None, models: Mapping[str, ModelEntry]) -> int:
    from napari_segany.engine.weights import verify_steps

    statuses = _watched(verify_steps(names or None, folder, models))
    for status in statuses:
        print(f"{status.entry.name}: {_verdict(status)}{f' ({status.path})' if status.path else ''}")
    return 0 if all(status.usable for status in statuses) else 1


def _verdict(status: ModelStatus) -> str:
    if status.state == "damaged":
        return f"damaged; replace it with `segany models download {status.entry.name}`"
    if status.entry.hash is not None:
        return f"good, its {status.entry.hash[0]} is the published one"
    return f"{status.state}; nothing is published to compare it with"


def _row(status: ModelStatus) -> tuple[str, ...]:
    entry = status.entry
    return entry.name, entry.architecture or "-", status.size_text, entry.licence or "not stated", status.state


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [_COLUMNS, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _watched(steps: Steps[Result]) -> Result:
    """Run work that counts bytes, with a bar on stderr for each of its parts."""
    from napari_segany.engine.progress import drain

    bars = _Bars()
    try:
        return drain(steps, bars.show)
    finally:
        bars.close()


class _Bars:
    """A progress bar on stderr, and another one when the work turns to something else."""

    def __init__(self) -> None:
        self._note = ""
        self._bar: tqdm[Never] | None = None

    def show(self, progress: Progress) -> None:
        """Move the bar to where the work is."""
        bar = self._bar
        if bar is None or progress.note != self._note:
            self.close()
            bar = self._open(progress.note)
        bar.total = progress.total or None
        bar.update(progress.done - bar.n)

    def close(self) -> None:
        """Leave the bar as it is and end its line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self, note: str) -> tqdm[Never]:
        from tqdm import tqdm

        self._note = note
        self._bar = tqdm(desc=note, unit="B", unit_scale=True, file=sys.stderr, dynamic_ncols=True)
        return self._bar
