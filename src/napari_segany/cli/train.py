"""`segany train`: from annotated images to weights. Imports torch only when it runs."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from napari_segany.cli.clip_option import add_download_option, load_clip

if TYPE_CHECKING:
    from napari_segany.engine.progress import Progress
    from napari_segany.training.config import TrainingConfig
    from napari_segany.training.trainer import TrainingResult
    from napari_segany.training.validation import ValidationResult

NAME = "train"
HELP = "Train a model, or fine-tune one on your own annotated images."
EXAMPLE = "segany train --init light --data annotated/ -o runs/mine"

_REFRESH_SECONDS = 1.0
_REFRESH_SECONDS_IN_A_LOG = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--data", metavar="PLACE", type=Path,
        help="a folder with images/ and labels/, a folder of images with a JSON of masks beside each (SA-1B), a COCO "
        "file, or a folder of such folders; not needed for drawn scenes alone",
    )  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", type=Path, help="where the images of a COCO file are")
    parser.add_argument(
        "--init", metavar="NAME|PATH", help="the model to start from: see `segany models`, or a checkpoint file"
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, required=True, help="where the run writes")
    parser.add_argument(
        "--config", metavar="FILE", type=Path,
        help="TOML or JSON with the knobs of TrainingConfig; with --init and without this, knobs that suit "
        "fine-tuning of that model",
    )  # fmt: skip
    parser.add_argument(
        "--set", metavar="KNOB=VALUE", dest="knobs", action="append", default=[],
        help="a knob that differs, such as steps=500 or trainable=lora; may be given several times",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    add_download_option(parser)
    parser.add_argument("--provenance", default="", help="data, licences and attribution, stored with the weights")
    naming = parser.add_mutually_exclusive_group()
    naming.add_argument(
        "--name", help="what the finished model is called in napari and by --model (default: the name of --output)"
    )
    naming.add_argument("--no-register", action="store_true", help="do not offer the finished model by name")


def run(args: argparse.Namespace) -> int:
    """Train with a progress bar, register the model and print where it is and how good."""
    from napari_segany.engine.progress import drain
    from napari_segany.training.checkpointing import CHECKPOINT_NAME
    from napari_segany.training.sources import find_images
    from napari_segany.training.trainer import train

    name = None if args.no_register else args.name or _name_of(args.output)
    if name is not None:
        _rehearse(name)
    config = _config(args)
    images = find_images(args.data, args.images) if args.data else []
    clip = load_clip(config.text_model, args.device, download=args.text_download) if config.text_share else None
    steps = train(
        config,
        images,
        args.output,
        init=args.init,
        resume=args.resume,
        device=args.device,
        provenance=args.provenance,
        clip=clip,
    )
    bars = _Bars()
    try:
        result = drain(steps, bars.show)
    except KeyboardInterrupt:
        bars.close()
        can_go_on = (args.output / CHECKPOINT_NAME).is_file()
        told = f"the same command with --resume goes on from {args.output}" if can_go_on else "before the first step"
        print(f"interrupted: {told}", file=sys.stderr)
        raise
    finally:
        bars.close()
    if _is_follower():
        return 0
    print(result.weights)
    _print_quality(result)
    if name is not None:
        _register(name, result.weights)
    return 0


def _is_follower() -> bool:
    """Whether another process of torchrun's writes the weights, which it does when the others have ended."""
    return int(os.environ.get("RANK", "0")) > 0


def _config(args: argparse.Namespace) -> TrainingConfig:
    """Return the knobs: of the file, of the run that goes on, or those that suit; then what --set says."""
    from napari_segany.training.config import TrainingConfig, read_config
    from napari_segany.training.trainer import CONFIG_NAME

    before, knobs = args.output / CONFIG_NAME, _knobs(args.knobs)
    if args.config is not None:
        config = read_config(args.config)
    elif args.resume and before.is_file():
        config = read_config(before)
    elif args.resume and args.init is None:
        raise ValueError(
            f"{args.output} holds no run to go on from; begin it with the command of the run (--init NAME, or "
            "--config FILE for random weights)"
        )
    elif args.init is not None:
        from napari_segany.engine.loaded_model import load_model
        from napari_segany.training.fine_tuning import fine_tuning_config

        config = fine_tuning_config(load_model(args.init, None)[1].config, knobs.get("trainable"))
    else:
        config = TrainingConfig()
    return TrainingConfig.from_dict({**config.to_dict(), **knobs})


def _knobs(texts: Sequence[str]) -> dict[str, Any]:
    """Read KNOB=VALUE as lines of TOML, where words need no quotes."""
    knobs: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"--set {text} is not KNOB=VALUE, as in --set steps=500")
        try:
            knobs[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            knobs[name.strip()] = value.strip()
    return knobs


def _name_of(output: Path) -> str:
    """Return a model's name made of a folder's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", output.resolve().name).lstrip("_.-")[:64] or "trained"


def _rehearse(name: str) -> None:
    """Refuse a name that the registry would refuse when the training is over."""
    from napari_segany.engine.weights import register_user_model

    with TemporaryDirectory() as folder:
        stand_in = Path(folder) / "weights.safetensors"
        stand_in.touch()
        register_user_model(name, stand_in, folder)


def _register(name: str, weights: Path) -> None:
    """Let napari and the other commands offer the model by its name, and say so."""
    from napari_segany.engine.user_models import read_user_models
    from napari_segany.engine.weights import register_user_model, weights_folder
    from napari_segany.model import load_sam
    from napari_segany.training.network import preset_name

    before = read_user_models(weights_folder()).get(name)
    entry = register_user_model(
        name, weights, architecture=preset_name(load_sam(weights).config), description="Trained with segany train."
    )
    print(f"napari and the commands now offer it as {name!r}")
    if before is not None and before.file_name != entry.file_name:
        print(f"(that name meant {before.file_name} before)")


def _print_quality(result: TrainingResult) -> None:
    if result.validation is None:
        return
    now, before = result.validation, result.before
    print(
        f"best at step {result.step}, on images kept from training: IoU {now.click:.3f} after one click, "
        f"best of three {now.oracle:.3f}, box {now.box:.3f}{_asked_in_words(now)}"
    )
    if before is not None:
        print(
            f"before the training: {before.click:.3f} after one click, best of three {before.oracle:.3f}, "
            f"box {before.box:.3f}{_asked_in_words(before)}"
        )


def _asked_in_words(result: ValidationResult) -> str:
    return "" if result.text is None else f", by the object's picture, as by words, {result.text:.3f}"


class _Bars:
    """Two bars on stderr: the run's steps with the remaining time, and below it what else takes a while."""

    def __init__(self) -> None:
        # In a log nobody watches, a line every half minute is enough.
        self._interval = _REFRESH_SECONDS if sys.stderr.isatty() else _REFRESH_SECONDS_IN_A_LOG
        self._steps: tqdm[Any] | None = None
        self._other: tqdm[Any] | None = None

    def show(self, progress: Progress) -> None:
        """Move the bar that a progress belongs to, or print a remark above the bars."""
        from napari_segany.training.reports import Remark, TrainingStep

        if isinstance(progress, Remark):
            with tqdm.external_write_mode(sys.stderr):
                print(f"segany train: note: {progress.note}", file=sys.stderr)
        elif isinstance(progress, TrainingStep):
            self._close_other()
            self._step(progress)
        else:
            self._beside(progress)

    def close(self) -> None:
        """Leave the bars as they are."""
        self._close_other()
        if self._steps is not None:
            self._steps.close()
            self._steps = None

    def _step(self, progress: Progress) -> None:
        if self._steps is None:
            # The mean speed since the start counts validations in, which the last steps' would not.
            self._steps = self._open(progress, "step", initial=progress.done - 1, smoothing=0)
        self._steps.set_description_str(progress.note, refresh=False)
        self._steps.update(progress.done - self._steps.n)

    def _beside(self, progress: Progress) -> None:
        if self._other is None or self._other.desc != progress.note:
            self._close_other()
            self._other = self._open(progress, "image", leave=False, delay=self._interval)
            self._other.set_description_str(progress.note, refresh=False)
        self._other.update(progress.done - self._other.n)

    def _open(self, progress: Progress, unit: str, **more: Any) -> tqdm[Any]:
        return tqdm(
            total=progress.total or None,
            unit=unit,
            file=sys.stderr,
            mininterval=self._interval,
            maxinterval=self._interval,
            dynamic_ncols=True,
            **more,
        )

    def _close_other(self) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None
