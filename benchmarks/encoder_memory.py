"""How much memory encoding one image takes on top of the model, at its peak.

Each model runs in a process of its own with random weights; a small image is encoded first, so that what the
libraries take for themselves is part of the base. Printed is by how much the highest resident memory of the process
then rises when the whole input of 1024 x 1024 px is encoded.

    python benchmarks/encoder_memory.py vit_t vit_b
"""

from __future__ import annotations

import argparse
import multiprocessing

import published
import torch
from automatic_memory import highest_resident

from napari_segany.model import build_sam

SIDE = 1024
WAYS = ("published", "float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["vit_t", "vit_b"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    print("| encoder | way | peak above the model, MiB |\n|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for model in arguments.models:
            for way in WAYS:
                print(
                    f"| {model} | {way} | {pool.apply(measured, (model, way, arguments.threads)):.0f} |", flush=True
                )


@torch.inference_mode()
def measured(model: str, way: str, threads: int) -> float:
    """Return the rise of the peak in MiB."""
    torch.set_num_threads(threads)
    sam = build_sam(model)
    products = torch.bfloat16 if way == "bfloat16" else None
    sam.encode(torch.zeros(1, 3, 64, 64), products=products)
    x = torch.randn(1, 3, SIDE, SIDE)
    before = highest_resident()
    if way == "published":
        plain = published.encode_tiny_vit if model == "vit_t" else published.encode_vit
        plain(sam.image_encoder, x)
    else:
        sam.encode(x, products=products)
    return highest_resident() - before


if __name__ == "__main__":
    main()
