"""What a user of a GPU meets: encoding and clicking, masks in bfloat16, and the memory that fine-tuning takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from gpu_bench import Bench, Row, Task
from gpu_clock import MIB, tensor_float
from mask_agreement import Answers, agreement, masks_of, read_picture

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.predictor import Predictor

_MOST_IMAGES = 12
_STEPS, _SMALLEST_SCENE = 4, 256


def predictor(bench: Bench) -> Iterator[Task]:
    """Measure what `Predictor` takes, from numpy to numpy, by a clock that waits for every answer."""
    side = bench.sizes.side
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    _, usual, _ = bench.sizes.prompts
    points = np.random.default_rng(1).uniform(0, side - 1, (usual, 1, 2))
    for name in ("vit_b", "light"):
        sam = bench.sam(name)
        short, asked = (Predictor(sam, device=bench.device, precision=name) for name in ("bfloat16", "float32"))
        embedding = asked.encode(image)
        yield f"{name}, float32, encode an image", lambda p=asked: _wall(bench, lambda: p.encode(image))
        yield f"{name}, bfloat16, encode an image", lambda p=short: _wall(bench, lambda: p.encode(image))
        yield f"{name}, one click, three masks", lambda p=asked, e=embedding: _clicked(bench, p, e, points[0])
        away = embedding.to("cpu")
        yield (
            f"{name}, one click, the embedding fetched anew from the processor",
            lambda p=asked, e=away: _wall(bench, lambda: p.predict(replace(e), points=points[0])),
        )
        yield (
            f"{name}, {usual} clicks in one call, three masks each",
            lambda p=asked, e=embedding: _wall(bench, lambda: p.predict(e, points=points), usual),
        )
        yield (
            f"{name}, {usual} clicks one by one, three masks each",
            lambda p=asked, e=embedding: _wall(bench, lambda: [p.predict(e, points=one) for one in points], usual),
        )


def _wall(bench: Bench, work: Callable[[], object], count: int = 1) -> Row:
    memory = bench.clock.peak(work)
    timing = bench.clock.time(work, wall=True)
    return {
        "ms": timing.ms,
        "low": timing.low,
        "high": timing.high,
        "per_second": 1e3 * count / timing.ms,
        "peak_mib": memory,
    }


def _clicked(bench: Bench, asked: Predictor, embedding: ImageEmbedding, point: np.ndarray) -> Row:
    row = _wall(bench, lambda: asked.predict(embedding, points=point))
    return {**row, "embedding_on": str(embedding.features.device), "embedding_mib": embedding.nbytes / MIB}


def quality(bench: Bench) -> Iterator[Task]:
    """Compare masks of shorter types with those of float32: same image, same points, same weights, token by token."""
    files = sorted(bench.images.glob("*.png"))[:_MOST_IMAGES] if bench.images else []
    if not files:
        raise ValueError("there are no PNG files to compare masks on; name their folder with --images")
    images = [read_picture(path) for path in files]
    for name in ("light", "vit_b"):
        sam = bench.sam(name)
        exact = Predictor(sam, device=bench.device)
        short = Predictor(sam, device=bench.device, precision="bfloat16")
        expected = [masks_of(exact, image) for image in images]

        def masks_in_tf32(image: np.ndarray, exact: Predictor = exact) -> Answers:
            with tensor_float(True):
                return masks_of(exact, image)

        def masks_all_short(image: np.ndarray, short: Predictor = short) -> Answers:
            return masks_of(short, image, torch.autocast(bench.device.type, torch.bfloat16))

        ways: dict[str, Callable[[np.ndarray], Answers]] = {
            "bfloat16 encoder, as precision='bfloat16'": lambda image, short=short: masks_of(short, image),
            "bfloat16 encoder and decoder": masks_all_short,
            "TF32": masks_in_tf32,
        }
        for label, way in ways.items():
            yield f"{name}, {label}", lambda way=way, e=expected: agreement([way(image) for image in images], e)


def training(bench: Bench) -> Iterator[Task]:
    """Take some steps of fine-tuning ViT-B with the knobs of `segany train --init vit_b_lm`, on drawn scenes."""
    yield "LoRA", lambda: _trained(bench, "lora", "float32")
    yield "mask decoder alone (the default)", lambda: _trained(bench, "decoder", "float32")
    yield "LoRA, bfloat16", lambda: _trained(bench, "lora", "bfloat16")


def _trained(bench: Bench, trainable: str, precision: str) -> Row:
    from napari_segany.training.augment import make_crop
    from napari_segany.training.fine_tuning import fine_tuning_config
    from napari_segany.training.gradients import train_step
    from napari_segany.training.network import start_network
    from napari_segany.training.optimizer import build_optimizer, start_average
    from napari_segany.training.synthetic.leaves import dead_leaves

    config = replace(fine_tuning_config(bench.sizes.shape, trainable), precision=precision)
    bench.clock.tidy()
    before = torch.cuda.memory_allocated(bench.device) if bench.clock.is_cuda else 0
    # Random weights: the shape is given, and none are loaded.
    sam = start_network(config, shape=bench.sizes.shape).to(bench.device)
    average = start_average(sam)
    optimizer = build_optimizer(sam, config)
    rng = np.random.default_rng(0)
    scene = dead_leaves(max(bench.sizes.side, _SMALLEST_SCENE), rng)
    crops = [make_crop(scene, config, sam.config, rng) for _ in range(config.batch_size)]
    if bench.clock.is_cuda:
        torch.cuda.reset_peak_memory_stats(bench.device)
    seconds = []
    for step in range(_STEPS):
        start = time.perf_counter()
        train_step(sam, crops, config, optimizer, step)
        bench.clock.wait()
        seconds.append(time.perf_counter() - start)
        if bench.left < 0:
            break
    row = {
        "seconds_a_step": statistics.median(seconds[1:] or seconds),
        "first_step_seconds": seconds[0],
        "steps": len(seconds),
        "batch_size": config.batch_size,
        "accumulation": config.accumulation,
        "crop_size": config.crop_size,
        "objects": [len(crop.masks) for crop in crops],
        "average_tensors": len(average),
    }
    if bench.clock.is_cuda:
        row |= {
            "peak_gib": torch.cuda.max_memory_allocated(bench.device) / 2**30,
            "reserved_gib": torch.cuda.max_memory_reserved(bench.device) / 2**30,
            "before_gib": before / 2**30,
        }
    return row
