"""Images that do not fit are done tile by tile by the same dock, and their labels open as levels."""

from __future__ import annotations

import re

import numpy as np
import pytest
import zarr
from PIL import Image as Picture

from napari_segany.engine import tiling
from napari_segany.engine.large.run import DEFAULT_MODEL_SIDE
from napari_segany.engine.tiling import TilingSettings, tile_plan

BIG = (1300, 160)
DISCS = ((128, 128, 20, 200), (640, 128, 18, 240))


@pytest.fixture(autouse=True)
def _small_ones_count_as_large(monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 1000)
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 1000)


def test_large_layers_and_files_go_tile_by_tile(session, viewer, folder, discs):
    pixels = discs.disc_image(BIG, DISCS)
    layer = viewer.add_image(pixels, name="slide", scale=(2, 2))
    session.choose_outputs(["labels", "csv", "coco"])
    session.run()
    assert session.status == (
        "1 image, 2 masks. 1 of them was done tile by tile, labels in .zarr; coco is not written of such."
    )
    session.open_results()
    masks = viewer.layers["slide masks"]
    assert masks.multiscale
    np.testing.assert_array_equal(masks.scale, layer.scale)
    labels = np.asarray(masks.data[0])
    for row, col, radius, _ in DISCS:
        truth = discs.disc_mask(BIG, row, col, radius)
        assert ((labels == labels[row, col]) & truth).sum() / truth.sum() > 0.7, "logits are 8 pixels wide here"
    assert (session.output / "tables/slide.csv").is_file()
    assert "slide,slide,done,1,2,coco is not written of" in (session.output / "report.csv").read_text()
    session.run()
    assert "1 complete before" in session.status

    Picture.fromarray(pixels).save(folder / "big.png")
    session.use_folder(folder)
    session.run()
    assert session.status.startswith("3 images, 5 masks.")
    assert (session.output / "labels/big.zarr").is_dir()
    assert (session.output / "labels/two.tif").is_file()
    assert {line.split(",")[1] for line in (session.output / "report.csv").read_text().splitlines()[1:]} == {
        image.name for image in session.outcome.images
    }
    session.open_results()
    assert "big masks" in viewer.layers
    assert "two" in viewer.layers


def test_zarrs_in_a_folder_are_images_of_any_size(session, viewer, folder, discs):
    pixels = discs.disc_image((128, 160), ((60, 70, 20, 200),))
    zarr.save_array(str(folder / "slide.zarr"), pixels)
    zarr.save_array(str(folder / "one.zarr"), pixels)
    zarr.save_array(str(folder / "stack.zarr"), np.stack([pixels] * 2))
    session.use_folder(folder)
    session.choose_output(folder / "masks")
    session.run()
    assert session.status.startswith("4 images, 5 masks, 1 failed")
    assert "2 of them were done tile by tile" in session.status
    names = [image.name for image in session.outcome.images]
    assert names == ["one", "two", "one_zarr", "slide", "stack"]
    failed = session.outcome.result.images[names.index("stack")]
    assert "choose one plane" in failed.error
    session.run()
    assert "4 complete before" in session.status, "what was written is no input"
    session.open_results()
    labels = np.asarray(viewer.layers["slide masks"].data)
    truth = discs.disc_mask((128, 160), 60, 70, 20)
    assert ((labels == labels[60, 70]) & truth).sum() / truth.sum() > 0.7


def test_outputs_that_tiles_cannot_give_are_written_of_an_image_that_fits(session, viewer, discs, monkeypatch):
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", BIG[0] * BIG[1])
    viewer.add_image(discs.disc_image(BIG, DISCS), name="slide")
    session.choose_outputs(["labels", "coco"])
    session.run()
    assert "1 image," in session.status
    assert "not written" not in session.status
    assert "slide" in (session.output / "coco.json").read_text()
    assert (session.output / "labels/slide.tif").is_file()


def test_what_large_images_cannot_have_is_told(session, viewer, discs):
    viewer.add_image(discs.disc_image(BIG, DISCS), name="slide")
    session.choose_outputs(["labels", "gpkg"])
    session.run()
    assert "1 failed" in session.status
    (result,) = session.outcome.result.images
    assert "slide has no place on Earth that is known here, which gpkg needs" in result.error


@pytest.mark.parametrize("size", [None, 14.0, 700.0])
def test_tiles_suit_the_objects_whose_size_is_said(session, viewer, discs, finder, size):
    viewer.add_image(discs.disc_image(BIG, DISCS), name="slide")
    session.choose_object_size(size)
    session.run()
    assert "usual diameter" not in session.status
    plan = tile_plan(BIG, DEFAULT_MODEL_SIDE, TilingSettings(object_size=size))
    windows = {window.shape for level in plan.levels for _, _, window in plan.windows(level)}
    assert set(finder.encoded) == windows


def test_the_size_of_objects_is_measured_and_told(session, viewer, discs):
    many = [(70 + 145 * number, 40 + 80 * (number % 2), 32, 200) for number in range(9)]
    viewer.add_image(discs.disc_image(BIG, many), name="slide")
    session.change(points_per_side=10)
    session.choose_object_size("auto")
    session.run()
    told = re.search(r"tile by tile \(usual diameter of objects (\d+) pixels\), labels", session.status)
    assert int(told[1]) == pytest.approx(64, abs=6)
    viewer.layers.clear()
    viewer.add_image(discs.disc_image(BIG, DISCS), name="few")
    session.run()
    assert "tile by tile (too few objects to measure their size), labels" in session.status


def test_a_size_that_is_none_is_refused(session):
    session.choose_object_size(30)
    with pytest.raises(ValueError, match="size of objects is -1; give a positive number"):
        session.choose_object_size(-1)
    assert session.tiling.object_size == 30
