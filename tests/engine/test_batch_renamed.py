"""What an earlier run wrote for an image that goes by another name now goes; nothing of anybody else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.engine.no_model import NoModel

from napari_segany.engine.batch import one_image
from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.inputs import find_images, images_of_arrays
from napari_segany.engine.batch.output_names import OUTPUTS
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.progress import drain
from napari_segany.formats.record import MaskRecord

EVERYTHING = BatchSettings(tuple(OUTPUTS))


@pytest.fixture(autouse=True)
def dark(monkeypatch):
    def object_steps(image, content, pixels, job, predictor, clip):
        yield from ()
        return [BatchObject(MaskRecord.from_mask(pixels < 128))]

    monkeypatch.setattr(one_image, "_object_steps", object_steps)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """An image and a stack."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tifffile.imwrite(folder / "one.tif", rng.integers(0, 256, (8, 9), np.uint8))
    tifffile.imwrite(folder / "stack.ome.tif", rng.integers(0, 256, (2, 8, 9), np.uint8))
    return folder


def run(images, out):
    found = images if isinstance(images, tuple) else find_images([images])
    return drain(batch_steps(found, out, NoModel(), EVERYTHING))


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pictures(out: Path) -> list[str]:
    return sorted(path.relative_to(out / "yolo/images/train").as_posix() for path in out.glob("yolo/images/**/*.png"))


def test_renamed_inputs_are_there_once(inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs, out)
    (inputs / "one.tif").rename(inputs / "uno.tif")
    (inputs / "stack.ome.tif").rename(inputs / "Stack.ome.tif")
    run(inputs, out)
    run(inputs, tmp_path / "fresh")
    assert tree(tmp_path / "fresh") == tree(out)
    assert pictures(out) == ["Stack/0000.png", "Stack/0001.png", "uno.png"]
    assert not (out / "overlays/stack").exists()


def test_a_second_input_of_one_name_leaves_the_first_there_once(inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs / "one.tif", out)
    np.save(inputs / "one.npy", np.zeros((8, 9), np.uint8))
    (inputs / "stack.ome.tif").unlink()
    run(inputs, out)
    assert pictures(out) == ["one_npy.png", "one_tif.png"]
    np.save(inputs / "one.npy", np.full((8, 9), 7, np.uint8))
    (inputs / "one.tif").unlink()
    run(inputs, out)
    # What was deleted is no image of this run, so it stays; the other one goes by its short name again.
    assert pictures(out) == ["one.png", "one_tif.png"]
    assert not (out / ".segany/images/one_npy").exists()


def test_copies_elsewhere_and_layers_keep_their_outputs(inputs, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    run(inputs, out)
    run(images_of_arrays([("layer", find_images([inputs / "one.tif"])[0].source.read())]), out)
    other.mkdir()
    (other / "copy.tif").write_bytes((inputs / "one.tif").read_bytes())
    before = tree(out)
    run(other, out)
    after = tree(out)
    assert {name for name in before if after.get(name) != before[name]} == {
        "coco.json",
        "report.csv",
        ".segany/common.json",
    }


def test_what_was_changed_by_hand_stays(inputs, tmp_path):
    out = tmp_path / "out"
    run(inputs, out)
    before = tree(out)
    (out / "yolo/labels/train/one.txt").write_text("mine")
    (out / "overlays/stack/notes.txt").write_text("mine")
    (inputs / "one.tif").rename(inputs / "uno.tif")
    (inputs / "stack.ome.tif").rename(inputs / "z.ome.tif")
    run(inputs, out)
    kept = tree(out)
    assert {name for name in before if "/one" in name} <= set(kept)
    assert kept["yolo/labels/train/one.txt"] == b"mine"
    assert [name for name in kept if "stack" in name] == ["overlays/stack/notes.txt"]


def test_an_input_that_moved_is_known_where_it_is_now(inputs, tmp_path):
    out, moved, copies = tmp_path / "out", tmp_path / "moved", tmp_path / "copies"
    run(inputs, out)
    inputs.rename(moved)
    assert run(moved, out).reused == 2
    copies.mkdir()
    (copies / "copy.tif").write_bytes((moved / "one.tif").read_bytes())
    run(copies, out)
    assert pictures(out) == ["copy.png", "one.png", "stack/0000.png", "stack/0001.png"]


def test_another_image_of_the_same_name_does_not_replace_what_is_there(inputs, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    run(inputs, out)
    before = tree(out / "labels")
    other.mkdir()
    tifffile.imwrite(other / "one.tif", np.zeros((8, 9), np.uint8))
    result = run(other, out)
    assert len(result.failed) == 1
    assert "labels/one.tif is of in/one.tif; give both folders at once" in result.failed[0].error
    assert tree(out / "labels") == before
    (inputs / "one.tif").rename(inputs / "elsewhere.tif")  # what it was of is gone: the name is free
    assert not run(other, out).failed
    assert tree(out / "labels")["one.tif"] != before["one.tif"]


def test_names_that_inputs_of_one_run_take_from_each_other_are_no_others(inputs, tmp_path):
    """Folders tell names apart: what else is given decides which of two inputs has the plain one."""
    out, rng = tmp_path / "out", np.random.default_rng(1)

    def image(name):
        (inputs / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 9), np.uint8)).save(inputs / name)

    image("a_b.tif")
    run(inputs, out)
    for name in ("a_b.png", "a/b.tif", "z/b.tif"):
        image(name)
    result = drain(batch_steps(find_images([inputs], recursive=True), out, NoModel(), EVERYTHING))
    assert [one.error for one in result.images] == [""] * 6
    for name, source in (("a_b", "a/b.tif"), ("a_b_tif", "a_b.tif"), ("a_b_png", "a_b.png")):
        labels = tifffile.imread(out / "labels" / f"{name}.tif")
        np.testing.assert_array_equal(labels > 0, np.asarray(Image.open(inputs / source)) < 128)
