"""`segany demo`: the main job on a bundled micrograph. The only command that opens napari, and only when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

NAME = "demo"
HELP = "Open napari with a micrograph, the prompt widget and a first click made; or write the session as files."
EXAMPLE = "segany demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help="do not wait for a person: write demo.png (the window), labels.tif and masks.json here and end",
    )  # fmt: skip
    parser.add_argument("--model", metavar="NAME", default="light", help="see `segany models` (default: light)")


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ValueError(
            "there is no screen to open a window on; run it on a virtual one: xvfb-run -a segany demo --output demo"
        )
    try:
        from napari_segany.widgets.demo import DemoError, show_demo, write_demo
    except ImportError as error:
        raise ValueError(
            f'napari or its Qt is not installed ({error}); install them with: pip install "napari-segany[all]"'
        ) from None
    if args.output is None:
        show_demo(args.model)
        return 0
    try:
        files = write_demo(args.output, args.model)
    except DemoError as error:
        raise ValueError(str(error)) from error
    print(f"the window:       {files.window}")
    print(f"the label image:  {files.labels}")
    print(f"the three masks:  {files.masks}")
    return 0
