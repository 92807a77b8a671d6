"""The mask decoders on a GPU: one prompt, as many as a call of the predictor holds, and many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import published
import torch
from gpu_bench import Bench, Row, Task, measured, operations_of, size_of
from timing import relative
from torch import Tensor

from napari_segany.model import ImageDecoder, ImageFeatures, Sam
from napari_segany.model.fast_decoder import read_prompts
from napari_segany.model.mask_decoder import mask_choice
from napari_segany.model.mask_drawing import draw_masks
from napari_segany.model.shared_image import share_image

Answer = tuple[Tensor, Tensor]
Decode = Callable[[Tensor], Answer]
"""Points (B, 1, 2) to logits (B, 3, 4h, 4w) and predicted IoU (B, 3)."""


def decoders(bench: Bench) -> Iterator[Task]:
    """Compare ways through ViT-B's decoder, which the TinyViT has as well, and through that of `light`."""
    side = bench.sizes.side
    sam = bench.sam("vit_b")
    grid = side // 16
    features = ImageFeatures(torch.randn(1, 256, grid, grid, device=bench.device))
    yield from _ways(bench, "SAM's decoder", sam, features, _published(sam, features), _low_rank(sam, features))
    light = bench.sam("light")
    with torch.inference_mode():
        seen = light.encode(torch.randn(1, 3, side, side, device=bench.device))
    yield from _ways(bench, "light's decoder", light, seen, None, None)


def _ways(
    bench: Bench, name: str, sam: Sam, features: ImageFeatures, plain: Decode | None, low_rank: Decode | None
) -> Iterator[Task]:
    ready = ImageDecoder(sam, features)
    _, usual, most = bench.sizes.prompts

    def here(points: Tensor) -> Answer:
        return ready.decode(points=points, labels=points.new_ones(points.shape[:2]), multimask=True)

    def row(decode: Decode, count: int, kind: str = "float32", unit: int | None = None) -> Row:
        return _row(bench, sam, features, decode, count, kind, unit or count, plain or here)

    for count in bench.sizes.prompts:
        label = f"{name}, {count} prompt{'s' if count > 1 else ''}"
        if plain is not None:
            yield f"{label}, published order, float32", lambda n=count: row(plain, n)
        yield f"{label}, here, float32", lambda n=count: row(here, n)
        yield f"{label}, here, bfloat16", lambda n=count: row(here, n, "bfloat16")
        if low_rank is not None and count <= usual:
            yield f"{label}, low rank as on a processor, float32", lambda n=count: row(low_rank, n, unit=1)
    one_by_one, as_used = _in_parts(here, 1), _in_parts(here, usual)
    yield f"{name}, {usual} prompts one by one, here, float32", lambda: row(one_by_one, usual, unit=1)
    yield f"{name}, {most} prompts {usual} at a time, here, float32", lambda: row(as_used, most, unit=usual)


def _row(
    bench: Bench,
    sam: Sam,
    features: ImageFeatures,
    decode: Decode,
    count: int,
    kind: str,
    unit: int,
    reference: Decode,
) -> Row:
    """Measure a way; its arithmetic is counted on `unit` prompts, of which it is made up."""
    points = bench.sizes.side * torch.rand(count, 1, 2, device=bench.device)
    operations = count // unit * operations_of(lambda: decode(points[:unit]))
    autocast = torch.autocast(bench.device.type, torch.bfloat16, enabled=kind == "bfloat16")
    with torch.inference_mode():
        expected = reference(points)[0]
        with autocast:
            difference = relative(decode(points)[0], expected)
            least = size_of(*sam.mask_decoder.parameters(), each=2 if kind == "bfloat16" else 4)
            least += size_of(features.embedding, *features.high_resolution, expected)
            del expected
            own = measured(
                bench, lambda: decode(points), kind=kind, operations=operations, least_bytes=least, count=count
            )
    return {**own, "ms_per_prompt": own["ms"] / count, "difference": difference}


def _in_parts(decode: Decode, size: int) -> Decode:
    def answer(points: Tensor) -> Answer:
        parts = [decode(part) for part in points.split(size)]
        return torch.cat([logits for logits, _ in parts]), torch.cat([iou for _, iou in parts])

    return answer


def _published(sam: Sam, features: ImageFeatures) -> Decode:
    positions = sam.prompt_encoder.get_dense_pe()

    def answer(points: Tensor) -> Answer:
        sparse, dense = sam.prompt_encoder((points, points.new_ones(points.shape[:2])), None, None)
        return published.decode(sam.mask_decoder, features.embedding, positions, sparse, dense)

    return answer


def _low_rank(sam: Sam, features: ImageFeatures) -> Decode:
    """Return the way that the package takes on a processor alone, one prompt after the other."""
    grid = (features.embedding.shape[2], features.embedding.shape[3])
    with torch.inference_mode():
        image = features.embedding + sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)
        shared = share_image(sam.mask_decoder, image, sam.prompt_encoder.get_dense_pe(grid))
    chosen = mask_choice(multimask=True)

    def answer(points: Tensor) -> Answer:
        tokens = sam.prompt_encoder.tokens((points, points.new_ones(points.shape[:2])), None, None, grid=grid)
        readings = read_prompts(shared, tokens)
        logits = [draw_masks(shared, reading, chosen) for reading in readings]
        return torch.stack(logits), torch.stack([reading.iou[chosen] for reading in readings])

    return answer
