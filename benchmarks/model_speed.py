"""How long one image embedding and one click take with each model, side by side in one run.

Times do not depend on the values of the weights, so the published architectures are built with random ones and
nothing is downloaded. Every round measures each model once, in turn, so that the load of the machine falls on all
alike; medians over the rounds, and ratios to ViT-B, are printed as a Markdown table.

    python benchmarks/model_speed.py                      # light, vit_t and vit_b, three rounds
    python benchmarks/model_speed.py vit_l vit_h --rounds 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from napari_segany.engine.predictor import Predictor
from napari_segany.model import build_sam

CLICK = [(512.0, 700.0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["light", "vit_t", "vit_b"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clicks", type=int, default=5, help="clicks per round; their median counts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    image = np.random.default_rng(0).integers(0, 256, (1024, 1400, 3), dtype=np.uint8)
    seconds: dict[str, dict[str, list[float]]] = {name: {"image": [], "click": []} for name in arguments.models}
    parameters = {}
    for _ in range(arguments.rounds):
        for name in arguments.models:
            predictor = Predictor(build_sam(name), device=arguments.device)
            parameters[name] = sum(parameter.numel() for parameter in predictor.sam.parameters())
            embedding, elapsed = timed(lambda p=predictor: p.encode(image))
            seconds[name]["image"].append(elapsed)
            clicks = [
                timed(lambda p=predictor, e=embedding: p.predict(e, points=CLICK, labels=[1]))[1]
                for _ in range(arguments.clicks)
            ]
            seconds[name]["click"].append(statistics.median(clicks))
    print_table(seconds, parameters, arguments)


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """Return the result of `work` and the seconds it took."""
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result, time.perf_counter() - start


def print_table(
    seconds: dict[str, dict[str, list[float]]], parameters: dict[str, int], arguments: argparse.Namespace
) -> None:
    """Print medians and the ratios to ViT-B of the same run."""
    medians = {
        name: {kind: statistics.median(values) for kind, values in kinds.items()} for name, kinds in seconds.items()
    }
    reference = medians.get("vit_b")
    threads = torch.get_num_threads()
    print(f"image 1024 x 1400, {arguments.device}, {threads} threads, {arguments.rounds} rounds, medians\n")
    print("| model | parameters | embedding | click | embedding / ViT-B | click / ViT-B |")
    print("|---|---|---|---|---|---|")
    for name, kinds in medians.items():
        ratios = [f"{kinds[kind] / reference[kind]:.3f}" if reference else "" for kind in ("image", "click")]
        print(
            f"| {name} | {parameters[name] / 1e6:.1f} M | {kinds['image']:.2f} s | {1e3 * kinds['click']:.0f} ms "
            f"| {ratios[0]} | {ratios[1]} |"
        )


if __name__ == "__main__":
    main()
