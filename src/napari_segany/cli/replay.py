"""`segany replay`: the objects of a saved session made again, without napari. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segany.cli.outputs import check_no_input_is_replaced
from napari_segany.cli.watched import watched

if TYPE_CHECKING:
    from napari_segany.engine.predictor import Predictor
    from napari_segany.formats.session_steps import SavedAsking

NAME = "replay"
HELP = (
    "Make the objects of a session again that was saved in napari (Session, Save session): the same questions to "
    "the same model. Says whether the labels are those that were saved; the exit status is 1 where they are not."
)
EXAMPLE = "segany replay cells.session.json -o labels.tif"

DIFFERENT_STATUS = 1
_TIFF = (".tif", ".tiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("session", metavar="SESSION", type=Path, help="a session file (.json)")
    parser.add_argument("-o", "--output", metavar="OUT.tif", type=Path, help="write the labels to this TIFF")
    parser.add_argument("--image", metavar="FILE", type=Path, help="where the image is now")
    parser.add_argument("--device", help="auto, cuda, mps or cpu; that of the session where not given")
    parser.add_argument("--no-cache", action="store_true", help="compute image embeddings even where they are cached")


def run(args: argparse.Namespace) -> int:
    """Replay a session."""
    _check_output(args.output)

    from napari_segany.engine.replay import replay_image, replay_steps
    from napari_segany.formats.session_file import read_session

    saved = read_session(args.session)
    image_path = args.image or (Path(str(saved.image["path"])) if saved.image.get("path") else None)
    if args.output is not None:
        check_no_input_is_replaced([args.output], (args.session, image_path))
    image = replay_image(saved, args.image)

    def load(step: SavedAsking) -> Predictor:
        from napari_segany.engine.cache_places import CachePlaces
        from napari_segany.engine.predictor import Predictor

        cache = CachePlaces().open() if step.rounded and not args.no_cache else None
        device = args.device or _device(step.device)
        return Predictor(step.model, device=device, cache=cache, precision=step.precision)

    replay = watched(replay_steps(saved, image, load), "step")
    for note in replay.notes:
        print(f"note: {note}")
    if args.output is not None:
        from napari_segany.formats.labels import write_label_tiff
        from napari_segany.formats.pixel_size import read_pixel_size

        pixel_size = None if image_path is None else read_pixel_size(image_path)
        write_label_tiff(args.output, replay.labels, pixel_size=pixel_size)
    written = "" if args.output is None else f" -> {args.output}"
    same = (
        "identical to the session's"
        if not replay.differing
        else f"{replay.differing:,} pixels differ from the session's"
    )
    done = f"{len(saved.objects)} objects, {replay.answers} answers asked again"
    print(f"{args.session.name}: {done}; labels {same}{written}")
    return DIFFERENT_STATUS if replay.differing else 0


def _device(name: str) -> str:
    """Return the session's device where this computer has it, else "auto"."""
    from napari_segany.engine.device import available_devices

    return name if name in available_devices() else "auto"


def _check_output(path: Path | None) -> None:
    """Refuse before the work what could not be written after it."""
    if path is None:
        return
    if path.suffix.lower() not in _TIFF:
        raise ValueError(f"the output {path} has an unknown ending; allowed are .tif and .tiff")
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(f"the output {path} cannot be written; choose another file or folder")
