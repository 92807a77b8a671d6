"""Labels layers as files, through napari's own saving, with pycocotools as judge."""

from __future__ import annotations

import contextlib
import io
import json

import dask.array
import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from napari_segany.formats.painting import PAINTING_RULES
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.yolo import YoloData, read_data_yaml, write_data_yaml
from napari_segany.widgets.file_writers import NotSavedError, write_coco
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks, painted
from napari_segany.widgets.preview_saving import PREVIEW_KEY

SHAPE = (30, 40)


pytestmark = pytest.mark.usefixtures("known_to_napari")


@pytest.fixture
def labels() -> np.ndarray:
    """A square with a hole, an object of two parts and a pixel in the corner."""
    labels = np.zeros(SHAPE, np.int32)
    labels[2:12, 3:14] = 2
    labels[5:8, 6:9] = 0
    labels[15:18, 20:25] = labels[20:26, 30:33] = 5
    labels[29, 39] = 7
    return labels


@pytest.fixture
def features() -> pd.DataFrame:
    table = pd.DataFrame({"index": range(8), "predicted_iou": np.nan, "stability_score": np.nan, "category": ""})
    table.loc[2, ["predicted_iou", "stability_score"]] = 0.91, 0.97
    table.loc[5, "predicted_iou"] = 0.85
    table.loc[[2, 5], "category"] = ["cell", "debris"]
    return table


def coco_of(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def decoded(coco: COCO) -> dict[int, np.ndarray]:
    return {own["label"]: coco.annToMask(own).astype(bool) for own in coco.loadAnns(coco.getAnnIds())}


def test_coco_holds_what_the_layer_shows(viewer, labels, features, tmp_path):
    layer = viewer.add_labels(labels, features=features, name="objects")
    path = str(tmp_path / "objects.coco.json")
    assert layer.save(path) == [path]
    coco = coco_of(path)
    masks = decoded(coco)
    assert sorted(masks) == [2, 5, 7]
    for label, mask in masks.items():
        np.testing.assert_array_equal(mask, labels == label)
    by_label = {own["label"]: own for own in coco.loadAnns(coco.getAnnIds())}
    assert (by_label[2]["predicted_iou"], by_label[2]["stability_score"]) == (0.91, 0.97)
    assert "stability_score" not in by_label[5]
    assert "predicted_iou" not in by_label[7]
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert [names[by_label[label]["category_id"]] for label in (2, 5, 7)] == ["cell", "debris", "object"]
    assert [by_label[label]["area"] for label in (2, 5, 7)] == [110 - 9, 15 + 18, 1]


def test_sa1b_holds_masks_scores_and_points(viewer, labels, tmp_path):
    prompts = ["", "", json.dumps({"model": "light", "points": [[3, 4], [6, 7]], "labels": [1, 0]}), *[""] * 5]
    features = pd.DataFrame({"index": range(8), "predicted_iou": 0.5, "prompts": prompts})
    layer = viewer.add_labels(labels, features=features)
    (path,) = layer.save(str(tmp_path / "image.sa1b.json"))
    values = json.loads((tmp_path / "image.sa1b.json").read_text())
    assert path.endswith("image.sa1b.json")
    assert (values["image"]["height"], values["image"]["width"]) == SHAPE
    for annotation, label in zip(values["annotations"], (2, 5, 7), strict=True):
        np.testing.assert_array_equal(mask_api.decode(annotation["segmentation"]) > 0, labels == label)
        assert annotation["predicted_iou"] == 0.5
        assert annotation["stability_score"] is None
    assert values["annotations"][0]["point_coords"] == [[4.0, 3.0]]
    assert values["image"]["image_id"] == 1
    (back,) = viewer.open(path, plugin="napari-segany")
    np.testing.assert_array_equal(back.data, labels)


def test_yolo_text_is_numbered_by_category(viewer, labels, features, tmp_path):
    viewer.add_labels(labels, features=features).save(str(tmp_path / "image.txt"))
    lines = [line.split() for line in (tmp_path / "image.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["0", "1", "2"]  # cell, debris, object
    for line, label in zip(lines, (2, 5, 7), strict=True):
        polygon = np.float64(line[1:]).reshape(-1, 2) * SHAPE[::-1]
        (rle,) = mask_api.frPyObjects([polygon.ravel().tolist()], *SHAPE)
        np.testing.assert_array_equal(mask_api.decode(rle) > 0, labels == label)


def test_yolo_text_keeps_the_names_of_classes_and_the_numbers_of_its_data_set(viewer, labels, features, tmp_path):
    layer = viewer.add_labels(labels, features=features)
    layer.save(str(tmp_path / "image.txt"))
    assert read_data_yaml(tmp_path / "data.yaml").names == {0: "cell", 1: "debris", 2: "object"}
    write_data_yaml(tmp_path / "data.yaml", YoloData({0: "object", 1: "debris", 2: "cell"}, ".", ".", "."))
    layer.save(str(tmp_path / "other.txt"))
    assert [line.split()[0] for line in (tmp_path / "other.txt").read_text().splitlines()] == ["2", "1", "0"]
    write_data_yaml(tmp_path / "data.yaml", YoloData({0: "object"}, ".", ".", "."))
    with pytest.raises(NotSavedError, match="has the classes object, and objects are of cell, debris"):
        layer.save(str(tmp_path / "third.txt"))
    assert not (tmp_path / "third.txt").exists()


def test_label_tiff_keeps_the_pixel_size(viewer, labels, tmp_path):
    stack = np.stack([labels, labels * 10_000, labels])
    layer = viewer.add_labels(stack, scale=[2, 0.5, 0.25], units=["um", "um", "um"])
    (path,) = layer.save(str(tmp_path / "stack.labels.tif"))
    back = tifffile.imread(path)
    np.testing.assert_array_equal(back, stack)
    assert back.dtype == np.uint32
    size = read_pixel_size(path)
    assert (size.row, size.col, size.unit) == pytest.approx((0.5, 0.25, "um"))


@pytest.mark.parametrize("units", [None, ["um", "nm"], ["s", "s"]])
def test_a_tiff_of_no_known_pixel_size_says_none(viewer, labels, tmp_path, units):
    (path,) = viewer.add_labels(labels, scale=[2, 3], units=units).save(str(tmp_path / "a.labels.tif"))
    assert read_pixel_size(path) is None


def test_a_flipped_axis_goes_into_files_and_comes_back(viewer, labels, tmp_path):
    layer = viewer.add_labels(labels, scale=[-2, 3], units=["um", "um"])
    (path,) = layer.save(str(tmp_path / "a.labels.tif"))
    size = read_pixel_size(path)
    assert (size.row, size.col) == pytest.approx((2, 3))
    (path,) = layer.save(str(tmp_path / "a.coco.json"))
    (back,) = viewer.open(path, plugin="napari-segany")
    np.testing.assert_array_equal(back.scale, [-2, 3])


def test_a_stack_is_written_plane_by_plane(viewer, labels, tmp_path):
    stack = np.stack([labels, np.zeros_like(labels), np.roll(labels, 1, axis=1)])
    viewer.add_labels(dask.array.from_array(stack, chunks=(1, -1, -1)), name="stack").save(
        str(tmp_path / "s.coco.json")
    )
    coco = coco_of(tmp_path / "s.coco.json")
    images = {image["file_name"]: image["id"] for image in coco.loadImgs(coco.getImgIds())}
    assert list(images) == ["stack[0]", "stack[1]", "stack[2]"]
    for plane, name in enumerate(images):
        shown = np.zeros(SHAPE, int)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[images[name]])):
            shown[coco.annToMask(annotation) > 0] = annotation["label"]
        np.testing.assert_array_equal(shown, stack[plane])


@pytest.mark.parametrize("ending", ["sa1b.json", "txt"])
def test_formats_of_one_image_refuse_a_stack_and_say_what_takes_it(viewer, labels, tmp_path, ending):
    layer = viewer.add_labels(np.stack([labels, labels]), name="stack")
    with pytest.raises(NotSavedError, match=r"'stack' has the shape \(2, 30, 40\); save it as COCO"):
        layer.save(str(tmp_path / f"stack.{ending}"))
    assert list(tmp_path.iterdir()) == []


def test_a_stack_of_one_plane_is_an_image(viewer, labels, tmp_path):
    (path,) = viewer.add_labels(labels[None]).save(str(tmp_path / "one.sa1b.json"))
    (back,) = viewer.open(path, plugin="napari-segany")
    np.testing.assert_array_equal(back.data > 0, labels[None] > 0)


def test_save_all_writes_the_labels_and_tells_of_the_rest(viewer, labels, tmp_path):
    viewer.add_image(np.zeros(SHAPE), name="micrograph")
    viewer.add_points([[1, 2]], name="clicks")
    viewer.add_labels(labels, name="cells")
    viewer.add_labels((labels == 2).astype(int), name="nuclei")
    viewer.add_labels(labels, name="mask 1", metadata={PREVIEW_KEY: True})
    before = len(notification_manager.records)
    (path,) = viewer.layers.save(str(tmp_path / "all.coco.json"))
    coco = coco_of(path)
    (image,) = coco.loadImgs(coco.getImgIds())
    assert image["file_name"] == "micrograph"
    counts = {
        category["name"]: len(coco.getAnnIds(catIds=[category["id"]])) for category in coco.loadCats(coco.getCatIds())
    }
    assert counts == {"cells": 3, "nuclei": 1}
    (note,) = notification_manager.records[before:]
    assert note.message == "A COCO file holds labels only; not written: the pixels of images, clicks, mask 1."


@pytest.mark.parametrize("name", ["mask.coco.json", "mask.sa1b.json", "mask.txt", "mask.labels.tif"])
def test_a_preview_alone_is_never_saved(viewer, labels, tmp_path, name):
    preview = viewer.add_labels(labels, name="mask 1", metadata={PREVIEW_KEY: True})
    with pytest.raises(NotSavedError, match=r"'mask 1' is a preview .* accept the mask \(key N\)"):
        preview.save(str(tmp_path / name), plugin="napari-segany")
    assert not list(tmp_path.iterdir())


def test_layers_of_different_sizes_are_different_images(viewer, labels, tmp_path):
    viewer.add_labels(labels, name="whole")
    viewer.add_labels(labels[:10, :10], name="part")
    (path,) = viewer.layers.save(str(tmp_path / "both.coco.json"))
    coco = coco_of(path)
    sizes = {image["file_name"]: (image["height"], image["width"]) for image in coco.loadImgs(coco.getImgIds())}
    assert sizes == {"whole": (30, 40), "part": (10, 10)}


def test_layers_that_lie_elsewhere_on_one_image_are_told_apart(viewer, labels, tmp_path):
    viewer.add_image(np.zeros(SHAPE), name="image")
    viewer.add_labels(labels, name="here")
    viewer.add_labels(labels, name="there", translate=[5, 5])
    (path,) = viewer.layers.save(str(tmp_path / "both.coco.json"))
    names = [image["file_name"] for image in json.loads((tmp_path / path).read_text())["images"]]
    assert names == ["image (here)", "image (there)"]


def test_selected_layers_are_saved_alone(viewer, labels, tmp_path):
    viewer.add_labels(labels, name="first")
    second = viewer.add_labels((labels > 0).astype(int), name="second")
    viewer.layers.selection = {second}
    (path,) = viewer.layers.save(str(tmp_path / "one.sa1b.json"), selected=True)
    assert len(json.loads((tmp_path / path).read_text())["annotations"]) == 1
    with pytest.raises(NotSavedError, match=r"these are 2 \(first, second\); select one"):
        viewer.layers.save(str(tmp_path / "all.sa1b.json"))
    assert not (tmp_path / "all.sa1b.json").exists()


def test_without_an_ending_naparis_own_writer_stays_the_first(viewer, labels, tmp_path):
    (path,) = viewer.add_labels(labels).save(str(tmp_path / "plain"))
    assert path.endswith("plain.tif")


def test_the_formats_ending_is_added_but_never_over_another_file(labels, tmp_path):
    layers = [(labels, {"name": "objects"}, "labels")]
    (path,) = write_coco(str(tmp_path / "cells_0.5um"), layers)
    assert path.endswith("cells_0.5um.coco.json")
    with pytest.raises(NotSavedError, match=r"cells_0\.5um\.coco\.json exists already"):
        write_coco(str(tmp_path / "cells_0.5um"), layers)
    assert write_coco(path, layers) == [path], "the whole name was given, so it is replaced"


def test_multiscale_labels_are_written_at_full_resolution(viewer, labels, tmp_path):
    layer = viewer.add_labels([labels, labels[::2, ::2]], multiscale=True)
    (path,) = layer.save(str(tmp_path / "m.coco.json"))
    np.testing.assert_array_equal(decoded(coco_of(path))[2], labels == 2)


def test_an_empty_layer_is_a_file_without_objects(viewer, tmp_path):
    layer = viewer.add_labels(np.zeros(SHAPE, int))
    for ending in ("coco.json", "sa1b.json", "txt", "labels.tif"):
        assert layer.save(str(tmp_path / f"none.{ending}"))
    assert coco_of(tmp_path / "none.coco.json").getAnnIds() == []


def test_a_folder_that_is_not_there_is_told(viewer, labels, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.coco\.json"):
        viewer.add_labels(labels).save(str(tmp_path / "missing" / "a.coco.json"))


def test_one_axis_is_no_image():
    with pytest.raises(NotSavedError, match="has 1 axis"):
        write_coco("a.coco.json", [(np.zeros(3, int), {"name": "line"}, "labels")])


@pytest.mark.parametrize("rule", PAINTING_RULES)
def test_masks_behind_a_layer_are_written_whole_by_any_painting_rule(viewer, tmp_path, rule):
    large, small = np.zeros((2, *SHAPE), bool)
    large[2:20, 2:20] = small[5:9, 5:9] = True
    kept = [KeptMask(label, MaskRecord.from_mask(mask)) for label, mask in ((1, large), (2, small))]
    stack = np.stack([np.zeros(SHAPE, int), painted(kept, SHAPE, rule)])
    layer = viewer.add_labels(stack, metadata={MASKS_KEY: KeptMasks({(1,): tuple(kept)}, rule)})
    (path,) = layer.save(str(tmp_path / "stack.coco.json"))
    masks = decoded(coco_of(path))
    np.testing.assert_array_equal(masks[1], large)
    np.testing.assert_array_equal(masks[2], small)
