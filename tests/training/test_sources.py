"""Where annotated images are found, and that overlapping and holed objects arrive whole."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools.coco import COCO

from napari_segany.engine.progress import drain
from napari_segany.formats.coco import CocoObject, writing_coco
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.training.annotated import layers_of
from napari_segany.training.screening import screen
from napari_segany.training.sources import find_images

SIZE = (24, 30)


def masks() -> list[np.ndarray]:
    """Return a cell with a hole, the nucleus within it, a neighbour that overlaps it, and one by itself."""
    cell, nucleus, neighbour, alone = np.zeros((4, *SIZE), bool)
    cell[2:18, 2:16] = True
    cell[4:6, 4:6] = False
    nucleus[8:12, 6:10] = True
    neighbour[10:22, 12:24] = True
    alone[1:4, 26:29] = True
    return [cell, nucleus, neighbour, alone]


def object_masks(layers: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    return [layer == label for layer in layers for label in np.unique(layer) if label]


def same_masks(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return sorted(mask.tobytes() for mask in found) == sorted(mask.tobytes() for mask in expected)


def write_image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, size).astype(np.uint8)).save(path)


def polygon_file(path: Path, file_name: str = "a.png") -> None:
    """Write a COCO file by hand: polygons of two parts that overlap, run lengths with a hole, and a crowd."""
    image = {"id": 7, "file_name": file_name, "height": SIZE[0], "width": SIZE[1]}
    square, inside = [3, 3, 15, 3, 15, 15, 3, 15], [6, 6, 10.4, 6.2, 9, 11]
    holed = MaskRecord.from_mask(masks()[0]).rle.to_dict()
    common = {"image_id": 7, "category_id": 1, "area": 1, "bbox": [0, 0, 1, 1]}
    annotations = [
        {"id": 1, "segmentation": [square, [20, 2, 26, 2, 23, 9]], "iscrowd": 0, **common},
        {"id": 2, "segmentation": [inside], "iscrowd": 0, **common},
        {"id": 3, "segmentation": holed, "iscrowd": 0, **common},
        {"id": 4, "segmentation": {"size": list(SIZE), "counts": [0, 720]}, "iscrowd": 1, **common},
    ]
    categories = [{"id": 1, "name": "cell"}]
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))


def test_coco_gives_the_masks_of_pycocotools(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png")
    polygon_file(tmp_path / "cells.json")
    (image,) = find_images(tmp_path / "cells.json")
    assert (image.dataset, image.name) == ("cells", "a")
    _, layers = image.read()
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCO(tmp_path / "cells.json")
    objects = judge.loadAnns(judge.getAnnIds(iscrowd=False))
    assert same_masks(object_masks(layers), [judge.annToMask(item).astype(bool) for item in objects])
    assert len(layers) == 3  # all three overlap each other


@pytest.mark.parametrize("home", [".", "images", "../images", "../val2017"])
def test_images_are_found_around_a_coco_file(tmp_path: Path, home: str) -> None:
    folder = tmp_path / "set" / "annotations"
    folder.mkdir(parents=True)
    polygon_file(folder / "instances_val2017.json")
    write_image(folder / home / "a.png")
    for place in (folder, folder / "instances_val2017.json", tmp_path / "set", tmp_path):
        (image,) = find_images(place)
        pixels, _ = image.read()
        assert pixels.shape == SIZE


def test_images_elsewhere_are_told(tmp_path: Path) -> None:
    polygon_file(tmp_path / "cells.json")
    write_image(tmp_path / "far" / "away" / "a.png")
    with pytest.raises(ValueError, match=r"none of the 1 images of cells\.json is near it; give their folder"):
        find_images(tmp_path / "cells.json")
    (image,) = find_images(tmp_path / "cells.json", tmp_path / "far" / "away")
    assert image.read()[0].shape == SIZE
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        find_images(tmp_path / "cells.json", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["sa_1.jpg", "cells 3.png"])
def test_pairs_of_image_and_json_are_sa1b(tmp_path: Path, name: str) -> None:
    path = tmp_path / "sa_000000" / name
    write_image(path)
    write_sa1b(path.with_suffix(".json"), [MaskRecord.from_mask(mask) for mask in masks()], file_name=name, size=SIZE)
    write_image(path.with_name("alone.png"))  # an image without masks is not of the set
    (image,) = find_images(tmp_path)
    assert (image.dataset, image.name) == ("sa_000000", path.stem)
    _, layers = image.read()
    assert same_masks(object_masks(layers), masks())


def test_a_folder_of_all_kinds(tmp_path: Path, write_pairs: Callable[..., Path]) -> None:
    write_pairs(2, "all/labelled")
    write_image(tmp_path / "all" / "pairs" / "sa_1.jpg")
    write_sa1b(tmp_path / "all" / "pairs" / "sa_1.json", [], file_name="sa_1.jpg", size=SIZE)
    write_image(tmp_path / "all" / "coco" / "a.png")
    polygon_file(tmp_path / "all" / "coco" / "things.json")
    found = find_images(tmp_path / "all")
    assert sorted({image.dataset for image in found}) == ["labelled", "pairs", "things"]
    assert len(found) == 4


def test_what_is_unusable_is_named_and_the_rest_is_used(tmp_path: Path, write_pairs: Callable[..., Path]) -> None:
    folder = write_pairs(2)
    write_image(folder / "images" / "unlabelled.png")
    for name in ("good", "other_size", "no_objects", "torn", "gone"):
        write_image(tmp_path / "coco" / f"{name}.png", (5, 5) if name == "other_size" else SIZE)
    item = CocoObject(MaskRecord.from_mask(masks()[0]))
    with writing_coco(tmp_path / "coco" / "set.json") as writer:
        for name in ("good", "other_size", "no_objects", "torn", "gone"):
            writer.add(f"{name}.png", SIZE, [] if name == "no_objects" else [item])
    torn = tmp_path / "coco" / "torn.png"
    torn.write_bytes(torn.read_bytes()[:60])
    (tmp_path / "coco" / "gone.png").unlink()
    screening = drain(screen(find_images(tmp_path)))
    assert sorted(image.name for image in screening.images) == ["0", "1", "good"]
    reasons = {line.partition(": ")[0]: line for line in screening.skipped}
    assert "no label image called unlabelled" in reasons["data/unlabelled"]
    assert "the image is (5, 5) and the COCO file says (24, 30)" in reasons["set/other_size"]
    assert "it has no objects" in reasons["set/no_objects"]
    assert "torn.png" in reasons["set/torn"]
    assert "gone.png: No such file" in reasons["set/gone"]


def test_a_damaged_coco_file_is_one_sentence(tmp_path: Path) -> None:
    polygon_file(tmp_path / "cells.json")
    text = (tmp_path / "cells.json").read_text()
    (tmp_path / "cells.json").write_text(text[: len(text) // 2] + '"images" "annotations"')
    with pytest.raises(ValueError, match=r"cells\.json is no JSON file, or it is cut off"):
        find_images(tmp_path)


def test_a_data_set_that_cannot_be_opened_does_not_stop_the_others(
    tmp_path: Path, write_pairs: Callable[..., Path]
) -> None:
    folder = write_pairs(2, "all/good").parent
    (folder / "index.json").write_text('[{"dataset": "good", "items": [{"stem": "0", "group": "g"}]}]')
    for kind, name in (("images", "a"), ("labels", "b")):  # names that do not pair up
        write_image(folder / "unpaired" / kind / f"{name}.png")
    (folder / "torn").mkdir()
    (folder / "torn" / "cells.json").write_text('{"images": [], "annotations": [')
    screening = drain(screen(find_images(folder)))
    assert [(image.dataset, image.name) for image in screening.images] == [("good", "0"), ("good", "1")]
    assert screening.images[0].metadata["group"] == "g"
    unpaired, torn = sorted(screening.skipped)
    assert unpaired.startswith("all/unpaired: ")
    assert "no file of images/ has a label image of the same name" in unpaired
    assert torn.startswith("torn/cells.json: ")
    assert "is no JSON file, or it is cut off" in torn


def test_nothing_to_be_found(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no annotated images; give a folder with images/ and labels/"):
        find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="missing does not exist"):
        find_images(tmp_path / "missing")


@settings(deadline=None)
@given(st.lists(hnp.arrays(bool, (5, 6)), max_size=6))
def test_layers_lose_no_pixel(drawn: list[np.ndarray]) -> None:
    layers = layers_of([RunLengths.from_mask(mask) for mask in drawn], (5, 6))
    assert same_masks(object_masks(layers), [mask for mask in drawn if mask.any()])
    assert len(layers) <= max(1, sum(mask.any() for mask in drawn))
