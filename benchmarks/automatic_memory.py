"""How much memory segmenting everything takes on top of the model, against the size of the image as float32.

The image is drawn: discs of many sizes on a gradient. The model first segments a small image, so that what its
encoder and decoder take for themselves is part of the base; what is printed is by how much the highest resident
memory of the process rises above that when the large image comes, in the modes that keep only the good masks
(`generate`) and every answer (`candidate_steps`). Each mode runs in a process of its own.

    python benchmarks/automatic_memory.py                             # 4096 x 4096, 32 x 32 points, light
    python benchmarks/automatic_memory.py --side 2048 --points 16 --model path/to/checkpoint.safetensors
    python benchmarks/automatic_memory.py --model random:vit_t        # a model of 1024 pixels

With random weights the decoder does its work, and then discs of three sizes around the point take the place of its
masks, which would be noise.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import time
from typing import Any

import numpy as np
import torch

from napari_segany import AutomaticMaskGenerator, Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import ImageDecoder, build_sam

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=4096, help="pixels along each side of the image")
    parser.add_argument("--points", type=int, default=32, help="points along each side")
    parser.add_argument("--model", default="light")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pred-iou-thresh", type=float, default=0.88)
    parser.add_argument("--stability-score-thresh", type=float, default=0.95)
    arguments = parser.parse_args()
    one_image = arguments.side**2 * 4 / MIB
    print(f"one float32 image of {arguments.side} x {arguments.side}: {one_image:.0f} MiB")
    print("| mode | masks | held by the answers, MiB | peak above the model, MiB | float32 images | seconds |")
    print("|---|---|---|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for mode in ("generate", "candidate_steps"):
            count, held, peak, seconds = pool.apply(measured, (mode, arguments))
            print(f"| {mode} | {count} | {held:.0f} | {peak:.0f} | {peak / one_image:.2f} | {seconds:.0f} |")


def measured(mode: str, arguments: argparse.Namespace) -> tuple[int, float, float, float]:
    """Return the number of masks, what they hold and the rise of the peak in MiB, and seconds."""
    predictor = random_predictor(arguments) if arguments.model.startswith("random:") else None
    predictor = predictor or Predictor(arguments.model, device=arguments.device)
    drain(AutomaticMaskGenerator(predictor, points_per_side=8).candidate_steps(discs(512)))
    image = discs(arguments.side)
    generator = AutomaticMaskGenerator(
        predictor,
        points_per_side=arguments.points,
        pred_iou_thresh=arguments.pred_iou_thresh,
        stability_score_thresh=arguments.stability_score_thresh,
    )
    before, start = highest_resident(), time.perf_counter()
    if mode == "generate":
        records = generator.generate(image)
        count, held = len(records), sum(record.rle.counts.nbytes for record in records) / MIB
    else:
        candidates = drain(generator.candidate_steps(image))
        count, held = len(candidates), candidates.nbytes / MIB
    return count, held, highest_resident() - before, time.perf_counter() - start


def random_predictor(arguments: argparse.Namespace) -> Predictor:
    """Return a model with random weights whose masks are discs of three sizes around the point."""
    torch.manual_seed(0)
    sam = build_sam(arguments.model.removeprefix("random:"))
    answer = ImageDecoder.decode_likely

    def with_discs(self: ImageDecoder, points: torch.Tensor, labels: torch.Tensor, **more: Any) -> Any:
        logits, iou, good = answer(self, points, labels, **{**more, "least_iou": -math.inf})
        side = logits.shape[-1]
        cells = torch.arange(side) * 4 + 1.5
        away = torch.hypot(cells[:, None] - points[:, 0, 1, None, None], cells - points[:, 0, 0, None, None])
        radii = torch.tensor([12.0, 30.0, 80.0])[: iou.shape[1]]
        drawn = (radii[None, :, None, None] - away[:, None]).clamp(-8, 8).flatten(0, 1)
        iou = torch.tensor([0.7, 0.95, 0.9])[: iou.shape[1]].repeat(len(iou), 1)
        good = iou > more["least_iou"]
        return drawn[good.flatten()], iou, good

    ImageDecoder.decode_likely = with_discs  # type: ignore[method-assign]
    return Predictor(sam, device=arguments.device)


def discs(side: int) -> np.ndarray:
    """Return a (side, side) uint8 image of discs on a gradient."""
    random = np.random.default_rng(0)
    image = np.tile(np.linspace(30, 120, side).astype(np.uint8), (side, 1))
    for row, col, radius, grey in random.random((120, 4)):
        reach = int(side * (0.005 + 0.06 * radius**3))
        top, left = int(row * (side - 2 * reach)), int(col * (side - 2 * reach))
        span = np.arange(-reach, reach)
        inside = span[:, None] ** 2 + span**2 < reach**2
        image[top : top + 2 * reach, left : left + 2 * reach][inside] = int(140 + 100 * grey)
    return image


def highest_resident() -> float:
    """Return the highest resident memory of this process so far, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


if __name__ == "__main__":
    main()
