"""How well masks from an encoder in bfloat16 agree with those of float32, on the processor.

Same images, same grid of clicks, same weights. `light` has its own weights; those of ViT-B and TinyViT are random
where no file of weights is given, which says how far rounding carries, not how good the masks are. We ask for a mean
IoU of 0.995.

    python benchmarks/bfloat16_quality.py FOLDER                             # 12 images, minutes
    python benchmarks/bfloat16_quality.py FOLDER --images 2 --models light
    python benchmarks/bfloat16_quality.py FOLDER --models vit_b=vit_b.pth
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mask_agreement import agreement, masks_of, read_picture
from speed import lively

from napari_segany.engine.precision import PrecisionWarning, bfloat16_gain
from napari_segany.engine.predictor import Predictor
from napari_segany.model import Sam, build_sam

MODELS = ("light", "vit_b", "vit_t")
GOAL = 0.995


def main() -> None:
    """Print a table with a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder of PNG or TIFF images, also of folders of them")
    parser.add_argument("--images", type=int, default=12, help="how many, spread over the folder (default: 12)")
    parser.add_argument(
        "--models", nargs="+", metavar="NAME[=FILE]", default=MODELS, help=f"of {', '.join(MODELS)} (default: all)"
    )
    arguments = parser.parse_args()
    images = [read_picture(path) for path in _pictures(parser, arguments)]
    print(f"bfloat16 products are {bfloat16_gain('cpu'):.1f} times as fast as float32 here. Images: {len(images)}\n")
    print("| model | weights | masks | mean IoU | lowest | mean of best | lowest of best | same choice | enough |")
    print("|---|---|---|---|---|---|---|---|---|")
    for given in arguments.models:
        name, _, file = given.partition("=")
        print(_line(name, file, images), flush=True)


def _pictures(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[Path]:
    """Return some images of a folder, as far apart in it as can be; labels are none."""
    found = [path for path in sorted(arguments.folder.rglob("*.*")) if "labels" not in path.parts]
    found = [path for path in found if path.suffix.lower() in (".png", ".tif", ".tiff")]
    if not found or arguments.images < 1:
        parser.error(f"there are {len(found)} PNG or TIFF images in {arguments.folder}, and --images is at least 1")
    chosen = np.linspace(0, len(found) - 1, min(arguments.images, len(found))).round().astype(int)
    return [found[number] for number in chosen]


def _line(name: str, file: str, images: Sequence[np.ndarray]) -> str:
    sam, weights = _model(name, file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrecisionWarning)  # the gain is printed, and speed is not asked for
        short = Predictor(sam, device="cpu", precision="bfloat16")
    exact = Predictor(sam, device="cpu")
    found, expected = ([masks_of(asked, image) for image in images] for asked in (short, exact))
    row = agreement(found, expected)
    return (
        f"| {name} | {weights} | {row['masks']:,} | {row['mean_iou']:.4f} | {row['lowest']:.3f} | "
        f"{row['mean_iou_of_best']:.4f} | {row['lowest_of_best']:.3f} | {row['same_choice']:.1%} | "
        f"{'yes' if row['mean_iou'] >= GOAL else 'no'} |"
    )


def _model(name: str, file: str) -> tuple[Sam, str]:
    if file:
        return build_sam(name, file).requires_grad_(False), Path(file).name
    if name == "light":
        return Predictor(name, device="cpu").sam.requires_grad_(False), "its own"
    torch.manual_seed(0)
    return lively(build_sam(name)).eval().requires_grad_(False), "random"


if __name__ == "__main__":
    main()
