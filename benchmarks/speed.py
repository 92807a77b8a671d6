"""How fast the parts of the model are beside the published order of operations, with the same weights, in one run.

Times do not depend on the values of the weights, so they are random and nothing is downloaded. What is compared with
is `published.py`; every pair is measured in turn, and the largest difference of the results stands beside the ratio.

    python benchmarks/speed.py                              # every row, five rounds
    python benchmarks/speed.py decoder vit_b --rounds 3     # some rows
    python benchmarks/speed.py --processor-time             # while other programs run
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator

import numpy as np
import published
import torch
from timing import HEAD, Row, Stopwatch, compare

from napari_segany.engine.mask_statistics import statistics_steps
from napari_segany.engine.precision import bfloat16_gain
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.upsampling import Upsampling
from napari_segany.generators import drain
from napari_segany.model import ImageDecoder, ImageFeatures, Sam, build_sam

SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], default=[], metavar="row", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor-time", action="store_true", help="for a busy machine: seconds of the processor, with one thread"
    )
    arguments = parser.parse_args()
    threads = 1 if arguments.processor_time else arguments.threads
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clock = time.process_time if arguments.processor_time else time.perf_counter
    watch = Stopwatch(arguments.rounds, clock)
    kind = "processor" if arguments.processor_time else "elapsed"
    print(
        f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}, "
        f"{threads} thread(s), {arguments.rounds} rounds of {kind} time; "
        f"bfloat16 products are {bfloat16_gain('cpu'):.1f} times as fast as float32\n\n{HEAD}",
        flush=True,
    )
    for name in arguments.rows or ROWS:
        with torch.inference_mode():
            for row in ROWS[name](watch):
                print(row, flush=True)


def decoder_rows(watch: Stopwatch) -> Iterator[Row]:
    """Compare the mask decoder on 64 x 64 cells: one point, 64 points, and 64 points whose masks nobody wants."""
    sam = lively(build_sam("vit_t"))
    features = ImageFeatures(torch.randn(1, 256, 64, 64))
    ours = ImageDecoder(sam, features)
    for count, repeat in ((1, 10), (64, 1)):
        points, labels = torch.rand(count, 1, 2) * SIDE, torch.ones(count, 1)

        def plain(points=points, labels=labels):
            sparse, dense = sam.prompt_encoder((points, labels), None, None)
            return published.decode(
                sam.mask_decoder, features.embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense
            )

        def quick(points=points, labels=labels):
            return ours.decode(points=points, labels=labels, multimask=True)

        plural = "s" if count > 1 else ""
        yield compare(f"mask decoder, {count} point{plural}", plain, quick, watch, repeat=repeat)

    def likely():
        _, iou, _ = ours.decode_likely(points, labels, least_iou=float("inf"), input_shape=(SIDE, SIDE))
        return (iou,)

    yield compare("... all 64 rejected by their predicted IoU", lambda: plain()[1:], likely, watch)


def vit_b_rows(watch: Stopwatch) -> Iterator[Row]:
    yield from encoder_rows("ViT-B", build_sam("vit_b"), published.encode_vit, watch)


def vit_t_rows(watch: Stopwatch) -> Iterator[Row]:
    yield from encoder_rows("TinyViT", build_sam("vit_t"), published.encode_tiny_vit, watch)


def encoder_rows(name: str, sam: Sam, plain: Callable, watch: Stopwatch) -> Iterator[Row]:
    """Compare an image encoder at 1024 px, in float32 and in bfloat16."""
    lively(sam)
    x = torch.randn(1, 3, SIDE, SIDE)
    for label, products in (("float32", None), ("bfloat16", torch.bfloat16)):
        yield compare(
            f"{name} encoder, {label}",
            lambda: (plain(sam.image_encoder, x),),
            lambda products=products: (sam.encode(x, products=products).embedding,),
            watch,
        )


def light_rows(watch: Stopwatch) -> Iterator[Row]:
    """Compare `light` with ViT-B: encode, and click to three masks at 512 x 512; no difference, as models differ."""
    light, large = Predictor("light", device="cpu"), Predictor(build_sam("vit_b"), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    yield compare(
        "encode 512 x 512: published ViT-B, and light",
        lambda: (published.encode_vit(large.sam.image_encoder, torch.randn(1, 3, SIDE, SIDE)),),
        lambda: (light.encode(image).features,),
        watch,
        same=False,
    )
    sam, features = large.sam, ImageFeatures(torch.randn(1, 256, 64, 64))
    points, labels = torch.rand(1, 1, 2) * SIDE, torch.ones(1, 1)
    embedding = light.encode(image)

    def plain():
        sparse, dense = sam.prompt_encoder((points, labels), None, None)
        return published.decode(
            sam.mask_decoder, features.embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense
        )

    def click():
        light.predict(embedding, points=[(200, 300)], labels=[1])
        return ()

    yield compare("click to three masks: published decoder, and light", plain, click, watch, repeat=10, same=False)


def statistics_rows(watch: Stopwatch) -> Iterator[Row]:
    """Compare stability, box and area of masks at 1500 x 2250, of 48 masks, in seconds for 1,000."""
    image_shape, input_shape, count = (1500, 2250), (683, 1024), 48
    logits = blobs(count)
    upsampling = Upsampling((256, 256), input_shape, image_shape)

    def plain():
        stability, boxes, areas = published.mask_statistics(logits, input_shape, image_shape, 1.0)
        return stability, boxes, areas

    def ours():
        windows = [upsampling.window(low, -1.0) for low in logits.numpy()]
        found = drain(statistics_steps(upsampling, windows, 0.0, 1.0))
        boxes = [(item.box[1], item.box[0], item.box[3] - 1, item.box[2] - 1) for item in found]
        stability = torch.tensor([item.stability_score for item in found])
        return stability, torch.tensor(boxes), torch.tensor([item.area for item in found])

    row = compare("", plain, ours, watch, repeat=20)
    factor = 1000 / count
    name = "stability, box and area of 1,000 masks at 1500 x 2250"
    yield Row(name, factor * row.plain, factor * row.ours, row.ratio, row.interval, row.difference)


def blobs(count: int) -> torch.Tensor:
    """Return (count, 256, 256) logits of ellipses with a soft edge, as sizes of objects are: many small ones."""
    random = np.random.default_rng(0)
    rows, cols = np.mgrid[:256, :256]
    logits = []
    for row, col, first, second in random.random((count, 4)):
        distance = np.hypot((rows - 170 * row) / (4 + 60 * first**3), (cols - 256 * col) / (4 + 60 * second**3))
        logits.append(np.clip(8 * (1 - distance), -12, 12))
    return torch.from_numpy(np.stack(logits).astype(np.float32))


def lively(sam: Sam) -> Sam:
    """Change biases and normalisations from those of the beginning, which hide mistakes."""
    with torch.no_grad():
        for parameter in sam.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return sam


ROWS: dict[str, Callable[[Stopwatch], Iterator[Row]]] = {
    "decoder": decoder_rows,
    "vit_b": vit_b_rows,
    "vit_t": vit_t_rows,
    "light": light_rows,
    "statistics": statistics_rows,
}

if __name__ == "__main__":
    main()
