"""The command line `segany`: finds the command and turns errors into one line. Knows neither torch nor napari nor Qt.

A command is a module of this package with `NAME`, `HELP`, `EXAMPLE`, `add_arguments(parser)` and `run(args) -> int`;
it imports what is slow within `run`.
"""

from __future__ import annotations

import argparse
import logging
import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast

from napari_segany import __version__
from napari_segany.cli.errors import INTERRUPTED_STATUS, USAGE_STATUS, USER_ERRORS, Parser, UsageError, one_line

COMMANDS = (
    "demo",
    "segment",
    "replay",
    "propagate",
    "everything",
    "embed",
    "models",
    "train",
    "evaluate",
    "dataset",
    "report",
    "export",
)
"""Modules of this package, in the order of the help; one that is not there is not offered."""

_NEGATIVE_NUMBERS = re.compile(r"-[\d.][^\s]*,[^\s]*")


class Command(Protocol):
    """What a command's module offers."""

    NAME: str
    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work and return the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0 when the work is done, 2 after an error that was told in one line on stderr, 130 after Ctrl-C, or what the
        command says.
    """
    program = "segany"
    # tifffile also logs what it raises; the user gets told once.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        given = list(sys.argv[1:] if argv is None else argv)
        args, unknown = _parser().parse_known_args(_joined(given))
        args.command_line = shlex.join([program, *given])
        program = f"segany {args.command.NAME}"
        if unknown:
            raise UsageError(program, f"unrecognized arguments: {' '.join(unknown)}")
        with _warnings_in_one_line(program):
            return cast(Command, args.command).run(args)
    except UsageError as error:
        return _fail(f"{error.program}: error: {one_line(error)} (see {error.program} --help)", USAGE_STATUS)
    except USER_ERRORS as error:
        return _fail(f"{program}: error: {one_line(error)}", USAGE_STATUS)
    except KeyboardInterrupt:
        return _fail(f"{program}: interrupted", INTERRUPTED_STATUS)


def _parser() -> Parser:
    parser = Parser(
        prog="segany",
        description="Segment Anything for scientists, from the command line.",
        epilog="segany COMMAND --help tells the options of a command, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"segany {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if find_spec(f"napari_segany.cli.{name}") is None:
            continue
        module = cast(Command, import_module(f"napari_segany.cli.{name}"))
        command = commands.add_parser(
            module.NAME, help=module.HELP, description=module.HELP, epilog=f"example: {module.EXAMPLE}"
        )
        module.add_arguments(command)
        command.set_defaults(command=module)
    return parser


def _joined(argv: Sequence[str]) -> list[str]:
    """Join an option with coordinates that begin with a minus, which argparse would take for another option."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1].startswith("--") and "=" not in joined[-1] and _NEGATIVE_NUMBERS.fullmatch(argument):
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


@contextmanager
def _warnings_in_one_line(program: str) -> Iterator[None]:
    """Print warnings for a user, without the line of code that Python shows."""

    def show(message: Warning | str, *where: object, **more: object) -> None:
        print(f"{program}: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _fail(message: str, status: int) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
