"""`segany report`: all that was measured in a folder as one HTML page. Imports no torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_segany.cli.counted import counted

NAME = "report"
HELP = "Collect what was measured (tables, plots and exact commands) in one HTML page."
EXAMPLE = "segany report results/ -o report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="a folder with the --output of other commands")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("report.html"),
        help="the page (default: report.html)",
    )  # fmt: skip
    parser.add_argument("--title", default="What was measured", help="over the page (default: What was measured)")


def run(args: argparse.Namespace) -> int:
    """Write the page; the status is 1 where a folder's files are damaged."""
    from napari_segany.evaluation.html_report import find_results, to_html
    from napari_segany.formats.atomic import replacing

    results, skipped = find_results(args.folder)
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    if not results:
        raise ValueError(f"no result in {args.folder} can be read; see the reasons above")
    with replacing(args.output) as temporary:
        temporary.write_text(to_html(results, args.title), encoding="utf-8")
    print(f"{counted(len(results), 'result')} -> {args.output}")
    return int(bool(skipped))
