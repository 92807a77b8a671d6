"""Everything over tiles: the same objects as untiled, in bounded memory, and how time and memory grow with the image.

Three measurements, each of which goes on where it was interrupted (what is done is in the folder `--work`):

    python benchmarks/large_everything.py same --work OUT --images "bench/fluorescence_*/images/*.png" --count 6
    python benchmarks/large_everything.py same --work OUT --images "bench/*/images/*.png" --bright --tile 128
    python benchmarks/large_everything.py memory --work OUT --side 20000
    python benchmarks/large_everything.py growth --work OUT --sides 1024 2048 4096 8192 --plot growth.png

`same` compares label images untiled and by tiles. The model sees an untiled image smaller, which alone changes what
it finds; so the tiles are also compared with a part of a tile's size from the middle, which it sees as it sees a tile
but which lies across their edges: objects that are whole in it are to be found the same. What a model can do at best
tells the same part moved by up to 12 pixels, with no tiles at all; with `--bright` regions of brightness stand for
masks, which do not depend on what is around them.

`memory` and `growth` draw images of discs into a zarr, chunk by chunk, and print the highest resident memory of a
process that does nothing else. In `memory` the model does the first tile and bright regions stand for its masks in
the others, because what grows with the image is everything but the model; `growth` asks the model everywhere.
"""

from __future__ import annotations

import argparse
import csv
import glob
import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from automatic_memory import highest_resident
from scipy import ndimage
from skimage import filters

from napari_segany import AutomaticMaskGenerator, Predictor
from napari_segany.engine.automatic_presets import preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.model_source import LazyPredictor, LoadedModel, NamedModel
from napari_segany.engine.candidates import run_lengths_in_box
from napari_segany.engine.large.job import ImageAtHand, ImageAtPath
from napari_segany.engine.large.one_tile import Everything
from napari_segany.engine.large.run import ThisProcess, large_steps
from napari_segany.engine.progress import Progress, Steps, drain
from napari_segany.engine.tiling import TilingSettings, tile_plan
from napari_segany.formats.image_file import read_image
from napari_segany.formats.labels import to_labels
from napari_segany.formats.lazy_image import lazy_image
from napari_segany.formats.record import MaskRecord

CHUNK = 1024
_MOVED, _NEAR = 12, 8
LEAST_AREA = 30  # pixels of objects that are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("same", "memory", "growth"))
    parser.add_argument("--work", type=Path, required=True, help="folder for images, tiles and results")
    parser.add_argument("--model", default="light")
    parser.add_argument("--points", type=int, default=24, help="points along the side of the image (same) or a tile")
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--images", help="pattern of files, for same")
    parser.add_argument("--count", type=int, default=6, help="how many of them")
    parser.add_argument("--bright", action="store_true", help="same: bright regions in place of the model's masks")
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--plot", type=Path, help="picture of the growth")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    {"same": same, "memory": memory, "growth": growth}[arguments.what](arguments)


# ----------------------------------------------------------------------------- the same objects


def same(arguments: argparse.Namespace) -> None:
    """Compare untiled and tiled label images of files, and print a line for each and one for all."""
    if arguments.bright:
        paths = sorted(glob.glob(arguments.images))[: arguments.count]
        rows = [_bright(read_image(path), Path(path), arguments) for path in paths]
        counts = {key: sum(row[key] for row in rows) for key in list(rows[0])[2:]}
        share = f"{counts['untiled_090'] / counts['untiled']:.1%} matched at 0.9"
        print(f"{len(rows)} images, bright regions, tiles of {arguments.tile} px: {counts}; {share}")
        return
    predictor = Predictor(arguments.model)
    settings = preset("light").settings.replaced(points_per_side=arguments.points)
    done = _read(arguments.work / "same.csv")
    print(
        _header("image", "size", "tiled", "cut", "untiled", "at 0.9", "at 0.75", "in the middle", "at 0.9", "at 0.75")
    )
    for path in sorted(glob.glob(arguments.images))[: arguments.count]:
        name = Path(path).stem
        if name not in {row["name"] for row in done}:
            done.append(_compared(predictor, settings, Path(path), arguments))
            _write(arguments.work / "same.csv", done)
        row = next(row for row in done if row["name"] == name)
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    counts = {key: sum(int(row[key]) for row in done) for key in list(done[0])[2:]}
    print("| all | | " + " | ".join(str(value) for value in counts.values()) + " |")
    for of in ("untiled", "middle", "moved"):
        shares = ", ".join(f"{counts[f'{of}_{at}'] / max(1, counts[of]):.1%}" for at in ("090", "075"))
        print(f"{of}: matched at 0.9 and 0.75: {shares}")


def _bright(image: np.ndarray, path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare bright regions of the whole image and of its tiles, which do not depend on what is around them."""
    find = BrightRegions(None, float(filters.threshold_otsu(image)))
    settings, tiling = AutomaticSettings(), TilingSettings(arguments.tile, arguments.overlap)
    steps = large_steps(
        ImageAtHand(lazy_image(image)), f"{path.stem}_bright_{arguments.tile}", arguments.work / "same",
        NamedModel("light"), settings, tiling=tiling, contrast_limits=(0, 255), workers=ThisProcess(find),
    )  # fmt: skip
    tiled = zarr.open_group(drain(steps).labels, mode="r")["0"][:]
    untiled = to_labels(drain(find.steps(image, settings, (0, 255))), image.shape[:2])
    best = _best_overlaps(untiled, tiled)
    return {
        "name": f"{path.stem} {arguments.tile}",
        "size": f"{image.shape[0]} x {image.shape[1]}",
        "tiled": int(np.count_nonzero(np.bincount(tiled.ravel())[1:] >= LEAST_AREA)),
        "cut": _cut(tiled, tile_plan(image.shape[:2], arguments.tile, tiling)),
        "cut_by_chance": _cut(untiled, tile_plan(image.shape[:2], arguments.tile, tiling)),
        "untiled": len(best),
        "untiled_090": sum(overlap >= 0.9 for overlap in best),
        "untiled_075": sum(overlap >= 0.75 for overlap in best),
    }


def _compared(
    predictor: Predictor, settings: AutomaticSettings, path: Path, arguments: argparse.Namespace
) -> dict[str, Any]:
    image = read_image(path)
    shape, side = (image.shape[0], image.shape[1]), arguments.tile
    tiling = TilingSettings(side, arguments.overlap)
    steps = large_steps(
        ImageAtHand(lazy_image(image)), path.stem, arguments.work / "same", LoadedModel(predictor), settings,
        tiling=tiling, contrast_limits=(0, 255),
    )  # fmt: skip
    tiled = zarr.open_group(drain(steps).labels, mode="r")["0"][:]
    whole = _asking_the_same(predictor, settings, (0, 0, *shape), side)
    untiled = to_labels(whole.generate(image, contrast_limits=(0, 255)), shape)
    top, left = (max(0, (length - side) // 2) for length in shape)
    middle = _part(predictor, settings, image, (top, left), side, _MOVED + _NEAR)
    moved = _part(predictor, settings, image, (max(0, top - _MOVED), max(0, left - _MOVED)), side, _NEAR)
    part = tiled[top : top + side, left : left + side]
    elsewhere = np.zeros_like(middle)
    down, right = top - max(0, top - _MOVED), left - max(0, left - _MOVED)
    seen = moved[down:, right:]
    elsewhere[: seen.shape[0], : seen.shape[1]] = seen
    row = {
        "name": path.stem,
        "size": f"{shape[0]} x {shape[1]}",
        "tiled": int(np.count_nonzero(np.bincount(tiled.ravel())[1:] >= LEAST_AREA)),
        "cut": _cut(tiled, tile_plan(shape, side, tiling)),
    }
    pairs = {"untiled": (untiled, tiled), "middle": (middle, part), "moved": (middle, elsewhere)}
    for of, (truth, found) in pairs.items():
        best = _best_overlaps(truth, found)
        row[of] = len(best)
        row |= {f"{of}_{round(100 * at):03}": sum(overlap >= at for overlap in best) for at in (0.9, 0.75)}
    return row


def _asking_the_same(
    predictor: Predictor, settings: AutomaticSettings, box: tuple[int, int, int, int], side: int
) -> AutomaticMaskGenerator:
    """Return what asks a part of the image at the points that tiles of a side ask: one grid over the image."""
    spacing = side / settings.points_per_side
    axes = []
    for first, last in ((box[0], box[2]), (box[1], box[3])):
        numbers = np.arange(np.ceil(first / spacing - 0.5), np.ceil(last / spacing - 0.5))
        axes.append(((numbers + 0.5) * spacing - first) / (last - first))
    points = tuple((float(row), float(col)) for row in axes[0] for col in axes[1])
    return AutomaticMaskGenerator(predictor, settings.replaced(point_grids=(points,)))


def _part(
    predictor: Predictor,
    settings: AutomaticSettings,
    image: np.ndarray,
    corner: tuple[int, int],
    side: int,
    near: int,
) -> np.ndarray:
    """Return the labels of a part of the image, without those near an edge of it that is none of the image."""
    top, left = corner
    pixels = image[top : top + side, left : left + side]
    box = (top, left, top + pixels.shape[0], left + pixels.shape[1])
    generator = _asking_the_same(predictor, settings, box, side)
    labels = to_labels(generator.generate(pixels, contrast_limits=(0, 255)), pixels.shape[:2])
    shape = image.shape
    strips = (labels[:near], labels[:, :near], labels[-near:], labels[:, -near:])
    inner = (top > 0, left > 0, top + side < shape[0], left + side < shape[1])
    gone = [np.unique(strip) for strip, is_inner in zip(strips, inner, strict=True) if is_inner]
    return np.where(np.isin(labels, np.concatenate([np.zeros(1, int), *gone])), 0, labels)


def _best_overlaps(truth: np.ndarray, found: np.ndarray) -> list[float]:
    """Return for each label of one image the largest IoU with a label of the other."""
    sizes, best = np.bincount(found.ravel()), []
    for label in np.unique(truth)[1:]:
        mask = truth == label
        if (area := int(mask.sum())) < LEAST_AREA:
            continue
        shared = np.bincount(found[mask], minlength=len(sizes))
        shared[0] = 0
        best.append(float((shared / np.maximum(1, area + sizes - shared)).max()))
    return best


def _cut(labels: np.ndarray, plan: Any) -> int:
    """Count labels that end along an inner edge of a tile for more than half of their width there.

    Some do by chance, in an untiled image too.
    """
    cut = set()
    for level in plan.levels[:1]:
        for _, _, window in plan.windows(level):
            for axis in (0, 1):
                turned = labels if axis == 0 else labels.T
                for edge in (window.box[axis], window.box[axis + 2]):
                    if not 0 < edge < turned.shape[0]:
                        continue
                    for inside, outside in ((turned[edge - 1], turned[edge]), (turned[edge], turned[edge - 1])):
                        ends = np.bincount(inside[inside != outside], minlength=2)
                        widths = np.bincount(inside, minlength=2)
                        cut |= set((np.flatnonzero((ends >= 5) & (ends > 0.5 * widths[: len(ends)]))).tolist()) - {0}
    return len(cut)


# --------------------------------------------------------------------------- memory and growth


def memory(arguments: argparse.Namespace) -> None:
    """Print the highest resident memory while one large image is done."""
    row = _alone(arguments, arguments.side, stand_in=True)
    print(f"{arguments.side} x {arguments.side} px ({arguments.side**2 / 1e6:.0f} MB of 8 bit): {row}")


def growth(arguments: argparse.Namespace) -> None:
    """Measure one side after the other; print a table, and draw it."""
    path = arguments.work / "growth.csv"
    done = _read(path)
    for side in arguments.sides:
        if str(side) not in {str(row["side"]) for row in done}:
            done.append(_alone(arguments, side, stand_in=False))
            _write(path, done)
    titles = (
        "tiles",
        "objects",
        "minutes of the clock",
        "of the processors",
        "seconds of them per tile",
        "MiB at most",
    )
    print(_header("side, px", *titles))
    for row in sorted(done, key=lambda row: int(row["side"])):
        clock, busy, tiles = float(row["seconds"]), float(row["processor_seconds"]), int(row["tiles"])
        minutes = f"{clock / 60:.1f}", f"{busy / 60:.1f}"
        values = row["side"], tiles, row["objects"], *minutes, f"{busy / tiles:.2f}", row["peak_mib"]
        print("| " + " | ".join(str(value) for value in values) + " |")
    each = max(done, key=lambda row: int(row["side"]))
    pace = float(each["processor_seconds"]) / int(each["tiles"])
    plan = tile_plan((100_000, 100_000), arguments.tile, TilingSettings(arguments.tile, arguments.overlap))
    tiles = sum(int(np.prod(plan.grid_shape(level))) for level in plan.levels)
    print(f"\n100,000 x 100,000 px: {tiles} tiles of {pace:.2f} s:")
    for workers in (1, 10, 100):
        print(f"- {workers} workers like this one: {tiles * pace / workers / 3600:.1f} h")
    if arguments.plot:
        _draw(done, arguments.plot)


def _alone(arguments: argparse.Namespace, side: int, *, stand_in: bool) -> dict[str, Any]:
    image = arguments.work / f"discs_{side}.zarr"
    if not (image / "done").exists():
        draw_discs(image, side)
        (image / "done").touch()
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        return pool.apply(measured, (image, side, arguments, stand_in))


def measured(image: Path, side: int, arguments: argparse.Namespace, stand_in: bool) -> dict[str, Any]:
    """Do one image in this process."""
    settings = preset("light").settings.replaced(points_per_side=arguments.points)
    model = NamedModel(arguments.model)
    workers = ThisProcess(BrightRegions(Everything(LazyPredictor(model)))) if stand_in else None
    steps = large_steps(
        ImageAtPath(image, image.name), f"discs_{side}", arguments.work / ("memory" if stand_in else "growth"), model,
        settings, tiling=TilingSettings(arguments.tile, arguments.overlap), contrast_limits=(0, 255), workers=workers,
    )  # fmt: skip
    start, busy = time.perf_counter(), time.process_time()
    result = drain(steps)
    seconds, processor = time.perf_counter() - start, time.process_time() - busy
    return {
        "side": side, "tiles": result.tiles, "reused": result.reused, "objects": result.objects,
        "seconds": round(seconds, 1), "processor_seconds": round(processor, 1), "peak_mib": round(highest_resident()),
    }  # fmt: skip


@dataclass
class BrightRegions:
    """Asks the model about the first tile, and takes bright connected pixels of the others."""

    model: Everything | None
    threshold: float = 128
    seen: list[int] = field(default_factory=list)

    def steps(
        self, pixels: np.ndarray, settings: AutomaticSettings, limits: tuple[float, float]
    ) -> Steps[list[MaskRecord]]:
        """Return records of the size of the tile."""
        self.seen.append(1)
        if len(self.seen) == 1 and self.model is not None:
            yield from self.model.steps(pixels, settings, limits)
        yield Progress(0, 1)
        labels, _ = ndimage.label(pixels > self.threshold)
        records = []
        for number, place in enumerate(ndimage.find_objects(labels), 1):
            box = (place[0].start, place[1].start, place[0].stop, place[1].stop)
            mask = run_lengths_in_box(labels[place] == number, box, pixels.shape[:2])
            if mask.area > LEAST_AREA:
                records.append(MaskRecord.from_mask(mask, predicted_iou=0.9, stability_score=0.95))
        return records


def draw_discs(path: Path, side: int) -> None:
    """Write a zarr of (side, side) uint8 with discs on a gradient, one chunk after the other."""
    array = zarr.create_array(str(path), shape=(side, side), chunks=(CHUNK, CHUNK), dtype="uint8", overwrite=True)
    rows, cols = np.indices((CHUNK, CHUNK), np.float32)
    for top in range(0, side, CHUNK):
        for left in range(0, side, CHUNK):
            random = np.random.default_rng((top, left))
            part = (40 + 40 * cols / CHUNK + random.normal(0, 4, rows.shape)).astype(np.uint8)
            for row, col, radius, grey in random.random((60, 4)):
                reach = int(8 + 22 * radius)
                y, x = (int(reach + place * (CHUNK - 2 * reach)) for place in (row, col))
                span = np.arange(-reach, reach)
                inside = span[:, None] ** 2 + span**2 < (reach - 1) ** 2
                part[y - reach : y + reach, x - reach : x + reach][inside] = int(150 + 90 * grey)
            height, width = min(CHUNK, side - top), min(CHUNK, side - left)
            array[top : top + height, left : left + width] = part[:height, :width]


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    rows = sorted(rows, key=lambda row: int(row["side"]))
    sides = [int(row["side"]) for row in rows]
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    for axes, key, title, scale in zip(
        figure.subplots(1, 2),
        ("processor_seconds", "peak_mib"),
        ("minutes of the processor", "highest resident memory, MiB"),
        (60, 1),
        strict=True,
    ):
        axes.plot(sides, [float(row[key]) / scale for row in rows], "o-")
        axes.set_xscale("log", base=2)
        axes.set_xticks(sides, [f"{side:,}" for side in sides])
        axes.set_xlabel("side of the image, px")
        axes.set_title(title, fontsize=10)
        if key == "peak_mib":
            axes.set_ylim(bottom=0)
        else:
            axes.set_yscale("log")
    figure.savefig(path, dpi=110)


def _header(*titles: str) -> str:
    return f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}"


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
