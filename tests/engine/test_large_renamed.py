"""What earlier runs by tiles wrote for an image of another name now goes, and so does what shows other masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tests.engine.large_scene import MODEL, SETTINGS, Components
from tests.engine.no_model import NoModel

from napari_segany.engine.batch import one_image
from napari_segany.engine.batch.common_files import check_is_not_foreign
from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.large.job import ImageAtPath
from napari_segany.engine.large.results import finish_in_tiles_steps, image_result
from napari_segany.engine.large.run import ThisProcess, large_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.plane_choice import PlaneChoice
from napari_segany.formats.record import MaskRecord

LABELS, COCO = BatchSettings(("labels", "csv")), BatchSettings(("labels", "csv", "coco"))


def an_image(path: Path, top: int = 20) -> Path:
    pixels = np.zeros((90, 120), np.uint8)
    pixels[top : top + 30, 30:70] = 100
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)
    return path


def in_tiles(out, settings=LABELS, plane=None, painting="smaller", **images):
    """Do images under these names, as the command does."""
    results = []
    for name, path in images.items():
        steps = large_steps(
            ImageAtPath(path, path.name, plane), name, out, MODEL, SETTINGS, painting=painting,
            tiling=TilingSettings(side=64), workers=ThisProcess(Components()),
        )  # fmt: skip
        results.append(image_result(name, drain(steps), settings))
    drain(finish_in_tiles_steps(out, results, settings))


def as_a_whole(out, path, settings=COCO):
    drain(batch_steps(find_images([path]), out, NoModel(), settings))


@pytest.fixture(autouse=True)
def bright(monkeypatch):
    def object_steps(image, content, pixels, job, predictor, clip):
        yield from ()
        return [BatchObject(MaskRecord.from_mask(pixels > 50))]

    monkeypatch.setattr(one_image, "_object_steps", object_steps)


def names_in(out: Path) -> set[str]:
    """Return the names of all images that there is anything of."""
    places = [*(out / "labels").iterdir(), *(out / "tables").iterdir(), *(out / ".segany/tiles").glob("*")]
    return {path.stem for path in places}


@pytest.mark.parametrize("painting", ["smaller", "larger"])
def test_a_renamed_image_is_there_once(tmp_path, painting):
    out, path = tmp_path / "out", an_image(tmp_path / "in" / "a.tif")
    in_tiles(out, a=path)
    in_tiles(out, b=path.rename(path.with_name("b.tif")), painting=painting)
    assert names_in(out) == {"b"}


def test_an_image_with_a_longer_name_is_there_once(tmp_path):
    out, path = tmp_path / "out", an_image(tmp_path / "x" / "a.tif")
    in_tiles(out, a=path)
    in_tiles(out, x_a=path, y_a=an_image(tmp_path / "y" / "a.tif", 30))
    assert names_in(out) == {"x_a", "y_a"}


def test_other_images_planes_and_changed_files_stay(tmp_path):
    out, path = tmp_path / "out", an_image(tmp_path / "in" / "a.tif")
    in_tiles(out, a=path)
    in_tiles(out, copy=an_image(tmp_path / "in" / "copy.tif"))  # the first one is still there
    path.unlink()
    in_tiles(out, other=an_image(tmp_path / "in" / "other.tif", 30))  # it was deleted
    assert names_in(out) == {"a", "copy", "other"}
    with (out / "tables" / "a.csv").open("a") as file:
        file.write("mine\n")
    in_tiles(out, again=an_image(tmp_path / "in" / "again.tif"))
    assert names_in(out) == {"a", "copy", "other", "again"}
    assert (out / "labels" / "a.zarr").is_dir()
    stack = tmp_path / "in" / "stack.tif"
    tifffile.imwrite(stack, np.stack([tifffile.imread(tmp_path / "in" / "copy.tif")] * 2), metadata={"axes": "ZYX"})
    for number in range(2):
        in_tiles(out, plane=PlaneChoice((("z", number),)), **{f"stack_z{number}": stack})
    assert names_in(out) >= {"stack_z0", "stack_z1"}


def test_a_name_of_the_other_way_goes_too(tmp_path):
    out, path = tmp_path / "out", an_image(tmp_path / "in" / "a.tif")
    as_a_whole(out, path, LABELS)
    in_tiles(out, a_tif=path)
    assert names_in(out) == {"a_tif"}
    as_a_whole(out, path, LABELS)
    assert names_in(out) == {"a"}


def test_a_coco_file_of_other_masks_goes(tmp_path):
    out, path, other = tmp_path / "out", an_image(tmp_path / "a.tif"), an_image(tmp_path / "b.tif", 30)
    as_a_whole(out, path)
    in_tiles(out, b=other)
    assert (out / "coco.json").is_file(), "it shows another image, and nobody asked for a new one"
    in_tiles(out, a=path)
    assert not (out / "coco.json").exists(), "it showed the masks of before"
    as_a_whole(out, path)
    in_tiles(out, COCO, b=other)
    assert not (out / "coco.json").exists(), "none of this run can be in it"
    as_a_whole(out, path)
    (out / "coco.json").write_text('{"mine": 1}')
    in_tiles(out, COCO, a=path)
    assert (out / "coco.json").read_text() == '{"mine": 1}'


def test_a_folder_of_former_versions_serves(tmp_path):
    out, path = tmp_path / "out", an_image(tmp_path / "in" / "a.tif")
    as_a_whole(out, path)
    in_tiles(out, a=path)
    record, common = out / ".segany/tiles/a/outputs.json", out / ".segany/common.json"
    record.write_text(json.dumps({"files": json.loads(record.read_text())["files"]}))
    (record.parent / "source").write_text(str(path))
    common.write_text(json.dumps({"files": ["coco.json", "report.csv"]}))
    with pytest.raises(ValueError, match=r"labels/a\.zarr is of in/a\.tif"):
        in_tiles(out, a=an_image(tmp_path / "other" / "a.tif", 30))
    (out / "coco.json").write_text("{}")
    check_is_not_foreign(out, ["coco.json", "report.csv"])
    in_tiles(out, b=path.rename(path.with_name("b.tif")))
    assert names_in(out) == {"a", "b"}, "nobody knows of what pixels the first one was"
    assert (out / "coco.json").is_file()
