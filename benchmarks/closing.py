"""How long it takes until segmenting everything has stopped once it is closed, at random moments.

The work runs in a thread, as in napari, and is closed from another one: what is printed is the time until the thread
has stopped. Models have random weights, whose masks are noise: the slowest there are. As many closings come
while the image is encoded as while points are asked and masks are measured and written, and while a polygon is read.

    python benchmarks/closing.py vit_b vit_h --closings 12
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import torch

from napari_segany import AutomaticMaskGenerator, Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import build_sam

MANY = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "max_mask_area_fraction": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["vit_b", "vit_h"])
    parser.add_argument("--side", type=int, default=1024, help="pixels along each side of the image")
    parser.add_argument("--closings", type=int, default=12)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--longest", type=float, default=20.0, help="seconds up to which a run is let go on")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    random.seed(0)
    print(
        f"image of {arguments.side} x {arguments.side} pixels, {arguments.threads} threads, seconds until it stopped"
    )
    print("| model | while | closings | median | largest |\n|---|---|---|---|---|")
    for name in arguments.models:
        measure(name, arguments)


def measure(name: str, arguments: argparse.Namespace) -> None:
    """Close runs of one model, and print a line for each part of the work."""
    predictor = Predictor(build_sam(name), device="cpu")
    generator = AutomaticMaskGenerator(predictor, **MANY)
    image = np.random.default_rng(0).integers(0, 255, (arguments.side, arguments.side, 3), dtype=np.uint8)
    begin = time.perf_counter()
    embedding = drain(predictor.encode_steps(image, contrast_limits=(0, 255)))
    encoding = time.perf_counter() - begin
    most = arguments.side * np.array([[0.05, 0.05], [0.05, 0.95], [0.95, 0.95], [0.95, 0.05]])
    works = {
        "encoding": (lambda: generator.run(image), min(encoding, arguments.longest)),
        "reading a region": (lambda: generator.run(image, contrast_limits=(0, 255), region=most), 0.2),
        "asking": (lambda: generator.run(image, contrast_limits=(0, 255), embedding=embedding), arguments.longest),
    }
    for title, (start, longest) in works.items():
        times = sorted(closed_after(start(), random.uniform(0, longest)) for _ in range(arguments.closings // 2))
        print(f"| {name} | {title} | {len(times)} | {np.median(times):.2f} | {times[-1]:.2f} |", flush=True)


def closed_after(steps: Generator[Any, None, Any], seconds: float) -> float:
    """Run steps in a thread, stop them after some seconds, and return how long that took."""
    wanted = threading.Event()

    def work() -> None:
        for _ in steps:
            if wanted.is_set():
                steps.close()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(seconds)
    begin = time.perf_counter()
    wanted.set()
    thread.join()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
