"""Segmenting everything beside the published order of operations, with the same weights, in one run.

1200 x 1800 pixels, 32 x 32 points, TinyViT. The weights are random, so the threshold of the predicted IoU is set such
that a share of the masks stays, and when the decoder has done its work, discs of four sizes around the point take the
place of its masks, which would be noise. Both ways get the same discs, the time of drawing them counts for neither,
and their results are compared mask by mask. In bfloat16, where the processor has it, only our encoder computes so.

    python benchmarks/everything.py                     # one round: some minutes
    python benchmarks/everything.py --points 16 --rounds 3
    python benchmarks/everything.py --processor-time    # while other programs run
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import published
import torch
from speed import lively
from timing import duration, interval
from torch import Tensor
from torch.nn import functional as F

from napari_segany import AutomaticMaskGenerator, Predictor
from napari_segany.engine.box_suppression import suppress
from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.image import model_input
from napari_segany.engine.precision import products_of
from napari_segany.engine.precision_names import AUTO, BFLOAT16, FLOAT32
from napari_segany.formats.record import MaskRecord
from napari_segany.model import ImageDecoder, ImageFeatures, Sam, build_sam
from napari_segany.model.tiny_vit import TinyViT

SHAPE, BATCH, GOOD_IOU = (1200, 1800), 64, 0.5
PUBLISHED = "published"
RADII = (6.0, 12.0, 30.0, 80.0)  # in cells of the masks, four pixels of the model's input each
Draw = Callable[[Tensor, int, int], Tensor]  # `discs`
Found = list[tuple[list[int], float, list[int]]]  # box x0, y0, x1, y1; predicted IoU; run lengths by columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vit_t", choices=("vit_t", "vit_b"))
    parser.add_argument("--points", type=int, default=32, help="points along each side")
    parser.add_argument("--kept", type=float, default=0.3, help="share of masks with a good predicted IoU")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--processor-time", action="store_true", help="for a busy machine, with one thread")
    arguments = parser.parse_args()
    threads = 1 if arguments.processor_time else arguments.threads
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    sam = lively(build_sam(arguments.model)).eval()
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    with torch.inference_mode():
        predictor = Predictor(sam, device="cpu")
        centre_iou(sam, predictor.encode(image), arguments)
        clock = Stopwatch(time.process_time if arguments.processor_time else time.perf_counter)
        draw = clock.paused(discs)
        ImageDecoder.decode_likely = with_discs(ImageDecoder.decode_likely, draw)  # type: ignore[method-assign]
        precisions = [FLOAT32] if products_of(AUTO, torch.device("cpu")) is None else [FLOAT32, BFLOAT16]
        times: dict[str, list[float]] = {name: [] for name in (PUBLISHED, *precisions)}
        found: dict[str, list[MaskRecord]] = {}
        for _ in range(arguments.rounds):
            start = clock.now()
            plain = published_everything(sam, image, arguments.points, draw)
            times[PUBLISHED].append(clock.now() - start)
            for precision in precisions:
                predictor = Predictor(sam, device="cpu", precision=precision)
                generator = AutomaticMaskGenerator(
                    predictor, points_per_side=arguments.points, pred_iou_thresh=GOOD_IOU
                )
                start = clock.now()
                found[precision] = generator.generate(image)
                times[precision].append(clock.now() - start)
    grid_size = f"{arguments.points} x {arguments.points} points"
    print(f"{arguments.model}, {SHAPE} pixels, {grid_size}, {threads} thread(s), {arguments.rounds} round(s)")
    print(f"published order, float32: {duration(np.median(times[PUBLISHED]))}")
    for precision in precisions:
        ratios = np.divide(times[PUBLISHED], times[precision])
        low, high = interval(ratios.tolist())
        ratio = f"{np.median(ratios):.1f}x ({low:.1f} to {high:.1f})"
        same = compared(plain, found[precision])
        print(f"here, {precision}: {duration(np.median(times[precision]))}, {ratio}; {same}")


class Stopwatch:
    """A clock that stands still while what is not to count runs."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._paused = clock, 0.0

    def now(self) -> float:
        """Return seconds, without those of what was `paused`."""
        return self._clock() - self._paused

    def paused(self, function: Draw) -> Draw:
        """Return a function whose time does not count."""

        def timed(*arguments) -> Tensor:
            start = self._clock()
            result = function(*arguments)
            self._paused += self._clock() - start
            return result

        return timed


def centre_iou(sam: Sam, embedding: ImageEmbedding, arguments: argparse.Namespace) -> None:
    """Shift the predicted IoU of all masks such that the chosen share of them exceeds `GOOD_IOU`."""
    decoder = ImageDecoder(sam, ImageFeatures(embedding.features))
    parts = grid(arguments.points, embedding.input_shape).split(8)
    answers = [decoder.decode(points=part, labels=torch.ones(len(part), 1), multimask=True)[1] for part in parts]
    values = torch.cat(answers).flatten().sort().values
    place = int((1 - arguments.kept) * len(values))
    sam.mask_decoder.iou_prediction_head.layers[-1].bias += GOOD_IOU - (values[place - 1] + values[place]) / 2


def grid(count: int, input_shape: tuple[int, int]) -> Tensor:
    """Return (N, 1, 2) x, y of a grid of points in pixels of the model's input."""
    steps = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    rows, cols = torch.meshgrid(steps * input_shape[0], steps * input_shape[1], indexing="ij")
    return torch.stack([cols.flatten(), rows.flatten()], dim=-1)[:, None].float()


def discs(points: Tensor, channels: int, side: int) -> Tensor:
    """Return (B, C, side, side) logits of discs around points (B, 1, 2), of a size that point and channel decide."""
    cells = torch.arange(side) * 4 + 1.5
    x, y = points[:, 0, 0], points[:, 0, 1]
    away = torch.hypot(cells[:, None] - y[:, None, None], cells - x[:, None, None]) / 4
    numbers = (x.round().long() // 8 + y.round().long() // 8)[:, None] + torch.arange(channels)
    radii = torch.tensor(RADII)[numbers % len(RADII)]
    return (4 * (radii[..., None, None] - away[:, None])).clamp(-12, 12)


def with_discs(answered, draw: Draw):
    """Return `ImageDecoder.decode_likely` with discs in the place of the masks that it has drawn."""

    def likely(self: ImageDecoder, points: Tensor, labels: Tensor, **more):
        logits, iou, good = answered(self, points, labels, **more)
        pairs = zip(points, good, strict=True)
        drawn = [draw(point[None], iou.shape[1], logits.shape[-1])[0][kept] for point, kept in pairs]
        return torch.cat(drawn), iou, good

    return likely


def published_everything(sam: Sam, image: np.ndarray, side: int, draw: Draw) -> Found:
    """Segment everything in the published order: every mask at the size of the image, filters, run lengths."""
    prepared = model_input(image, sam.config.image_size)
    pixels = sam.preprocess(torch.from_numpy(prepared.pixels).permute(2, 0, 1)[None])
    encode = published.encode_tiny_vit if isinstance(sam.image_encoder, TinyViT) else published.encode_vit
    features = encode(sam.image_encoder, pixels)
    boxes, scores, runs = [], [], []
    for points in grid(side, prepared.shape).split(BATCH):
        sparse, dense = sam.prompt_encoder((points, torch.ones(len(points), 1)), None, None)
        logits, iou = published.decode(sam.mask_decoder, features, sam.prompt_encoder.get_dense_pe(), sparse, dense)
        logits, iou = draw(points, logits.shape[1], logits.shape[-1]).flatten(0, 1), iou.flatten()
        full = upscaled(logits, prepared.shape, prepared.image_shape)
        good = iou > GOOD_IOU
        full, iou = full[good], iou[good]
        inner = (full > 1.0).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
        outer = (full > -1.0).sum(-1, dtype=torch.int16).sum(-1, dtype=torch.int32)
        stable = inner / outer >= 0.95
        masks, iou = full[stable] > 0, iou[stable]
        boxes.append(published.boxes_of(masks))
        scores.append(iou)
        runs += run_lengths(masks)
    every, score = torch.cat(boxes).numpy(), torch.cat(scores).numpy()
    small = [sum(run[1::2]) < 0.95 * image.shape[0] * image.shape[1] for run in runs]
    half_open = every[:, [1, 0, 3, 2]] + np.array([0, 0, 1, 1])
    chosen = suppress(half_open[small], score[small], 0.7)
    numbers = np.flatnonzero(small)[chosen]
    return [(every[number].tolist(), float(score[number]), runs[number]) for number in numbers]


def upscaled(logits: Tensor, input_shape: tuple[int, int], image_shape: Sequence[int]) -> Tensor:
    """Return (N, H, W) logits at the size of the image."""
    side = 4 * logits.shape[-1]
    full = F.interpolate(logits[:, None], (side, side), mode="bilinear", align_corners=False)
    full = full[..., : input_shape[0], : input_shape[1]]
    return F.interpolate(full, tuple(image_shape), mode="bilinear", align_corners=False)[:, 0]


def run_lengths(masks: Tensor) -> list[list[int]]:
    """Return the run lengths of (N, H, W) masks, column after column, the first of them background."""
    count, height, width = masks.shape
    flat = masks.permute(0, 2, 1).flatten(1)
    changes = (flat[:, 1:] ^ flat[:, :-1]).nonzero()
    found = []
    for number in range(count):
        places = changes[changes[:, 0] == number, 1] + 1
        edges = torch.cat([torch.zeros(1, dtype=torch.long), places, torch.tensor([height * width])])
        lengths = (edges[1:] - edges[:-1]).tolist()
        found.append(lengths if not flat[number, 0] else [0, *lengths])
    return found


def compared(plain: Found, ours: Sequence[MaskRecord]) -> str:
    """Say how far the two results agree, in their order."""
    same = len(plain) == len(ours)
    pairs = list(zip(plain, ours, strict=False))
    boxes = sum([box[1], box[0], box[3] + 1, box[2] + 1] == list(record.bbox) for (box, _, _), record in pairs)
    pixels = max((difference(runs, record) for (_, _, runs), record in pairs), default=0)
    return (
        f"{len(plain)} masks and {len(ours)} ({'the same number' if same else 'NOT the same'}), boxes equal in "
        f"{boxes}, at most {pixels} of {SHAPE[0] * SHAPE[1]} pixels different in a mask"
    )


def difference(runs: list[int], record: MaskRecord) -> int:
    """Return how many pixels of two masks differ."""
    values = np.arange(len(runs)) % 2 == 1
    mask = np.repeat(values, runs).reshape(SHAPE[::-1]).T
    return int(np.count_nonzero(mask != record.rle.decode()))


if __name__ == "__main__":
    main()
