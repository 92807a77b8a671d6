"""What was annotated as a data set: SA-1B's layout, COCO and YOLO, with a data set card. Knows no model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_segany import __version__
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.masks import STAGES, EngineMask
from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.atomic import replacing
from napari_segany.formats.coco import CocoObject, writing_coco
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.formats.yolo import YoloObject, write_yolo_labels

SA1B_FOLDER = "sa_000000"
_MARK = ".segany_data_set"
"""An empty file by which a folder is known as a data set of ours, so that it may be written anew."""
_PER_IMAGE_MEAN = "masks per image (mean)"
_NUMBERED = re.compile(r"sa_([0-9]+)\.(?:jpg|json|txt)")


@dataclass(frozen=True)
class CardFacts:
    """What a person knows of the data set.

    Attributes
    ----------
    name : str
        Of the data set.
    source : str
        Where the images are from.
    licence : str
        Under which they, and the masks, may be used.
    """

    name: str
    source: str = "not stated"
    licence: str = "not stated: ask before you use it"


def export_steps(engine: DataEngine, names: Sequence[str], output: Path, facts: CardFacts) -> Steps[Path]:
    """Write images and masks as a data set.

    `sa_000000/` is in SA-1B's layout, images as JPEG of eight bits, and each mask's origin in the image's
    `provenance`; `coco.json` names the same images, and `yolo/` has the masks as outlines beside copies of them.

    Parameters
    ----------
    engine : DataEngine
        The images and masks.
    names : sequence of str
        Which images.
    output : pathlib.Path
        The folder: a new or empty one, or that of an earlier data set, which is replaced with all its images.
    facts : CardFacts
        For the card.

    Yields
    ------
    Progress
        In images.

    Returns
    -------
    pathlib.Path
        The card, README.md.

    Raises
    ------
    ValueError, OSError
        For an image that cannot be read, a folder with somebody else's files, or one that cannot be written.
    """
    if not names:
        raise ValueError("there is nothing to export: no image is done")
    _claim(output, engine)
    sa1b, yolo = output / SA1B_FOLDER, output / "yolo"
    for folder in (sa1b, yolo / "images", yolo / "labels"):
        folder.mkdir(parents=True, exist_ok=True)
    with writing_coco(output / "coco.json") as coco:
        for number, name in enumerate(names, 1):
            yield Progress(number - 1, len(names), name)
            pixels, masks = as_bytes(engine.read_image(name)), engine.masks(name)
            size = (pixels.shape[0], pixels.shape[1])
            file_name = f"sa_{number}.jpg"
            for folder in (sa1b, yolo / "images"):
                with replacing(folder / file_name) as temporary:
                    Image.fromarray(pixels).save(temporary, format="JPEG", quality=95)
            records = [one.record for one in masks]
            extra = {"source_file": engine.path(name).name, "provenance": _provenance(masks)}
            write_sa1b(
                sa1b / f"sa_{number}.json", records, file_name=file_name, size=size, image_id=number, extra=extra
            )
            coco.add(f"{SA1B_FOLDER}/{file_name}", size, [CocoObject(one) for one in records])
            write_yolo_labels(yolo / "labels" / f"sa_{number}.txt", [YoloObject(one) for one in records])
    for folder in (sa1b, yolo / "images", yolo / "labels"):
        _remove_beyond(folder, len(names))
    (yolo / "data.yaml").write_text("path: .\ntrain: images\nval: images\nnames:\n  0: object\n", encoding="utf-8")
    card = output / "README.md"
    card.write_text(data_set_card(engine, names, facts), encoding="utf-8")
    yield Progress(len(names), len(names), "The data set is written")
    return card


def _claim(output: Path, engine: DataEngine) -> None:
    """Make the folder one of ours; refuse one that holds anything of somebody else."""
    if output.resolve() in (engine.images.resolve(), engine.work.resolve()):
        raise ValueError(f"{output} holds the images or their records; choose a new or empty folder for the data set")
    mark = output / _MARK
    if output.is_dir() and not mark.exists():
        files = sorted(path.name for path in output.iterdir() if not path.name.startswith("."))
        if files:
            raise ValueError(
                f"{output} holds {files[0]}, which no data set of the data engine wrote; choose a new or empty folder"
            )
    output.mkdir(parents=True, exist_ok=True)
    mark.touch()


def _remove_beyond(folder: Path, count: int) -> None:
    """Remove images of an earlier data set, with their masks, that had more of them."""
    for path in folder.iterdir():
        found = _NUMBERED.fullmatch(path.name)
        if found is not None and int(found[1]) > count:
            path.unlink(missing_ok=True)


def data_set_card(engine: DataEngine, names: Sequence[str], facts: CardFacts) -> str:
    """Return what is in the data set, in Markdown."""
    masks = [one for name in names for one in engine.masks(name)]
    by_weights = Counter((one.origin.model or "no model", one.origin.weights or "-") for one in masks)
    rows = {
        "images": len(names),
        "masks": len(masks),
        _PER_IMAGE_MEAN: f"{len(masks) / len(names):.1f}",
        "source of the images": facts.source,
        "licence": facts.licence,
        "made with": f"napari-segany {__version__}",
    }
    by_stage = {stage: [one for one in masks if one.origin.stage == stage] for stage in STAGES}
    stages = {stage: _stage_row(own) for stage, own in by_stage.items() if own}
    models = "\n".join(f"| {model} | {weights} | {count} |" for (model, weights), count in sorted(by_weights.items()))
    return (
        f"# {facts.name}\n\n{_table(rows)}\n\n"
        "| stage | masks | seconds of a person per mask | clicks per mask |\n|---|---:|---:|---:|\n"
        + "\n".join(f"| {stage} | {row} |" for stage, row in stages.items())
        + f"\n\n| model | weights (hash) | masks |\n|---|---|---:|\n{models}\n\n"
        f"`{SA1B_FOLDER}/` has each image beside a JSON of its masks in SA-1B's layout; `provenance` in it tells of\n"
        "each mask, by its `id`, the stage, a person's seconds and clicks, the prompt, the model, and the hash of\n"
        "its weights. `coco.json` and `yolo/` hold the same masks. Images were brought to eight bits.\n"
    )


def as_bytes(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return an image as JPEG holds it, (H, W) or (H, W, 3) of eight bits; others are mapped by percentiles."""
    pixels = checked_image(image)
    pixels = pixels[..., :3] if pixels.ndim == 3 else pixels
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    low, high = default_limits(pixels)
    scaled = np.nan_to_num((pixels.astype(np.float64) - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.round(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def _provenance(masks: Sequence[EngineMask]) -> list[dict[str, object]]:
    return [
        {"id": number, **asdict(one.origin), "prompt": dict(one.record.prompt)} for number, one in enumerate(masks, 1)
    ]


def _stage_row(masks: Sequence[EngineMask]) -> str:
    seconds = np.mean([one.origin.seconds for one in masks])
    clicks = np.mean([one.origin.clicks for one in masks])
    return f"{len(masks)} | {seconds:.1f} | {clicks:.1f}"


def _table(rows: Mapping[str, object]) -> str:
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows.items())
