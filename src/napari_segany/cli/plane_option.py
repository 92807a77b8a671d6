"""The option `--plane` of commands that read stacks: which plane, by the names of axes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_segany.formats.plane_choice import PlaneChoice

if TYPE_CHECKING:
    from napari_segany.engine.batch.sources import BatchImage


def add_plane_option(parser: argparse._ActionsContainer, text: str) -> None:
    """Declare the option.

    Parameters
    ----------
    parser : argparse.ArgumentParser or a group of its arguments
        Where.
    text : str
        What the choice means for the command.
    """
    parser.add_argument("--plane", metavar="AXIS=N,...", type=_plane, help=text)


def _plane(text: str) -> PlaneChoice:
    try:
        return PlaneChoice.from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def refuse_rasters(images: Sequence[BatchImage]) -> None:
    """Raise ValueError where one of the images is a raster, whose bands are chosen otherwise."""
    from napari_segany.engine.batch.raster_source import RasterSource

    for image in images:
        if isinstance(image.source, RasterSource):
            raise ValueError(f"--plane is for stacks, and {image.source.shown} is a raster; leave it out")
