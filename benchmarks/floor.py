"""Where the time goes on a processor, what the floor is, and how far away the parts of the model are.

The floor of a part is the arithmetic of its definition here, counted operation by operation, over the pace of a large
matrix product that is measured in the same run and in the same type. What a part takes is shared among kinds of
operations by torch's profiler, which slows small operations down; the milliseconds are measured without it.

    python benchmarks/floor.py                     # every part, all threads
    python benchmarks/floor.py light decoder --threads 1
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from speed import lively
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, register_flop_formula

from napari_segany.engine.precision import bfloat16_gain
from napari_segany.engine.predictor import Predictor
from napari_segany.model import ImageDecoder, ImageFeatures, Sam, build_sam
from napari_segany.model.convolution_gelu import joins_gelu
from napari_segany.model.fast_decoder import read_prompts
from napari_segany.model.image_decoder import groups
from napari_segany.model.mask_drawing import draw_masks
from napari_segany.model.shared_image import SharedImage, share_image
from napari_segany.model.side_by_side import side_by_side

SIDE, PROMPTS = 1024, 64
KINDS = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "convolution", "mkldnn", "conv2d", "linear"),
    "attention": ("scaled_dot_product",),
    "softmax": ("softmax", "exp", "amax", "maximum"),
    "normalisation": ("norm", "rsqrt"),
    "activation": ("gelu", "silu", "relu", "hardswish", "sigmoid"),
    "passes over memory": ("copy_", "cat", "add", "mul", "sub", "div", "fill", "sum", "pad", "to_copy", "clone"),
}
Work = Callable[[], object]


@dataclass(frozen=True)
class Part:
    """A part of a model.

    Attributes
    ----------
    name : str
        What it is.
    work : callable
        What is measured.
    kind : torch.dtype
        Of its products.
    count : int
        Of how many prompts or images `work` is.
    sample, sampled : callable and int
        Work on this thread alone, where counters and profilers look, and of how many; `work` itself by default.
    """

    name: str
    work: Work
    kind: torch.dtype = torch.float32
    count: int = 1
    sample: Work | None = None
    sampled: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[], metavar="part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    for name in ("addmm_", "baddbmm_"):  # in place; torch counts only those that are not
        count_like(name)
    count_joined_convolutions()
    peaks = {kind: product_pace(kind) for kind in types()}
    print(f"{arguments.threads} thread(s), {arguments.rounds} rounds; copies {copy_pace():.0f} GB/s")
    for kind, pace in peaks.items():
        print(f"products of 2048 x 2048 in {str(kind).removeprefix('torch.')}: {pace:.0f} GFLOP/s")
    print("\n| part | GFLOP | ms | floor, ms | share of the pace | " + " | ".join(KINDS) + " | other |")
    print("|---" * (len(KINDS) + 6) + "|")
    with torch.no_grad():  # inference mode would leave linear layers whole, which are not counted
        for name in arguments.parts or PARTS:
            for part in PARTS[name]():
                print(row(part, peaks[part.kind], arguments.rounds), flush=True)


def row(part: Part, pace: float, rounds: int) -> str:
    """Measure a part and return its line of the table, for one of its prompts or images."""
    sample = part.sample or part.work
    with FlopCounterMode(display=False) as counter:
        sample()
    gigaflop = counter.get_total_flops() / 1e9 / part.sampled
    ms = 1e3 * median_seconds(part.work, rounds) / part.count
    floor = 1e3 * gigaflop / pace
    shares = " | ".join(f"{100 * share:.0f} %" for share in shares_of(sample).values())
    return f"| {part.name} | {gigaflop:.2f} | {ms:.1f} | {floor:.1f} | {100 * floor / ms:.0f} % | {shares} |"


def shares_of(work: Work) -> dict[str, float]:
    """Return the share of each kind of operations, and of all others, in the time of some work."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        work()
    times = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in recorded.key_averages():
        name = event.key.removeprefix("aten::").lstrip("_")
        kind = next((kind for kind, starts in KINDS.items() if any(start in name for start in starts)), "other")
        times[kind] += event.self_cpu_time_total
    return {kind: seconds / sum(times.values()) for kind, seconds in times.items()}


def encoder_parts(name: str, model: str) -> Iterator[Part]:
    """Yield an encoder at 1024 x 1024 in the types that this processor has."""
    sam, x = lively(build_sam(model)).eval(), torch.randn(1, 3, SIDE, SIDE)
    for kind in types():
        products = None if kind is torch.float32 else kind
        label = f"{name} encoder, {str(kind).removeprefix('torch.')}"
        yield Part(label, lambda products=products: sam.encode(x, products=products), kind)


def decoder_parts() -> Iterator[Part]:
    """Yield the parts of the published mask decoder's fast path, for 64 points on 64 x 64 cells."""
    sam = lively(build_sam("vit_t")).eval()
    shared, tokens = on_an_image(sam)
    readings = [reading for group in groups(tokens) for reading in read_prompts(shared, group)]
    yield Part(
        "mask decoder to the predicted IoU, one of 64 points",
        lambda: side_by_side(lambda some: len(read_prompts(shared, some)), groups(tokens)),
        count=PROMPTS,
        sample=lambda: read_prompts(shared, groups(tokens)[0]),
        sampled=len(groups(tokens)[0]),
    )
    yield Part(
        "drawing three masks, one of 64 points",
        lambda: side_by_side(lambda reading: len(draw_masks(shared, reading, slice(1, 4))), readings),
        count=PROMPTS,
        sample=lambda: draw_masks(shared, readings[0], slice(1, 4)),
    )
    yield Part("what all points of an image share", lambda: share_image(shared.decoder, *images(sam)))


def light_parts() -> Iterator[Part]:
    """Yield the encoder of `light` at 512 x 512, and a click there."""
    sam, x = Predictor("light", device="cpu").sam, torch.randn(1, 3, SIDE // 2, SIDE // 2)
    yield Part("`light` encoder at 512 x 512", lambda: sam.encode(x))
    decoder = ImageDecoder(sam, sam.encode(x))
    points, labels = torch.tensor([[[200.0, 300.0]]]), torch.ones(1, 1)
    yield Part("`light`, click to three masks", lambda: decoder.decode(points=points, labels=labels, multimask=True))


def images(sam: Sam) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random image embedding with what stands for no mask, and the positions of its cells."""
    image = ImageFeatures(torch.randn(1, 256, 64, 64)).embedding
    return image + sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1), sam.prompt_encoder.get_dense_pe()


def on_an_image(sam: Sam) -> tuple[SharedImage, torch.Tensor]:
    """Return what prompts on a random image share, and the tokens of 64 points."""
    points = torch.rand(PROMPTS, 1, 2) * SIDE, torch.ones(PROMPTS, 1)
    return share_image(sam.mask_decoder, *images(sam)), sam.prompt_encoder.tokens(points, None, None, grid=(64, 64))


def types() -> tuple[torch.dtype, ...]:
    """Return the types in which products are worth while here."""
    return (torch.float32, torch.bfloat16) if bfloat16_gain("cpu") > 1.2 else (torch.float32,)


def product_pace(kind: torch.dtype, side: int = 2048) -> float:
    """Return the GFLOP/s of a product of square matrices, the best of some."""
    a, b = torch.randn(2, side, side, dtype=torch.float32).to(kind)
    return 2 * side**3 / 1e9 / min(seconds(lambda: a @ b) for _ in range(8))


def copy_pace(megabytes: int = 512) -> float:
    """Return the GB/s of a copy, reading and writing counted, the best of some."""
    a = torch.ones(megabytes * 2**18)
    b = torch.empty_like(a)
    return 2 * megabytes * 2**20 / 1e9 / min(seconds(lambda: b.copy_(a)) for _ in range(5))


def median_seconds(work: Work, rounds: int) -> float:
    """Return the median of some measurements."""
    return statistics.median(seconds(work) for _ in range(rounds))


def seconds(work: Work) -> float:
    """Return what one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def count_like(name: str) -> None:
    """Count the operations of an operator in place like those of the one that is not."""
    packet = getattr(torch.ops.aten, name)

    @register_flop_formula(packet)
    def formula(changed, first, second, *_, **__) -> int:
        return 2 * first[-2] * first[-1] * second[-1] * (first[0] if len(first) > 2 else 1)


def count_joined_convolutions() -> None:
    """Count the convolutions that apply GELU by themselves."""
    if not joins_gelu(torch.float32):
        return

    @register_flop_formula(torch.ops.mkldnn._convolution_pointwise)
    def formula(x, weight, *_, out_shape, **__) -> int:
        return conv_flop_count(x, weight, out_shape)


PARTS: dict[str, Callable[[], Iterator[Part]]] = {
    "vit_b": lambda: encoder_parts("ViT-B", "vit_b"),
    "vit_t": lambda: encoder_parts("TinyViT", "vit_t"),
    "light": light_parts,
    "decoder": decoder_parts,
}

if __name__ == "__main__":
    main()
