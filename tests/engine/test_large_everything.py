"""Everything over tiles: against the truth, against the same image untiled, interrupted, and damaged."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from tests.engine.large_scene import MODEL, SETTINGS, SHAPE, SIDE, Components, labels_of, run

from napari_segany.engine.batch.folder import BatchFolder, BatchFolderInUseError
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.large.job import ImageAtHand, ImageAtPath
from napari_segany.engine.large.objects import conflicts, suppressed
from napari_segany.engine.large.results import image_result
from napari_segany.engine.large.run import ThisProcess, large_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import lazy_image


def matched(found: np.ndarray, truth: np.ndarray, least: float) -> float:
    """Return the part of the true objects that one label matches at an IoU."""
    numbers = np.unique(truth)[1:]
    hits = 0
    for number in numbers:
        mask = truth == number
        candidates, counts = np.unique(found[mask], return_counts=True)
        for one, shared in zip(candidates, counts, strict=True):
            if one and shared / (mask.sum() + (found == one).sum() - shared) >= least:
                hits += 1
                break
    return hits / len(numbers)


@pytest.fixture(scope="module")
def result(image, tmp_path_factory):
    return run(image, tmp_path_factory.mktemp("large"))


def test_every_object_is_found_once_and_none_is_cut(result, truth):
    found = labels_of(result)
    assert found.dtype == np.uint32
    assert result.objects == len(np.unique(found)) - 1 == len(np.unique(truth)) - 1
    assert matched(found, truth, 0.95) == 1
    small = (truth > 0) & (truth != 3)
    np.testing.assert_array_equal(found[small] > 0, True)  # of the finest level to the pixel


def test_objects_over_several_tiles_have_one_label_and_the_largest_comes_from_a_coarser_level(result, truth):
    found = labels_of(result)
    rows = list(csv.DictReader(result.table.open()))
    for number, tiles, level in ((1, "5", "0"), (3, "1", "1")):
        one = np.unique(found[truth == number])
        assert len(one[one > 0]) == 1
        row = rows[int(one.max()) - 1]
        assert (row["tiles"], row["level"]) == (tiles, level)


def test_the_table_says_what_the_labels_show(result):
    found = labels_of(result)
    rows = list(csv.DictReader(result.table.open()))
    counts = np.bincount(found.ravel(), minlength=len(rows) + 1)[1:]
    assert [int(row["pixels"]) for row in rows] == counts.tolist()
    for row in rows[:20]:
        where = np.argwhere(found == int(row["label"]))
        box = [int(row[f"bbox_{name}"]) for name in ("row_min", "col_min", "row_max", "col_max")]
        assert box == [*where.min(axis=0), *(where.max(axis=0) + 1)]


def test_labels_are_the_same_in_every_run_and_whatever_the_order_of_tiles(result, image, tmp_path):
    class Backwards(ThisProcess):
        def tile_steps(self, job, places, model, results):
            yield from super().tile_steps(job, places[::-1], model, results)

    steps = large_steps(
        ImageAtHand(lazy_image(image)), "big", tmp_path, MODEL, SETTINGS,
        tiling=TilingSettings(side=SIDE), workers=Backwards(Components()),
    )  # fmt: skip
    np.testing.assert_array_equal(labels_of(drain(steps)), labels_of(result))


@pytest.mark.parametrize("stopped_after", [3, 40])
def test_an_interrupted_run_goes_on_where_it_was(stopped_after, result, image, tmp_path):
    segment = Components()
    steps = large_steps(
        ImageAtHand(lazy_image(image)), "big", tmp_path, MODEL, SETTINGS,
        tiling=TilingSettings(side=SIDE), workers=ThisProcess(segment),
    )  # fmt: skip
    for _ in range(stopped_after):
        next(steps)
    steps.close()
    before = len(segment.seen)
    again = Components()
    second = run(image, tmp_path, again)
    assert second.reused >= before - 1
    assert len(again.seen) == second.tiles - second.reused
    np.testing.assert_array_equal(labels_of(second), labels_of(result))
    third = Components()
    assert run(image, tmp_path, third).reused == second.tiles
    assert third.seen == []


def test_a_changed_pixel_does_only_its_tiles_again(image, tmp_path):
    run(image, tmp_path)
    changed = image.copy()
    changed[20, 20] = 255
    again = Components()
    result = run(changed, tmp_path, again)
    assert len(again.seen) == len([0, 1, 2])  # one tile of each of the three levels
    assert result.failed == ()


@pytest.mark.parametrize(
    "error", [MemoryError("no memory for this tile"), RuntimeError("mat1 and mat2 shapes cannot be multiplied")]
)
def test_failed_tiles_are_reported_and_tried_again(image, truth, tmp_path, error):
    result = run(image, tmp_path, Components(fails_at=2, error=error))
    assert len(result.failed) == 1
    assert str(error) in result.failed[0]
    assert result.objects > 30
    # What stood in the missing tile is left out or whole, not cut.
    found = labels_of(result)
    for number in np.unique(found)[1:]:
        true = np.bincount(truth[found == number]).argmax()
        assert (found == number).sum() >= 0.9 * (truth == true).sum()
    mended = run(image, tmp_path)
    assert mended.failed == ()
    assert mended.reused == mended.tiles - 1
    assert matched(labels_of(mended), truth, 0.95) == 1


def test_a_damaged_tile_is_done_again(image, tmp_path):
    first = run(image, tmp_path)
    tile = next((tmp_path / ".segany" / "tiles" / "big").rglob("*.npz"))
    tile.write_bytes(tile.read_bytes()[:-40])
    again = Components()
    assert run(image, tmp_path, again).reused == first.tiles - 1
    assert len(again.seen) == 1


def test_labels_of_a_run_that_stopped_half_way_are_not_taken_for_those_of_the_one_before(result, image, tmp_path):
    table = run(image, tmp_path).table
    aside = table.rename(tmp_path / "aside.csv")
    table.mkdir()  # the labels are replaced, and then the table cannot be
    changed = np.where(image == image[470, 700], 0, image)
    with pytest.raises(OSError, match=r"big\.csv"):
        run(changed, tmp_path)
    table.rmdir()
    aside.rename(table)
    np.testing.assert_array_equal(labels_of(run(image, tmp_path)), labels_of(result))


def test_tiles_that_cannot_be_read_today_do_not_cost_the_labels_of_yesterday(result, image, tmp_path):
    run(image, tmp_path)

    class Unreachable(np.ndarray):
        def __getitem__(self, window):
            if window[0].start > 0:
                raise OSError("the network is gone")
            return np.asarray(self)[window]

    again = run(image.view(Unreachable), tmp_path)
    assert again.failed
    assert "the network is gone" in again.failed[0]
    assert again.objects == result.objects
    assert again.is_earlier
    told = image_result("big", again, BatchSettings()).error
    assert "the network is gone; the labels and the table are those of the run before" in told
    np.testing.assert_array_equal(labels_of(again), labels_of(result))


def test_labels_that_cannot_take_their_place_leave_the_former_ones(result, image, tmp_path, monkeypatch):
    run(image, tmp_path)
    replace = Path.replace

    def refused(self, target):
        if target.name == "big.zarr" and not (self / "kept").exists():
            raise PermissionError(13, "Permission denied", str(target))
        return replace(self, target)

    (tmp_path / "labels" / "big.zarr" / "kept").touch()
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(PermissionError):
        run(np.zeros_like(image), tmp_path)
    found = zarr.open_group(tmp_path / "labels" / "big.zarr", mode="r")["0"][:]
    np.testing.assert_array_equal(found, labels_of(result))
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["big.zarr"]


def test_a_batch_does_not_clear_the_folder_of_a_run_at_work(image, tmp_path):
    steps = large_steps(
        ImageAtHand(lazy_image(image)), "big", tmp_path, MODEL, SETTINGS,
        tiling=TilingSettings(side=SIDE), workers=ThisProcess(Components()),
    )  # fmt: skip
    next(steps)
    with pytest.raises(BatchFolderInUseError), BatchFolder(tmp_path).locked():
        pass
    steps.close()
    with BatchFolder(tmp_path).locked():
        pass


def test_a_pyramidal_tiff_gives_the_labels_of_the_array_and_a_tiff_is_written(result, image, tmp_path):
    path = tmp_path / "big.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(image, tile=(128, 128), compression="zlib", subifds=1)
        halves = image.reshape(350, 2, 450, 2).mean(axis=(1, 3))
        file.write(np.rint(halves).astype(np.uint8), tile=(128, 128), compression="zlib", subfiletype=1)
    opened = ImageAtPath(path, "big.tif")
    assert len(opened.open().levels) == 2
    found = run(opened, tmp_path / "out", tiff=True)
    np.testing.assert_array_equal(labels_of(found), labels_of(result))
    with tifffile.TiffFile(found.labels.with_suffix(".tif")) as file:
        assert file.is_bigtiff
        assert file.pages[0].is_tiled
        np.testing.assert_array_equal(file.asarray(), labels_of(result))


def test_a_blank_image_and_one_smaller_than_a_tile(tmp_path, discs):
    nothing = run(np.full(SHAPE, 7, np.uint8), tmp_path / "a")
    assert (nothing.objects, nothing.failed) == (0, ())
    assert not labels_of(nothing).any()
    small = discs.disc_image((90, 120), [(40, 50, 20, 200)])
    assert run(small, tmp_path / "b").objects == 1


def test_the_rule_that_needs_the_whole_image_is_refused(image, tmp_path):
    with pytest.raises(ValueError, match="smaller, larger or better"):
        run(image, tmp_path, painting="separate")


def test_suppression_of_near_pairs_is_that_of_all_pairs():
    rng = np.random.default_rng(1)
    low = rng.integers(0, 300, (120, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 90, (120, 2))], axis=1)
    order = rng.permutation(120)
    for threshold in (0.2, 0.5, 0.7):
        kept: list[int] = []
        for one in order:
            shared = [
                np.prod(
                    np.maximum(np.minimum(boxes[one, 2:], boxes[k, 2:]) - np.maximum(boxes[one, :2], boxes[k, :2]), 0)
                )
                for k in kept
            ]
            sizes = [np.prod(boxes[k, 2:] - boxes[k, :2]) + np.prod(boxes[one, 2:] - boxes[one, :2]) for k in kept]
            if all(part <= threshold * (size - part) for part, size in zip(shared, sizes, strict=True)):
                kept.append(one)
        np.testing.assert_array_equal(suppressed(boxes, order, threshold), np.sort(kept))
    first, second = conflicts(boxes[:0], 0.5)
    assert len(first) == len(second) == 0
