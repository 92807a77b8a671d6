from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from napari_segany.engine.batch.box_masks import box_mask_steps
from napari_segany.engine.batch.detection import Detection
from napari_segany.engine.batch.detection_files import read_detections
from napari_segany.engine.batch.detection_match import matched
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.model_source import LoadedModel
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.progress import drain
from napari_segany.formats.yolo import read_data_yaml, read_yolo_labels

SIZE = (40, 60)
BOX = (8.0, 12.0, 20.0, 30.0)  # rows 8 to 19 and columns 12 to 29
COCO_BOX = [12, 8, 18, 12]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    rng = np.random.default_rng(0)
    for name in ("a/x.png", "b/x.png", "a/000000000139.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / name)
    return folder


def write(path: Path, values) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def test_a_box_goes_from_corners_of_pixels_to_their_centres():
    assert Detection(BOX).prompt_box(SIZE) == (7.5, 11.5, 19.5, 29.5)
    assert Detection((0, 0, 1, 1), is_normalised=True).prompt_box(SIZE) == (-0.5, -0.5, 39.5, 59.5)
    assert Detection((-5, 50, 10, 99)).prompt_box(SIZE) == (-0.5, 49.5, 9.5, 59.5)
    assert Detection((0, 60, 10, 99)).prompt_box(SIZE) is None


def test_the_best_mask_is_fed_back_with_its_box(predictor):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    detections = [Detection(BOX, 7, 0.5), Detection((0, 0, 40, 60)), Detection((50, 0, 60, 9)), Detection(BOX)]
    objects = drain(box_mask_steps(predictor, image, detections * 9))
    assert [item.class_id for item in objects] == [7, 1, 1] * 9
    embedding = predictor.encode(image)
    for item, box in zip(objects[:2], [(7.5, 11.5, 19.5, 29.5), (-0.5, -0.5, 39.5, 59.5)], strict=True):
        first = predictor.predict(embedding, box=box, multimask=True)
        expected = predictor.predict(embedding, box=box, mask=first.logits[0], multimask=False)
        np.testing.assert_array_equal(item.record.mask, expected.masks[0])
        assert item.record.predicted_iou == pytest.approx(expected.predicted_iou[0], abs=1e-5)
        assert item.record.prompt["box"] == list(box)


def test_no_boxes_need_no_model():
    assert drain(box_mask_steps(None, np.zeros(SIZE), [Detection((50, 0, 60, 9))])) == []


RESULTS = [
    {"image_id": 139, "category_id": 3, "bbox": COCO_BOX, "score": 0.9},
    {"image_id": "b/x", "category_id": 18, "bbox": [0, 0, 5.5, 5], "score": 0.2},
]
INSTANCES = {
    "images": [{"id": 5, "file_name": "a/x.png"}, {"id": 6, "file_name": "b/x.png"}],
    "categories": [{"id": 3, "name": "car"}, {"id": 18, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 5, "category_id": 18, "bbox": COCO_BOX}],
}


def test_coco_results_and_instances(tmp_path):
    found = read_detections(write(tmp_path / "results.json", RESULTS))
    assert found.images == {"139": (Detection(BOX, 3, 0.9),), "b/x": (Detection((0, 0, 5, 5.5), 18, 0.2),)}
    assert found.classes == {3: "class 3", 18: "class 18"}
    instances = write(tmp_path / "instances.json", INSTANCES)
    found = read_detections(instances)
    assert found.images == {"a/x.png": (Detection(BOX, 18),)}
    assert found.classes == {3: "car", 18: "dog"}
    by_number = write(tmp_path / "numbers.json", [{**RESULTS[0], "image_id": 6}])
    assert read_detections(by_number, instances).images == {"b/x.png": (Detection(BOX, 3, 0.9),)}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,class,x_min,y_min,x_max,y_max,score", "a/x.png,dog,12,8,30,20,0.5"),
        ("score,FileName,Label,xmin,ymin,xmax,ymax", "0.5,a/x.png,dog,12,8,30,20"),
        ("path,category,x,y,width,height,confidence", "a/x.png,dog,12,8,18,12,0.5"),
        ("image,name,row_min,col_min,row_max,col_max,conf", "a/x.png,dog,8,12,20,30,0.5"),
    ],
)
def test_tables(tmp_path, header, row):
    path = write(tmp_path / "boxes.csv", f"{header}\n{row}\n{row.replace('dog', 'cat').replace('0.5', '')}\n")
    found = read_detections(path)
    assert found.images == {"a/x.png": (Detection(BOX, 2, 0.5), Detection(BOX, 1))}
    assert found.classes == {1: "cat", 2: "dog"}
    names = write(tmp_path / "names.txt", "dog\nbird\n")
    assert read_detections(path, names).classes == {0: "dog", 1: "bird", 2: "cat"}


def test_yolo_texts(tmp_path):
    folder = tmp_path / "labels"
    write(folder / "a/x.txt", f"1 {21 / 60} {14 / 40} {18 / 60} {12 / 40} 0.25\n\n0 0.5 0.5 1 1\n")
    write(folder / "classes.txt", "cat\ndog\n")
    first, second = read_detections(folder).images["a/x"]
    assert (first.class_id, first.score, second.score) == (1, 0.25, None)
    np.testing.assert_allclose(first.prompt_box(SIZE), (7.5, 11.5, 19.5, 29.5))
    assert second.prompt_box(SIZE) == (-0.5, -0.5, 39.5, 59.5)
    assert read_detections(folder).classes == {0: "cat", 1: "dog"}
    write(folder / "a/other.txt", "0 0.5 0.5 1 1\n")
    assert list(read_detections(folder / "a/x.txt").images) == ["x"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "[", "no JSON file"),
        ("a.json", '{"annotations": 3}', "expected a list"),
        ("a.json", '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}]', "box no. 1: 'bbox'"),
        ("a.json", '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, -3, 4]}]', "before it begins"),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', "'category_id'"),
        ("a.csv", "", "header needs 'image'"),
        ("a.csv", "image,x,y\nb,1,2\n", "header needs 'image'"),
        ("a.csv", "image,x,y,w,h\nb,1,2,3\n", "line 2 has 4 cells"),
        ("a.csv", "image,x,y,w,h\nb,1,2,three,4\n", "line 2: 'three' is no number"),
        ("a.csv", "image,x1,y1,x2,y2\nb,9,2,3,4\n", "line 2: its box ends"),
        ("a.xml", "<a/>", "neither .json"),
    ],
)
def test_damaged_files_give_one_sentence(tmp_path, name, content, words):
    with pytest.raises(ValueError, match=words) as error:
        read_detections(write(tmp_path / name, content))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "7 values"),
        ("0 10 10 20 20", "between 0 and 1"),
        ("cell 0.1 0.1 0.2 0.2", "'cell' is no number"),
        ("0.5 0.1 0.1 0.2 0.2", "the class is 0.5"),
        ("0 nan 0.1 0.2 0.2", "'nan' is no number"),
    ],
)
def test_damaged_yolo_lines_are_named(tmp_path, line, words):
    write(tmp_path / "labels/a.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(ValueError, match=rf"a\.txt, line 2: .*{words}"):
        read_detections(tmp_path / "labels")


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["a.json", "a.csv", "labels/a.txt"]))
def test_anything_else_gives_one_sentence(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    sentence = ""
    try:
        read_detections(path.parent if path.suffix == ".txt" else path)
    except ValueError as error:
        sentence = str(error)
    assert "\n" not in sentence


def test_images_are_found_by_path_name_or_number(inputs, tmp_path):
    images = find_images([inputs], recursive=True)
    match = matched(images, read_detections(write(tmp_path / "r.json", RESULTS)), 0.5)
    assert [(image.name, image.detections) for image in match.images] == [
        ("000000000139", (Detection(BOX, 3, 0.9),)), ("a_x", ()), ("b_x", ()),
    ]  # fmt: skip
    assert match.unused == ()
    for key in ("a\\x.png", "./a/x", str(inputs / "a/x.png")):
        found = read_detections(write(tmp_path / "k.json", [{**RESULTS[0], "image_id": key}]))
        assert len(matched(images, found).images[1].detections) == 1


def test_boxes_that_fit_several_images_or_none_are_refused(inputs, tmp_path):
    images = find_images([inputs], recursive=True)
    several = read_detections(write(tmp_path / "several.json", [{**RESULTS[0], "image_id": "x.png"}]))
    with pytest.raises(ValueError, match="fit 2 images"):
        matched(images, several)
    other = read_detections(write(tmp_path / "other.json", [{**RESULTS[0], "image_id": 140}, RESULTS[0]]))
    assert matched(images, other).unused == ("140",)
    with pytest.raises(ValueError, match="no box belongs"):
        matched(images[1:], read_detections(write(tmp_path / "none.json", RESULTS[:1])))


def test_a_detector_s_boxes_become_a_data_set_with_its_classes(inputs, tmp_path, predictor):
    found = read_detections(
        write(tmp_path / "r.json", RESULTS), write(tmp_path / "instances.json", INSTANCES | {"images": []})
    )
    match = matched(find_images([inputs], recursive=True), found)
    out, settings = tmp_path / "out", BatchSettings(("coco", "yolo", "csv"))
    result = drain(batch_steps(match.images, out, LoadedModel(predictor), settings, classes=found.classes))
    assert [image.objects for image in result.images] == [1, 0, 1]
    coco = COCO(out / "coco.json")
    assert {number: item["name"] for number, item in coco.cats.items()} == {3: "car", 18: "dog"}
    assert len(coco.imgs) == 3
    (annotation,) = coco.loadAnns(coco.getAnnIds(catIds=[3]))
    expected = drain(
        box_mask_steps(predictor, np.asarray(Image.open(inputs / "a/000000000139.jpg")), [Detection(BOX)])
    )
    np.testing.assert_array_equal(coco.annToMask(annotation), expected[0].record.mask)
    assert read_data_yaml(out / "yolo/data.yaml").names == {0: "car", 1: "dog"}
    assert (out / "yolo/labels/train/a_x.txt").read_text() == ""
    lines = read_yolo_labels(out / "yolo/labels/train/b_x.txt", SIZE)
    assert [item.class_index for item in lines] == [1] * len(lines)
    header, row = (out / "tables/b_x.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert (cells["class_id"], cells["detection_score"]) == ("18", "0.2")


def test_other_boxes_make_other_masks_of_their_image_only(inputs, tmp_path, predictor):
    images = find_images([inputs], recursive=True)
    model, settings = LoadedModel(predictor), BatchSettings(("coco",))
    for score, reused in ((0.9, 0), (0.9, 3), (0.8, 2)):
        results = [{**RESULTS[0], "score": score}, RESULTS[1]]
        match = matched(images, read_detections(write(tmp_path / "r.json", results)))
        steps = batch_steps(match.images, tmp_path / "out", model, settings, classes={3: "car", 18: "dog"})
        assert drain(steps).reused == reused


def test_boxes_belong_to_single_images(tmp_path, predictor):
    np.save(tmp_path / "stack.npy", np.zeros((2, *SIZE), np.uint8))
    found = read_detections(write(tmp_path / "r.json", [{**RESULTS[0], "image_id": "stack"}]))
    match = matched(find_images([tmp_path / "stack.npy"]), found)
    result = drain(batch_steps(match.images, tmp_path / "out", LoadedModel(predictor), classes=found.classes))
    assert "stack of 2 planes" in result.failed[0].error
