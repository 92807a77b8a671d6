"""What the device can do at its best, and how far from it the image encoders are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import published
import torch
from gpu_bench import Bench, Row, Task, measured, operations_of, size_of
from gpu_clock import tensor_float
from timing import relative
from torch import Tensor

from napari_segany.model import image_encoder

Encode = Callable[[Tensor], Tensor]


def ceilings(bench: Bench) -> Iterator[Task]:
    """Measure large matrix products, a large copy, and the smallest thing a device can be asked for."""
    yield "bfloat16", lambda: _product(bench, torch.bfloat16)
    yield "float32", lambda: _product(bench, torch.float32)
    yield "tf32", lambda: _rounded_product(bench)
    yield "bandwidth", lambda: _copy(bench)
    yield "smallest kernel", lambda: _smallest(bench)


def _product(bench: Bench, dtype: torch.dtype) -> Row:
    side = bench.sizes.matrix
    a, b = (torch.randn(side, side, device=bench.device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    timing = bench.clock.time(lambda: torch.mm(a, b, out=out))
    return {"ms": timing.ms, "low": timing.low, "high": timing.high, "per_second": 2e3 * side**3 / timing.ms}


def _rounded_product(bench: Bench) -> Row:
    with tensor_float(True):
        return _product(bench, torch.float32)


def _copy(bench: Bench) -> Row:
    source = torch.zeros(bench.sizes.copied, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    timing = bench.clock.time(lambda: target.copy_(source))
    return {"ms": timing.ms, "low": timing.low, "high": timing.high, "per_second": 2e3 * source.numel() / timing.ms}


def _smallest(bench: Bench) -> Row:
    x = torch.zeros(1, device=bench.device)

    def hundred() -> None:
        for _ in range(100):
            x.add_(1)

    timing = bench.clock.time(hundred)
    return {"ms": timing.ms / 100, "low": timing.low / 100, "high": timing.high / 100, "per_second": 1e5 / timing.ms}


def encoders(bench: Bench) -> Iterator[Task]:
    """Compare ways through each image encoder on an input of the published size."""
    yield from _ways(bench, "vit_b", published.encode_vit)
    yield from _ways(bench, "vit_t", published.encode_tiny_vit)
    yield from _ways(bench, "light", _unfused)


def _ways(bench: Bench, name: str, plain: Callable[..., Tensor]) -> Iterator[Task]:
    sam, side = bench.sam(name), bench.sizes.side
    one = torch.randn(1, 3, side, side, device=bench.device)
    many = torch.randn(bench.sizes.batch, 3, side, side, device=bench.device)
    operations = operations_of(lambda: sam.encode(one))
    with torch.inference_mode():
        expected = plain(sam.image_encoder, one)

    def row(encode: Encode, x: Tensor, kind: str) -> Row:
        with torch.inference_mode():
            found = encode(x)
            least = size_of(*sam.image_encoder.parameters(), each=2 if kind == "bfloat16" else 4) + size_of(x, found)
            own = measured(
                bench,
                lambda: encode(x),
                kind=kind,
                operations=operations * len(x),
                least_bytes=least,
                count=len(x),
            )
        return {**own, "difference": relative(found, expected) if len(x) == 1 else None}

    def exact(x: Tensor) -> Tensor:
        return sam.encode(x).embedding

    def short(x: Tensor) -> Tensor:
        return sam.encode(x, products=torch.bfloat16).embedding

    def rounded(encode: Encode) -> Row:
        with tensor_float(True):
            return row(encode, one, "tf32")

    several = f"{len(many)} images"
    yield f"{name}, published order, float32", lambda: row(lambda x: plain(sam.image_encoder, x), one, "float32")
    yield f"{name}, here, float32", lambda: row(exact, one, "float32")
    yield f"{name}, here, TF32", lambda: rounded(exact)
    yield f"{name}, here, bfloat16", lambda: row(short, one, "bfloat16")
    yield f"{name}, here, bfloat16, {several}", lambda: row(short, many, "bfloat16")
    if isinstance(sam.image_encoder, image_encoder.ImageEncoderViT):
        products = f"{name}, attention in products"
        yield f"{products}, float32", lambda: _in_products(lambda: row(exact, one, "float32"))
        yield f"{products}, bfloat16", lambda: _in_products(lambda: row(short, one, "bfloat16"))
        yield f"{products}, bfloat16, {several}", lambda: _in_products(lambda: row(short, many, "bfloat16"))
        return
    sam.image_encoder.to(memory_format=torch.channels_last)
    ordered = many.contiguous(memory_format=torch.channels_last)
    first = one.contiguous(memory_format=torch.channels_last)
    yield f"{name}, here, float32, channels last", lambda: row(exact, first, "float32")
    yield f"{name}, here, bfloat16, channels last", lambda: row(short, first, "bfloat16")
    yield f"{name}, here, bfloat16, channels last, {several}", lambda: row(short, ordered, "bfloat16")


def _unfused(encoder: torch.nn.Module, x: Tensor) -> Tensor:
    """Encode as the definition does in training: normalisation of batches is a step of its own."""
    with torch.inference_mode(False), torch.enable_grad():  # no weight wants gradients, so that nothing is kept
        found: Tensor = encoder(x.clone())
    return found


def _in_products(measure: Callable[[], Row]) -> Row:
    with attention_in_products():
        return measure()


@contextmanager
def attention_in_products() -> Iterator[None]:
    """Compute the ViT's attention as in training: the package leaves it to torch's own kernels on CUDA."""
    chosen = image_encoder.attends_fused
    image_encoder.attends_fused = lambda *_, **__: False
    try:
        yield
    finally:
        image_encoder.attends_fused = chosen
