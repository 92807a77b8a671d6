"""What a GPU offers beyond the package: the encoder as one recorded graph, and compiled blocks that have to pay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from gpu_bench import Bench, Row, Task
from gpu_encoders import Encode
from timing import relative
from torch import Tensor

from napari_segany.model.image_encoder import Block, ImageEncoderViT, window_partition, window_unpartition
from napari_segany.model.relative_positions import resize_grid

# Seconds of the run that compiling may need.
_ENOUGH_TO_COMPILE = 15.0


def graphs(bench: Bench) -> Iterator[Task]:
    """Replay the launches of an encoder as one, in which the processor has no part: a CUDA graph."""
    if not bench.clock.is_cuda:
        raise ValueError("graphs are recorded on CUDA alone")
    for name in ("vit_b", "vit_t", "light"):
        sam = bench.sam(name)
        x = torch.randn(1, 3, bench.sizes.side, bench.sizes.side, device=bench.device)

        def exact(x: Tensor, sam=sam) -> Tensor:
            return sam.encode(x).embedding

        def short(x: Tensor, sam=sam) -> Tensor:
            return sam.encode(x, products=torch.bfloat16).embedding

        yield f"{name}, float32", lambda encode=exact, x=x: _recorded(bench, encode, x)
        yield f"{name}, bfloat16", lambda encode=short, x=x: _recorded(bench, encode, x)


@torch.inference_mode()
def _recorded(bench: Bench, encode: Encode, x: Tensor) -> Row:
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            expected = encode(x)
    torch.cuda.current_stream().wait_stream(beside)
    before = bench.clock.time(lambda: encode(x))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = encode(x)
    after = bench.clock.time(graph.replay)
    return {
        **_gain(before.ms, after.ms),
        "low": after.low,
        "high": after.high,
        "difference": relative(found, expected),
    }


def compiled(bench: Bench) -> Iterator[Task]:
    """Compile the blocks of ViT-B, which come in two kinds."""
    encoder = bench.sam("vit_b").image_encoder
    x = torch.randn(1, 3, bench.sizes.side, bench.sizes.side, device=bench.device)
    yield "vit_b, bfloat16, compiled blocks", lambda: _compiled(bench, encoder, x)


def _compiled(bench: Bench, encoder: ImageEncoderViT, x: Tensor) -> Row:
    """Measure a bfloat16 encoder before and after compiling; the time for that is of the first call."""
    from torch._dynamo.utils import counters

    if bench.left < _ENOUGH_TO_COMPILE:
        raise TimeoutError(f"{bench.left:.0f} s are not enough to compile")
    torch.compiler.reset()
    counters.clear()
    quick = torch.compile(whole_block, dynamic=False)

    def plain() -> Tensor:
        return encode_by(encoder, x, whole_block)

    def compiled_blocks() -> Tensor:
        return encode_by(encoder, x, quick)

    with torch.no_grad(), torch.autocast(bench.device.type, torch.bfloat16):
        expected = plain()
        before = bench.clock.time(plain)
        start = time.perf_counter()
        found = compiled_blocks()
        bench.clock.wait()
        seconds = time.perf_counter() - start
        after = bench.clock.time(compiled_blocks)
        memory = bench.clock.peak(compiled_blocks)
    gain = before.ms - after.ms
    return {
        **_gain(before.ms, after.ms),
        "low": after.low,
        "high": after.high,
        "peak_mib": memory,
        "compile_seconds": seconds,
        "pays_after_images": 1e3 * seconds / gain if gain > 0 else None,
        "graphs": counters["stats"]["unique_graphs"],
        "difference": relative(found, expected),
    }


def _gain(before: float, after: float) -> Row:
    return {"ms_before": before, "ms": after, "gain": before / after}


def encode_by(encoder: ImageEncoderViT, x: Tensor, block_of: Callable[[Block, Tensor], Tensor]) -> Tensor:
    """Encode with another function for the blocks."""
    x = encoder.patch_embed(x)
    x = x + resize_grid(encoder.pos_embed, (x.shape[1], x.shape[2]))
    for block in encoder.blocks:
        x = block_of(block, x)
    embedding: Tensor = encoder.neck(x.permute(0, 3, 1, 2))
    return embedding


def whole_block(block: Block, x: Tensor) -> Tensor:
    """Return what a block of the ViT makes of (B, h, w, C), without stops on the way."""
    attended = block.norm1(x)
    if block.window_size:
        windows, padded = window_partition(attended, block.window_size)
        attended = window_unpartition(block.attn(windows), block.window_size, padded, (x.shape[1], x.shape[2]))
    else:
        attended = block.attn(attended)
    x = x + attended
    changed: Tensor = x + block.mlp(block.norm2(x))
    return changed
