"""Embeddings in advance: the folder, its manifest, going on after an interruption, and the viewer that uses it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Layer
from napari_builtins.io import imread as napari_imread
from napari_builtins.io import read_zarr_dataset
from PIL import Image as Picture

from napari_segany.engine import cache_limits, lazy_opening, tiling
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.sources import BatchImage, FileSource
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_entry import CacheEntry
from napari_segany.engine.cache_limits import layer_limits
from napari_segany.engine.cache_manifest import read_manifest
from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.cache_precompute import embed_steps
from napari_segany.engine.cache_prepared import Preparation
from napari_segany.engine.encoding import encoding_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import tile_plan
from napari_segany.formats.lazy_image import LazyImage, lazy_image
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.large_opening import large_layer_steps
from napari_segany.widgets.large_planes import plane_reader

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 255, (40, 60, 3)).astype(np.uint8)
STACK = RNG.integers(100, 4000, (4, 30, 50)).astype(np.uint16)


@pytest.fixture
def inputs(tmp_path) -> Path:
    """A picture and a stack of 12-bit slices."""
    folder = tmp_path / "in"
    folder.mkdir()
    Picture.fromarray(PICTURE).save(folder / "a.png")
    tifffile.imwrite(folder / "stack.tif", STACK, photometric="minisblack")
    return folder


@pytest.fixture
def counted(monkeypatch):
    """The images that were encoded."""
    encoded: list[np.ndarray] = []
    compute = Predictor.compute_steps

    def compute_steps(self, image, **options):
        encoded.append(np.asarray(image))
        return compute(self, image, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    return encoded


def embed(inputs, out, predictor, *mapping):
    return drain(embed_steps(find_images([inputs]), out, predictor, *mapping))


def test_a_folder_becomes_one_that_a_viewer_uses(inputs, tmp_path, predictor, counted):
    out = tmp_path / "out"
    result = embed(inputs, out, predictor)
    assert [plane.state for plane in result.planes] == ["computed"] * 5
    assert result.failed == ()
    assert 0 < result.relative_error < 5e-4
    assert len(counted) == 5
    there = Predictor(predictor.sam, device="cpu", cache=CachePlaces(limit=0, prepared=out).open())
    there.encode(PICTURE)
    for plane in STACK:  # with the limits that a layer of the whole stack has
        there.encode(plane, contrast_limits=(STACK.min(), STACK.max()))
    assert len(counted) == 5
    there.encode(STACK[0])
    assert len(counted) == 6, "other limits are another embedding"


def test_the_manifest_says_what_is_there(inputs, tmp_path, predictor):
    out = tmp_path / "out"
    embed(inputs, out, predictor)
    records = {(record.image, record.plane): record for record in read_manifest(out)}
    assert sorted(records) == [("a.png", "image"), *(("stack.tif", f"{number:04d}") for number in range(4))]
    for record in records.values():
        assert (record.model, record.dtype) == (predictor.name, "float16")
        assert (out / record.file).is_file()
    third = records["stack.tif", "0003"]
    assert (third.shape, third.contrast_limits) == ((30, 50), (STACK.min(), STACK.max()))
    exact = CacheEntry.of(predictor.encode(STACK[3], contrast_limits=(STACK.min(), STACK.max())))
    assert (third.relative_error, third.largest_error) == (exact.rounding.relative, exact.rounding.largest)


@pytest.mark.parametrize("planes", [0, 1, 3])
def test_interrupted_it_goes_on_where_it_was(inputs, tmp_path, predictor, counted, planes):
    """Closed while a plane is at work: the finished ones, also of the same stack, are not computed again."""
    out = tmp_path / "out"
    steps = embed_steps(find_images([inputs]), out, predictor)
    for step in steps:
        if step.done == planes and "computing the image embedding" in step.note:
            break
    steps.close()
    assert len(DiskCache(out)) == planes
    del counted[:]
    result = embed(inputs, out, predictor)
    assert (result.count("reused"), result.count("computed")) == (planes, 5 - planes)
    assert len(counted) == 5 - planes
    assert len(read_manifest(out)) == 5
    assert embed(inputs, out, predictor).count("reused") == 5


def test_a_damaged_embedding_is_computed_again_and_counted(inputs, tmp_path, predictor):
    out = tmp_path / "out"
    embed(inputs, out, predictor)
    broken = out / read_manifest(out)[2].file
    broken.write_bytes(broken.read_bytes()[:-1000])
    notes = []
    result = drain(embed_steps(find_images([inputs]), out, predictor), lambda step: notes.append(step.note))
    assert (result.count("repaired"), result.count("reused")) == (1, 4)
    assert [note for note in notes if "is damaged" in note] == [
        "stack.tif#0001: its embedding is damaged, computing it again"
    ]
    assert embed(inputs, out, predictor).count("reused") == 5


def test_a_damaged_image_does_not_stop_the_others(inputs, tmp_path, predictor):
    (inputs / "broken.tif").write_bytes(b"II*\0")
    seen = []
    result = drain(embed_steps(find_images([inputs]), tmp_path / "out", predictor), seen.append)
    assert len(result.planes) == 5
    assert len(result.failed) == 1
    assert "broken.tif is damaged" in result.failed[0]
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert (seen[0].done, seen[0].total) == (0, 3), "images, until their planes are known"
    assert (seen[-1].done, seen[-1].total) == (6, 6)


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_what_the_model_says_of_one_slice_costs_that_slice(inputs, tmp_path, predictor, monkeypatch, error):
    compute, folder = Predictor.compute_steps, tmp_path / "out"

    def compute_steps(self, image, **options):
        if np.array_equal(image, STACK[1]):
            raise error("an error\nof torch")
        return (yield from compute(self, image, **options))

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    result = drain(embed_steps(find_images([inputs]), folder, predictor))
    assert result.failed == (f"{inputs / 'stack.tif'}: an error of torch",)
    assert [record.plane for record in read_manifest(folder)] == ["image", "0000", "0002", "0003"]


def test_an_image_that_changed_leaves_nothing_behind(inputs, tmp_path, predictor):
    out = tmp_path / "out"
    embed(inputs, out, predictor)
    Picture.fromarray(PICTURE[::-1]).save(inputs / "a.png")
    assert embed(inputs, out, predictor).count("computed") == 1
    assert len(read_manifest(out)) == len(DiskCache(out)) == 5
    other = Predictor(predictor.sam, device="cpu")
    other._digest = "another model"
    embed(inputs, out, other)
    assert len(read_manifest(out)) == len(DiskCache(out)) == 10, "a folder holds several models"


def test_a_manifest_that_is_damaged_is_begun_anew(inputs, tmp_path, predictor, counted):
    out = tmp_path / "out"
    embed(inputs, out, predictor)
    for content in ("{", json.dumps({"version": 99, "embeddings": []})):
        (out / "manifest.json").write_text(content)
        with pytest.raises(ValueError, match=r"manifest"):
            read_manifest(out)
        del counted[:]
        embed(inputs, out, predictor)
        assert counted == []
        assert len(read_manifest(out)) == 5


def test_limits_of_choice(inputs, tmp_path, predictor):
    embed(inputs, tmp_path / "given", predictor, (0, 4095))
    assert {record.contrast_limits for record in read_manifest(tmp_path / "given")} == {(0, 4095)}
    embed(inputs, tmp_path / "percentiles", predictor, "percentiles")
    low, high = np.percentile(STACK, (0.1, 99.9))
    found = {record.image: record.contrast_limits for record in read_manifest(tmp_path / "percentiles")}
    assert found == {"a.png": (0, 255), "stack.tif": (pytest.approx(low), pytest.approx(high))}
    with pytest.raises(ValueError, match="the lower first"):
        embed(inputs, tmp_path / "wrong", predictor, (9, 1))
    assert not (tmp_path / "wrong").exists()


def test_windows_of_a_large_image_are_those_that_a_click_asks_for(tmp_path, predictor, counted, monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    pixels = RNG.integers(0, 4096, (300, 200)).astype(np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "big.tif", pixels)
    out = tmp_path / "out"
    result = embed(tmp_path / "in", out, predictor)
    image = lazy_image(pixels)
    plan = tile_plan(image.shape, predictor.sam.config.image_size)
    windows = [window for level in plan.levels for _, _, window in plan.windows(level)]
    assert len(windows) > 4
    assert [plane.state for plane in result.planes] == ["computed"] * len(windows)
    assert [plane.state for plane in embed(tmp_path / "in", out, predictor).planes] == ["reused"] * len(windows)
    assert {record.plane for record in read_manifest(out)} > {"window 0-0-0", "window 1-0-0"}

    count = len(counted)
    there = Predictor(predictor.sam, device="cpu", cache=CachePlaces(limit=0, prepared=out).open())
    limits = (float(pixels.min()), float(pixels.max()))
    big = TiledEmbedding(image, plan, limits, prepared=Preparation(True))
    for row in range(5, 300, 19):  # near edges of windows too
        window = big.window_for((row, 95, row, 95), 0)
        drain(big.embedding_steps(there, window))
    assert len(counted) == count, "nothing is encoded"

    opened = TiledEmbedding(image, plan, limits, prepared=True)
    windows = [window for _, _, window in plan.windows(0)]
    drain(opened.known_steps(there, windows))
    assert list(opened.ready) == windows, "they are known as ready"
    assert len(counted) == count


def test_limits_of_a_large_image_with_blank_parts_are_those_of_its_layer(tmp_path, predictor, monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    monkeypatch.setattr(cache_limits, "_READ_SIDE", 64)
    pixels = np.full((150, 120), 1000, np.float32)  # most windows hold one value, one holds none
    pixels[100:, 100:] = np.linspace(2000, 3000, 20)
    pixels[:64, :64] = np.nan
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "big.tif", pixels)
    embed(tmp_path / "in", tmp_path / "out", predictor)
    assert {record.contrast_limits for record in read_manifest(tmp_path / "out")} == {(1000, 3000)}
    assert layer_limits(pixels, has_colours=False) == (1000, 3000)


@pytest.mark.parametrize("large_side", [100, 1000], ids=["in windows", "as a whole"])
def test_a_multiscale_zarr_is_found_by_the_layer_that_napari_makes_of_it(
    tmp_path, predictor, counted, monkeypatch, large_side
):
    """The layer's contrast limits are those of the coarsest level, whose values vary less."""
    monkeypatch.setattr(tiling, "LARGE_SIDE", large_side)
    path, out = write_ome_zarr(tmp_path / "slide.ome.zarr"), tmp_path / "out"
    image = BatchImage(FileSource(path, path.name), path.name, path.name)
    result = drain(embed_steps([image], out, predictor))
    assert result.failed == ()
    arrays, _ = read_zarr_dataset(str(path))
    layer = Image(arrays, multiscale=True)
    limits = tuple(layer.contrast_limits)
    assert limits != layer_limits(np.asarray(arrays[0]), has_colours=False)
    assert {record.contrast_limits for record in read_manifest(out)} == {limits}
    count = len(counted)
    there = Predictor(predictor.sam, device="cpu", cache=CachePlaces(limit=0, prepared=out).open())
    if large_side == 1000:
        there.encode(np.asarray(layer.data[0]), contrast_limits=limits)
    else:
        plan = tile_plan(arrays[0].shape, predictor.sam.config.image_size)
        big = TiledEmbedding(LazyImage(tuple(layer.data)), plan, limits, prepared=Preparation(True))
        for level in plan.levels:
            drain(big.embedding_steps(there, plan.window(level, 0, 0)))
    assert len(counted) == count > 0, "nothing is encoded"


@pytest.mark.parametrize("opened", ["by napari", "with its levels"])
def test_a_pyramidal_tiff_is_found_by_the_layer_at_every_level(tmp_path, predictor, counted, monkeypatch, opened):
    """Its coarse levels are every second pixel, which is not what averages of the finest are."""
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    monkeypatch.setattr(lazy_opening, "KEPT_SIDE", 260)
    pixels, path, out = (
        RNG.integers(9, 999, (500, 300)).astype(np.uint16),
        tmp_path / "in" / "p.tif",
        tmp_path / "out",
    )
    path.parent.mkdir()
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(64, 64), subifds=2)
        for step in (2, 4):
            file.write(np.ascontiguousarray(pixels[::step, ::step]), tile=(64, 64), subfiletype=1)
    result = embed(path.parent, out, predictor)
    assert result.failed == ()
    assert len({record.place for record in read_manifest(out)}) == len(result.planes)

    if opened == "by napari":
        layer = Image(napari_imread(str(path)))
        assert not layer.multiscale
    else:
        layer = Layer.create(*drain(large_layer_steps(path))[0])
        assert layer.multiscale
    limits = tuple(layer.contrast_limits)
    assert {record.contrast_limits for record in read_manifest(out)} == {limits}
    count = len(counted)
    there = Predictor(predictor.sam, device="cpu", cache=CachePlaces(limit=0, prepared=out).open())
    shown = plane_reader(layer, Plane((0, 1), ()))()
    big = drain(encoding_steps(there, shown, limits))
    assert big.prepared.fits
    windows = [window for level in big.plan.levels for _, _, window in big.plan.windows(level)]
    assert {window.level for window in windows} == {0, 1, 2}
    for window in windows:
        drain(big.embedding_steps(there, window))
    assert len(counted) == count, "nothing is encoded"


def test_a_zarr_whose_coarsest_level_is_damaged_is_a_sentence(tmp_path, predictor, inputs):
    path = write_ome_zarr(tmp_path / "slide.ome.zarr")
    for chunk in (path / "1" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"no chunk")
    images = [BatchImage(FileSource(path, path.name), path.name, path.name), *find_images([inputs])]
    seen = []
    result = drain(embed_steps(images, tmp_path / "out", predictor), seen.append)
    assert len(result.planes) == 5
    assert len(result.failed) == 1
    assert "slide.ome.zarr" in result.failed[0]
    assert (seen[-1].done, seen[-1].total) == (6, 6)


def write_ome_zarr(path: Path) -> Path:
    pixels = RNG.integers(100, 4000, (300, 200)).astype(np.uint16)
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=pixels, chunks=(128, 128))
    coarse = pixels.reshape(150, 2, 100, 2).mean(axis=(1, 3)).astype(np.uint16)
    group.create_array("1", data=coarse, chunks=(128, 128))
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scales = [[1, 1], [2, 2]]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level, scale in enumerate(scales)
    ]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path
