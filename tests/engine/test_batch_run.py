from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools.coco import COCO

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.folder import BatchFolder, BatchFolderInUseError
from napari_segany.engine.batch.inputs import find_images, images_of_arrays
from napari_segany.engine.batch.model_source import LoadedModel, NamedModel
from napari_segany.engine.batch.output_names import OUTPUTS
from napari_segany.engine.batch.run import BatchProgress, batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.batch.sources import ImageContent
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.formats.atomic import replacing
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size
from napari_segany.formats.sa1b import read_sa1b
from napari_segany.formats.table import read_table
from napari_segany.formats.yolo import read_data_yaml, read_yolo_labels

AUTOMATIC = AutomaticSettings(
    points_per_side=3, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None, box_nms_thresh=1
)
EVERYTHING = BatchSettings(tuple(OUTPUTS), AUTOMATIC)
LABELS = BatchSettings(("labels",), AUTOMATIC)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """An RGB picture, and a stack of two 16-bit planes whose pixels are 0.5 um high and 0.25 um wide."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / "rgb.png")
    stack = rng.integers(0, 4000, (2, 24, 36)).astype(np.uint16)
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(folder / "stack.ome.tif", stack, metadata=metadata)
    return folder


@pytest.fixture
def model(predictor):
    return LoadedModel(predictor)


def run(folder, out, model, settings=LABELS, **options):
    return drain(batch_steps(find_images([folder]), out, model, settings, **options))


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def report(out: Path) -> list[dict[str, str]]:
    with (out / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_output_shows_what_the_generator_says(inputs, tmp_path, model, predictor):
    out = tmp_path / "out"
    result = run(inputs, out, model, EVERYTHING)
    pixels = np.asarray(Image.open(inputs / "rgb.png"))
    records = AutomaticMaskGenerator(predictor, AUTOMATIC).generate(pixels)
    assert len(records) > 1
    assert result.images[0].objects == len(records)

    masks = np.array([record.mask for record in records])
    labels = tifffile.imread(out / "labels/rgb.tif")
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels > 0, masks.any(axis=0))
    smallest = np.where(masks, masks.sum(axis=(1, 2))[:, None, None], 10**9).min(axis=0)
    shown = labels > 0
    np.testing.assert_array_equal(masks.sum(axis=(1, 2))[labels[shown] - 1], smallest[shown])

    sample = read_sa1b(out / "sa1b/rgb.json")
    assert (sample.file_name, sample.size) == ("rgb.png", (30, 40))
    assert [record.rle for record in sample.records] == [record.rle for record in records]

    coco = COCO(out / "coco.json")
    assert [coco.imgs[number]["file_name"] for number in sorted(coco.imgs)] == [
        "rgb.png", "stack.ome.tif#0000", "stack.ome.tif#0001",
    ]  # fmt: skip
    judged = [coco.annToMask(annotation) for annotation in coco.imgToAnns[1]]
    np.testing.assert_array_equal(judged, masks)
    assert [annotation["label"] for annotation in coco.imgToAnns[1]] == list(range(1, len(records) + 1))

    yolo = read_yolo_labels(out / "yolo/labels/train/rgb.txt", (30, 40))
    np.testing.assert_array_equal([item.record.mask for item in yolo], masks)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "yolo/images/train/rgb.png")), pixels)
    assert read_data_yaml(out / "yolo/data.yaml").names == {0: "object"}

    table = read_table(out / "tables/rgb.csv")
    np.testing.assert_array_equal(table["area"], masks.sum(axis=(1, 2)))
    np.testing.assert_allclose(table["intensity_mean_1"], [pixels[..., 1][mask].mean() for mask in masks])
    overlay = np.asarray(Image.open(out / "overlays/rgb.png"))
    assert overlay.shape == pixels.shape
    assert (overlay != pixels).any(axis=-1).sum() >= shown.sum() / 2


def test_a_stack_goes_slice_by_slice_with_one_mapping_and_keeps_its_pixel_size(inputs, tmp_path, model, predictor):
    out = tmp_path / "out"
    run(inputs, out, model, EVERYTHING)
    stack = tifffile.imread(inputs / "stack.ome.tif")
    limits = tuple(np.percentile(stack, [0.1, 99.9]))
    generator = AutomaticMaskGenerator(predictor, AUTOMATIC)
    planes = [generator.generate(plane, contrast_limits=limits) for plane in stack]
    counts = [len(records) for records in planes]

    labels = tifffile.imread(out / "labels/stack.tif")
    assert labels.shape == stack.shape
    assert read_pixel_size(out / "labels/stack.tif").row == pytest.approx(0.5)
    assert read_pixel_size(out / "labels/stack.tif").col == pytest.approx(0.25)
    assert labels[0].max() <= counts[0] < labels[1][labels[1] > 0].min()
    for number, records in enumerate(planes):
        np.testing.assert_array_equal(labels[number] > 0, np.any([record.mask for record in records], axis=0))

    table = read_table(out / "tables/stack.csv")
    np.testing.assert_array_equal(table["plane"], np.repeat([0, 1], counts))
    np.testing.assert_array_equal(table["label"], np.arange(1, sum(counts) + 1))
    np.testing.assert_allclose(table["area_um2"], table["area"] * 0.125)
    for name in ("sa1b/stack/0001.json", "overlays/stack/0001.png", "yolo/labels/train/stack/0001.txt"):
        assert (out / name).is_file()


def test_a_damaged_image_is_reported_and_the_rest_goes_on(inputs, tmp_path, model):
    (inputs / "a_damaged.tif").write_bytes(b"II*\0 no more")
    np.save(inputs / "words.npy", np.array(["no", "image"]))
    out = tmp_path / "out"
    result = run(inputs, out, model)
    assert [image.name for image in result.failed] == ["a_damaged", "words"]
    lines = report(out)
    assert [(line["name"], line["status"]) for line in lines] == [
        ("a_damaged", "failed"), ("rgb", "done"), ("stack", "done"), ("words", "failed"),
    ]  # fmt: skip
    assert "damaged or no image" in lines[0]["message"]
    assert str(inputs / "a_damaged.tif") in lines[0]["message"]
    assert (lines[2]["planes"], int(lines[2]["objects"])) == ("2", result.images[2].objects)
    assert sorted(path.name for path in (out / "labels").iterdir()) == ["rgb.tif", "stack.tif"]


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_what_the_model_says_of_one_image_costs_that_image(inputs, tmp_path, model, monkeypatch, error):
    compute, out = Predictor.compute_steps, tmp_path / "out"

    def compute_steps(self, image, **options):
        if np.asarray(image).shape == (30, 40, 3):  # the first of the two
            raise error("CUDA error:\nan illegal memory access")
        return (yield from compute(self, image, **options))

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    result = run(inputs, out, model)
    (failed,) = result.failed
    assert failed.error == f"{inputs / 'rgb.png'}: CUDA error: an illegal memory access"
    assert [(line["name"], line["status"]) for line in report(out)] == [("rgb", "failed"), ("stack", "done")]
    assert "an illegal memory access" in report(out)[0]["message"]
    monkeypatch.undo()
    mended = run(inputs, out, model)
    assert (mended.failed, mended.reused) == ((), 1)
    assert tree(out)["labels/rgb.tif"]


def test_a_model_that_torch_cannot_load_ends_the_run(inputs, tmp_path, model, monkeypatch):
    def load(self):
        raise RuntimeError("no kernel image\nis available")

    monkeypatch.setattr(LoadedModel, "load", load)
    with pytest.raises(ValueError, match="the model cannot be loaded: no kernel image is available"):
        run(inputs, tmp_path / "out", model)


def test_a_second_run_changes_nothing_and_needs_no_model(inputs, tmp_path, model, monkeypatch):
    out = tmp_path / "out"
    run(inputs, out, model, EVERYTHING)
    before = {path: path.stat().st_mtime_ns for path in out.glob("labels/*")}
    content = tree(out)
    monkeypatch.setattr(LoadedModel, "load", lambda self: pytest.fail("the model was loaded"))
    assert run(inputs, out, model, EVERYTHING).reused == 2
    assert tree(out) == content
    assert {path: path.stat().st_mtime_ns for path in out.glob("labels/*")} == before


def test_what_is_complete_is_told_by_content(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model)
    rgb = inputs / "rgb.png"
    rgb.write_bytes(rgb.read_bytes())  # newer, but the same
    assert run(inputs, out, model).reused == 2
    earlier = (out / "labels/rgb.tif").read_bytes()
    Image.fromarray(np.asarray(Image.open(rgb))[::-1]).save(rgb)
    assert run(inputs, out, model).reused == 1
    assert (out / "labels/rgb.tif").read_bytes() != earlier
    fresh = tmp_path / "fresh"
    run(inputs, fresh, model)
    assert tree(fresh) == tree(out)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"half"), Path.unlink])
def test_an_output_that_is_not_whole_is_written_again(inputs, tmp_path, model, damage):
    out = tmp_path / "out"
    run(inputs, out, model)
    content = tree(out)
    damage(out / "labels/stack.tif")
    assert run(inputs, out, model).reused == 1
    assert tree(out) == content


def test_kept_masks_that_are_damaged_are_made_again(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model, EVERYTHING)
    content = tree(out)
    (out / ".segany/images/stack/0001.json").write_text("{")
    (out / ".segany/images/rgb/done.json").write_text("[]")
    assert run(inputs, out, model, EVERYTHING).reused == 0
    assert tree(out) == content


def test_other_outputs_of_the_same_masks_need_no_model(inputs, tmp_path, model, monkeypatch):
    out = tmp_path / "out"
    run(inputs, out, model)
    monkeypatch.setattr(LoadedModel, "load", lambda self: pytest.fail("the model was loaded"))
    run(inputs, out, model, BatchSettings(("csv", "coco"), AUTOMATIC, painting="larger"))
    assert (out / "tables/rgb.csv").is_file()
    assert (out / "labels/rgb.tif").is_file()
    run(inputs, out, model, BatchSettings(("csv", "coco"), AUTOMATIC.replaced(points_per_batch=7)))


def test_other_masks_replace_all_that_showed_the_earlier_ones_but_what_was_edited(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model, BatchSettings(("labels", "overlay"), AUTOMATIC))
    (out / "overlays/rgb.png").write_bytes(b"my own work")
    result = run(inputs, out, model, BatchSettings(("labels",), AUTOMATIC.replaced(points_per_side=2)))
    assert result.reused == 0
    assert [path.name for path in (out / "overlays").rglob("*.png")] == ["rgb.png"]
    assert run(inputs, out, model, BatchSettings(("labels",), AUTOMATIC, (0, 100))).reused == 0


def test_another_model_makes_other_masks(inputs, tmp_path, model, predictor, monkeypatch):
    out = tmp_path / "out"
    run(inputs, out, model)
    monkeypatch.setattr(LoadedModel, "digest_steps", lambda self: iter_of("other"))
    assert run(inputs, out, model).reused == 0


def iter_of(value):
    yield from ()
    return value


def test_the_digest_of_a_model_sees_every_weight(predictor, tmp_path):
    import torch

    digest = drain(LoadedModel(predictor).digest_steps())
    parameter = next(predictor.sam.parameters())
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter.view(-1)[-1] += 1e-3
        changed = drain(LoadedModel(predictor).digest_steps())
        parameter.copy_(kept)
    assert changed != digest == drain(LoadedModel(predictor).digest_steps())


def test_progress_counts_images_and_closing_leaves_nothing_half_written(inputs, tmp_path, model):
    out = tmp_path / "out"
    steps = batch_steps(find_images([inputs]), out, model, EVERYTHING)
    seen = []
    for progress in steps:
        seen.append(progress)
        if progress.name == "stack" and progress.stage.note.startswith("Writing"):
            break
    steps.close()
    assert all(isinstance(progress, BatchProgress) and progress.total == 2 for progress in seen)
    assert {(progress.done, progress.name) for progress in seen if progress.name} == {(0, "rgb"), (1, "stack")}
    assert any(progress.stage.total == 9 for progress in seen if progress.stage is not None)
    assert (out / "labels/rgb.tif").is_file()
    assert not (out / "coco.json").exists()
    assert not [path for path in out.rglob(".*") if path.is_file()]
    assert run(inputs, out, model, EVERYTHING).reused == 1
    fresh = tmp_path / "fresh"
    run(inputs, fresh, model, EVERYTHING)
    assert tree(fresh) == tree(out)


def test_two_batches_do_not_share_a_folder(inputs, tmp_path, model):
    with BatchFolder(tmp_path / "out").locked(), pytest.raises(BatchFolderInUseError, match="another batch"):
        run(inputs, tmp_path / "out", model)
    assert run(inputs, tmp_path / "out", model).failed == ()


def test_what_a_killed_run_left_is_cleared_and_nothing_else(inputs, tmp_path, model):
    out = tmp_path / "out"
    run(inputs, out, model, EVERYTHING)
    content = tree(out)
    (out / ".notes-12345678.txt").write_text("mine")
    for path in (out / "labels/rgb.tif", out / "yolo/data.yaml", out / "report.csv", out / "coco.json"):
        with replacing(path) as temporary:
            name = temporary.name
            temporary.write_bytes(path.read_bytes())
        (path.parent / name).write_bytes(b"half")
    run(inputs, out, model, EVERYTHING)
    assert tree(out) == {**content, ".notes-12345678.txt": b"mine"}


def test_outputs_that_cannot_be_written_end_the_batch(inputs, tmp_path, model):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/labels").write_text("a file where the folder belongs")
    with pytest.raises(OSError, match="labels"):
        run(inputs, tmp_path / "out", model)


def test_a_model_that_is_missing_is_no_fault_of_the_images(inputs, tmp_path):
    with pytest.raises(ValueError, match="no_such_model"):
        run(inputs, tmp_path / "out", NamedModel("no_such_model"))
    assert not (tmp_path / "out").exists()


def test_arrays_are_images_too(tmp_path, model, predictor):
    rng = np.random.default_rng(1)
    pixels = rng.normal(size=(20, 30))
    content = ImageContent(pixels, PixelSize(2, 2, "nm"), (-1.0, 1.0))
    images = images_of_arrays([("layer", content), ("text", ImageContent(np.array([["a"]])))])
    result = drain(batch_steps(images, tmp_path, model, LABELS))
    assert [bool(image.error) for image in result.images] == [False, True]
    records = AutomaticMaskGenerator(predictor, AUTOMATIC).generate(pixels, contrast_limits=(-1, 1))
    labels = tifffile.imread(tmp_path / "labels/layer.tif")
    np.testing.assert_array_equal(labels > 0, np.any([record.mask for record in records], axis=0))
    assert drain(batch_steps(images[:1], tmp_path, model, LABELS)).reused == 1
    changed = images_of_arrays([("layer", ImageContent(pixels, PixelSize(2, 2, "nm"), (-1.0, 2.0)))])
    assert drain(batch_steps(changed, tmp_path, model, LABELS)).reused == 0


def test_files_of_other_kinds(tmp_path, model):
    """A TIFF file under another ending, and FITS-like text that nobody reads; Pillow reads neither."""
    pixels = np.random.default_rng(0).normal(size=(3, 20, 30))
    tifffile.imwrite(tmp_path / "confocal.lsm", pixels)
    (tmp_path / "scan.dcm").write_bytes(b"DICM, cut off")
    result = run(tmp_path, tmp_path / "out", model)
    assert [image.name for image in result.failed] == ["scan"]
    assert tifffile.imread(tmp_path / "out/labels/confocal.tif").shape == (3, 20, 30)


def test_a_picture_that_only_scikit_image_reads(tmp_path):
    """numpy's archives, which imageio reads for scikit-image."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    np.savez(tmp_path / "a.npz", pixels)
    (image,) = find_images([tmp_path / "a.npz"])
    np.testing.assert_array_equal(image.source.read().pixels, pixels)


@pytest.mark.parametrize("bad", [{"outputs": ()}, {"outputs": ("labels", "movie")}, {"painting": "random"}])
def test_settings_that_do_not_exist_are_refused(bad):
    with pytest.raises(ValueError, match="choose from"):
        BatchSettings(**bad)


def test_nothing_tells_when_it_was_written(inputs, tmp_path, model):
    run(inputs, tmp_path / "a", model, EVERYTHING)
    run(inputs, tmp_path / "b", model, EVERYTHING)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    done = json.loads((tmp_path / "a/.segany/images/rgb/done.json").read_text())
    assert "labels/rgb.tif" in done["files"]


def test_what_no_batch_wrote_is_never_written_over(inputs, tmp_path, model):
    """Somebody's ground truth, in the layout that training asks for."""
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    truth = np.full((30, 40), 7, np.uint16)
    tifffile.imwrite(out / "labels/rgb.tif", truth)
    for _ in range(2):  # a run that refused leaves nothing that makes the next one forget it
        failed = run(inputs, out, model).failed
        assert [image.name for image in failed] == ["rgb"]
        assert "labels/rgb.tif is there and was not written by segany" in failed[0].error
        np.testing.assert_array_equal(tifffile.imread(out / "labels/rgb.tif"), truth)
    assert (out / "labels/stack.tif").is_file()
    again = tmp_path / "again"
    again.mkdir()
    (again / "coco.json").write_text("{}")
    with pytest.raises(ValueError, match=r"coco\.json is in .* and was not written by segany"):
        run(inputs, again, model, EVERYTHING)
    assert [path.name for path in again.iterdir()] == ["coco.json"]


def test_a_run_that_was_stopped_while_it_wrote_knows_its_own_files(inputs, tmp_path, model, monkeypatch):
    from napari_segany.engine.batch import image_outputs

    out, write_table = tmp_path / "out", image_outputs.write_table

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_outputs, "write_table", stop)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, out, model, EVERYTHING)
    assert (out / "labels/rgb.tif").is_file()
    monkeypatch.setattr(image_outputs, "write_table", write_table)
    assert run(inputs, out, model, EVERYTHING).failed == ()
    run(inputs, tmp_path / "undisturbed", model, EVERYTHING)
    assert tree(out) == tree(tmp_path / "undisturbed")
