"""Words as prompts from nothing: a small CLIP and a small SAM learn drawn shapes, and words are tried on unseen ones.

    python scripts/words_on_shapes.py --output words_run          # a quarter of an hour on one core

The SAM sees no word while it learns: its prompts are pictures of the objects. Writes `scores.md`, the table of
docs/words.md, and the picture docs/images/words_on_shapes.png.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tqdm import tqdm

from napari_segany.engine.clip import Clip
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.evaluation.metrics import intersection_over_union, mean_interval
from napari_segany.evaluation.points import center_point
from napari_segany.evaluation.words import WordSummary, summarise_words, word_score
from napari_segany.model import PyramidConfig, SamConfig, build_sam, save_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.small_clip import named_pictures, small_clip, teach_clip_steps
from napari_segany.training.synthetic.named_shapes import NAMES, NamedImage
from napari_segany.training.trainer import train

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "words_on_shapes.png"
SHAPE = SamConfig(
    image_size=64,
    encoder=PyramidConfig(widths=(16, 24, 48, 64), depths=(1, 1, 2, 1), fine_channels=(16, 32)),
    embed_dim=64,
    decoder_num_heads=4,
    decoder_mlp_dim=128,
    iou_head_hidden_dim=64,
)
TRAINING = TrainingConfig(
    batch_size=8, crop_size=64, masks_per_image=4, rounds=2, text_share=0.8, box_share=0.2, light_share=0.0,
    scale_jitter=(0.85, 1.15), procedural_share=0.0, validation_share=0.0, learning_rate=4e-3, warmup_steps=30,
    schedule="cosine", focal_weight=4.0, ema_decay=0.98, loss_stride=2, picture_every=0, checkpoint_every=200,
)  # fmt: skip


def main() -> None:
    """Teach, measure, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--clip-steps", type=int, default=900)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--images", type=int, default=200, help="unseen images to measure on")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder = args.output / "clip"
    if not folder.is_dir():
        small_clip(" ".join(NAMES).split(), folder)
        pictures, names = named_pictures([NamedImage(1, number) for number in range(1200)])
        watched(teach_clip_steps(folder, pictures, names, steps=args.clip_steps))
    start = args.output / "start.safetensors"
    torch.manual_seed(0)
    save_sam(build_sam(SHAPE), start, dtype=None)
    config = replace(TRAINING, steps=args.steps, text_model=str(folder))
    images = [NamedImage(2, number) for number in range(600)]
    result = watched(train(config, images, args.output / "run", init=start, device="cpu", resume=True))
    predictor, clip = Predictor(result.weights, device="cpu"), Clip(str(folder))
    unseen = [NamedImage(3, number) for number in range(args.images)]
    (args.output / "scores.md").write_text(table(predictor, clip, unseen), encoding="utf-8")
    print((args.output / "scores.md").read_text(encoding="utf-8"))
    picture(predictor, clip, unseen[:6]).save(PICTURE)


def watched(steps: Steps):
    """Run to the end with a bar."""
    bar = tqdm(mininterval=10)

    def show(progress: Progress) -> None:
        bar.total = progress.total or None
        bar.set_description_str(progress.note, refresh=False)
        bar.update(progress.done - bar.n)

    try:
        return drain(steps, show)
    finally:
        bar.close()


def table(predictor: Predictor, clip: Clip, images: list[NamedImage]) -> str:
    """Return the scores as a table, with 95 % intervals over images."""
    scenes = [image.objects() for image in images]
    clicks = [np.array([center_point(mask) for mask in masks], float) for _, masks, _ in scenes]
    of_each = [word_score(predictor, clip, *scene) for scene in scenes]
    words = summarise_words(of_each)
    twins = [len({name.split()[1] for name in names}) < len(names) for _, _, names in scenes]
    alike = summarise_words([one for one, has in zip(of_each, twins, strict=True) if has])
    apart = summarise_words([one for one, has in zip(of_each, twins, strict=True) if not has])
    pairs = zip(scenes, clicks, strict=True)
    both = summarise_words([word_score(predictor, clip, *scene, points=points) for scene, points in pairs])
    alone = mean_interval(
        [_click_iou(predictor, *scene[:2], points) for scene, points in zip(scenes, clicks, strict=True)]
    )
    objects = sum(len(masks) for _, masks, _ in scenes)
    lines = [
        f"{len(images)} unseen images with {objects} shapes of {len(NAMES)} names; mean over images [95 % interval].",
        "",
        "| prompt | IoU with the object that it names | IoU of the same words with the other objects | "
        "names that find their own object | by chance |",
        "|---|---|---|---|---|",
        _row("its name", words),
        _row(f"the same, in the {len(twins) - sum(twins)} images where no two shapes have one colour", apart),
        _row(f"the same, in the {sum(twins)} others", alike),
        _row("its name and a click on it", both),
        f"| a click alone | {alone.mean:.3f} [{alone.low:.3f}, {alone.high:.3f}] | | | |",
        "",
        f"Right minus wrong words: {words.gain.mean:.3f} [{words.gain.low:.3f}, {words.gain.high:.3f}].",
        f"By colour alone {_by_colour(scenes):.3f} of the names in those others would find their own object.",
        f"The small CLIP names {_named(clip, images):.0%} of the shapes by their pictures.",
    ]
    return "\n".join(lines) + "\n"


def _row(prompt: str, found: WordSummary) -> str:
    cells = [f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in (found.right, found.wrong, found.found)]
    return f"| {prompt} | {' | '.join(cells)} | {found.chance:.3f} |"


def _click_iou(predictor: Predictor, image: np.ndarray, masks: np.ndarray, points: np.ndarray) -> float:
    answer = predictor.predict(predictor.encode(image), points=points[:, None], multimask=False)
    return float(intersection_over_union(answer.masks[:, 0], masks).mean())


def _by_colour(scenes: list[tuple[np.ndarray, np.ndarray, tuple[str, ...]]]) -> float:
    """Return how often a name finds its own shape by its colour, in images with two of one colour; mean over them."""
    shares = []
    for _, _, names in scenes:
        colours = [name.split()[1] for name in names]
        if len(set(colours)) < len(colours):
            shares.append(np.mean([1 / colours.count(colour) for colour in colours]))
    return float(np.mean(shares))


def _named(clip: Clip, images: list[NamedImage]) -> float:
    """Return how often the name nearest to a shape's picture is its own: what words can reach at best."""
    pictures, names = named_pictures(images, seed=7)
    nearest = (clip.pictures(list(pictures)) @ clip.words(NAMES).T).argmax(axis=1)
    return float(np.mean([NAMES[number] == name for number, name in zip(nearest, names, strict=True)]))


def picture(predictor: Predictor, clip: Clip, images: list[NamedImage], side: int = 192) -> Image.Image:
    """Draw each image with the masks that two of its names give."""
    columns = []
    for one in images:
        image, _, names = one.objects()
        embedding = predictor.encode(image)
        tiles = [_tile(image, None, "", side)]
        for name in names[:2]:
            (mask,) = predictor.predict(embedding, text=clip.words([name])[0]).masks
            tiles.append(_tile(image, mask, name, side))
        columns.append(np.concatenate(tiles, axis=0))
    return Image.fromarray(np.concatenate(columns, axis=1)).quantize(128, dither=Image.Dither.NONE)


def _tile(image: np.ndarray, mask: np.ndarray | None, name: str, side: int) -> np.ndarray:
    shown = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    if mask is not None:
        where = Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST)
        dimmed = shown.point(lambda value: value * 0.3)
        shown = Image.composite(shown, dimmed, where)
        ImageDraw.Draw(shown).text((6, 4), name, fill=(255, 255, 255), font_size=15)
    return np.pad(np.asarray(shown), ((2, 2), (2, 2), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
