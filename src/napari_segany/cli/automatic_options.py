"""The options of "segment everything": a preset, and each of SAM's own parameters over it. Imports no torch."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from napari_segany.engine.automatic_presets import PRESETS, default_preset, preset
from napari_segany.engine.automatic_settings import RANKINGS, AutomaticSettings

_HELP: dict[str, tuple[str, str]] = {
    "points_per_side": ("N", "points along each side of the grid that is asked: more find smaller objects"),
    "points_per_batch": ("N", "points that go through the decoder at once: fewer take less memory"),
    "pred_iou_thresh": ("X", "drop masks whose predicted IoU is not above it; 0 keeps all"),
    "stability_score_thresh": ("X", "drop masks whose stability score is below it; 0 keeps all"),
    "stability_score_offset": ("X", "logits by which the mask is raised and lowered for its stability score"),
    "box_nms_thresh": ("X", "of two masks whose boxes overlap by more than this IoU the better one stays"),
    "crop_n_layers": ("N", "layers of crops that are looked at by themselves; layer i has 2**i along each side"),
    "crop_nms_thresh": ("X", "the same for masks of different crops, where that of the smaller crop stays"),
    "crop_overlap_ratio": ("X", "overlap of the crops, as a fraction of the image's shorter side"),
    "crop_n_points_downscale_factor": ("N", "each layer has this factor fewer points along a side"),
    "point_grids": ("JSON", "a file with own points for each layer: [[[row, col], ...], ...] as fractions, 0 to 1"),
    "min_mask_region_area": ("PIXELS", "fill holes and drop islands of fewer pixels"),
    "max_mask_area_fraction": ("X", "drop masks of this part of the image or more; 'none' keeps them"),
    "ranking": ("", "which of two masks is the better one"),
}


def add_automatic_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that are not given are None."""
    group = parser.add_argument_group("what is asked and kept (the names are SAM's own)")
    names = ", ".join(f"{item.name} ({item.title.lower()})" for item in PRESETS)
    group.add_argument(
        "--preset", metavar="NAME", choices=[item.name for item in PRESETS],
        help=f"settings to begin with: {names} (default: light with that model, else {PRESETS[0].name})",
    )  # fmt: skip
    default = AutomaticSettings()
    for field in fields(AutomaticSettings):
        metavar, text = _HELP[field.name]
        value = getattr(default, field.name)
        shown = (
            ""
            if value is None
            else f" (natural: {value:.3g})"
            if isinstance(value, float)
            else f" (natural: {value})"
        )
        option = f"--{field.name.replace('_', '-')}"
        if field.name == "ranking":
            group.add_argument(option, choices=RANKINGS, help=text + shown)
        else:
            group.add_argument(option, metavar=metavar, type=_reader(field.name, value), help=text + shown)


def automatic_settings(args: argparse.Namespace) -> AutomaticSettings:
    """Return the preset with what was given by name.

    Raises
    ------
    ValueError
        For a value out of its range, or a file of points that is damaged.
    OSError
        For a file of points that cannot be read.
    """
    given = {field.name: getattr(args, field.name) for field in fields(AutomaticSettings)}
    changes = {name: value for name, value in given.items() if value is not None}
    if isinstance(changes.get("max_mask_area_fraction"), _Nothing):
        changes["max_mask_area_fraction"] = None
    if "point_grids" in changes:
        changes["point_grids"] = _read_grids(changes["point_grids"])
    model = getattr(args, "model", None) or "light"
    begun = default_preset(model) if args.preset is None else preset(args.preset)
    return begun.settings.replaced(**changes)


class _Nothing:
    """What "none" stands for, where None stands for an option that is not given."""


def _reader(name: str, default: Any) -> Callable[[str], Any]:
    if name == "point_grids":
        return Path
    if name == "max_mask_area_fraction":
        return _fraction_or_none
    return int if isinstance(default, int) else float


def _fraction_or_none(text: str) -> float | _Nothing:
    if text.lower() == "none":
        return _Nothing()
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'none'") from None


def _read_grids(path: Path) -> tuple[Any, ...]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is no JSON file; it holds one list of points [row, col] for each layer") from None
    if not isinstance(values, list) or not all(isinstance(grid, list) for grid in values):
        raise ValueError(f"{path} does not hold one list of points [row, col] for each layer")
    return tuple(values)
