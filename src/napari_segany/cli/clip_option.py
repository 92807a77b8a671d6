"""The CLIP of commands that take words: nothing is fetched unless `--text-download` says so. Imports torch late."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segany.engine.clip import Clip

_FLAG = "--text-download"


def add_download_option(parser: argparse._ActionsContainer) -> None:
    """Declare the flag."""
    parser.add_argument(
        _FLAG, action="store_true",
        help="fetch a public CLIP that is not on this computer yet, once (0.6 GB or more); nothing is without this",
    )  # fmt: skip


def load_clip(model: str, device: str = "cpu", *, download: bool) -> Clip:
    """Load a CLIP.

    Raises
    ------
    TextModelError
        Where it is not here; the message says how to ask for it.
    """
    from napari_segany.engine.clip import Clip, NotHereError
    from napari_segany.engine.device import choose_device

    place = choose_device(device)
    try:
        return Clip(model, place, fetch=download)
    except NotHereError as error:
        raise NotHereError(error.model, f"add {_FLAG} to fetch it") from None
