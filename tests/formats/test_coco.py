from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from napari_segany.formats.coco import CocoObject, read_coco, writing_coco
from napari_segany.formats.record import MaskRecord

SIZE = (12, 20)
FORMS = ("rle", "polygons", "only polygons")


def solid() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[2:9, 3:10] = True
    mask[10, 18] = True
    return mask


def with_hole() -> np.ndarray:
    mask = solid()
    mask[4:6, 5:8] = False
    return mask


def item(mask: np.ndarray, category_id: int = 1, **scores: float) -> CocoObject:
    return CocoObject(MaskRecord.from_mask(mask, **scores), category_id)


def opened_by_pycocotools(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(path)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "two.coco.json"
    with writing_coco(path, {1: "cell", 5: "nucleus"}) as writer:
        writer.add("a.png", SIZE, [item(with_hole(), 5, predicted_iou=0.9, stability_score=0.8), item(solid())])
        writer.add("b.png", (3, 4), [])
    return path


def test_further_fields_of_images_and_labels_of_objects_go_both_ways(tmp_path):
    path = tmp_path / "a.json"
    extra = {"license": 3, "where": {"plane": [1, 2]}, "height": "ours wins"}
    with writing_coco(path) as writer:
        writer.add("a.png", SIZE, [CocoObject(MaskRecord.from_mask(solid()), label=7), item(solid())], extra)
    (image,) = read_coco(path).images
    assert image.extra == {"license": 3, "where": {"plane": [1, 2]}}
    assert image.size == SIZE
    assert [one.label for one in image.objects] == [7, None]
    assert opened_by_pycocotools(path).loadImgs(1)[0]["license"] == 3


@pytest.mark.parametrize("form", FORMS)
def test_pycocotools_reads_the_same_masks_boxes_and_areas(tmp_path, form):
    path = tmp_path / "a.json"
    masks = [with_hole(), solid(), np.zeros(SIZE, bool), np.ones(SIZE, bool)]
    with writing_coco(path, form=form) as writer:
        writer.add("a.png", SIZE, [item(mask) for mask in masks])
    judge = opened_by_pycocotools(path)
    annotations = judge.loadAnns(judge.getAnnIds())
    assert len(annotations) == len(masks)
    for annotation, mask in zip(annotations, masks, strict=True):
        np.testing.assert_array_equal(judge.annToMask(annotation), mask)
        assert annotation["area"] == mask_api.area(judge.annToRLE(annotation)) == mask.sum()
        if mask.any():
            assert annotation["bbox"] == mask_api.toBbox(judge.annToRLE(annotation)).tolist()


def test_pycocotools_reads_images_and_categories(path):
    judge = opened_by_pycocotools(path)
    assert [judge.imgs[number]["file_name"] for number in judge.getImgIds()] == ["a.png", "b.png"]
    assert [(entry["id"], entry["name"]) for entry in judge.loadCats(judge.getCatIds())] == [
        (1, "cell"),
        (5, "nucleus"),
    ]
    assert len(judge.getAnnIds(catIds=[5])) == 1


def test_holes_decide_what_is_written(tmp_path):
    def kinds(form):
        with writing_coco(tmp_path / "a.json", form=form) as writer:
            writer.add("a.png", SIZE, [item(with_hole()), item(solid())])
        annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
        return [type(annotation["segmentation"]) for annotation in annotations]

    assert kinds("rle") == [dict, dict]
    assert kinds("polygons") == [dict, list]
    assert kinds("only polygons") == [list, list]


def test_all_comes_back(path):
    dataset = read_coco(path)
    assert dataset.categories == {1: "cell", 5: "nucleus"}
    first, second = dataset.images
    assert (first.file_name, first.size, second.file_name, second.size) == ("a.png", SIZE, "b.png", (3, 4))
    assert second.objects == ()
    np.testing.assert_array_equal(first.objects[0].record.mask, with_hole())
    assert [entry.category_id for entry in first.objects] == [5, 1]
    assert (first.objects[0].record.predicted_iou, first.objects[0].record.stability_score) == (0.9, 0.8)
    assert first.objects[1].record.predicted_iou is None


@settings(deadline=None)
@given(st.lists(hnp.arrays(np.bool_, (7, 9)), max_size=3), st.sampled_from(FORMS))
def test_masks_come_back_exactly_in_every_form(tmp_path_factory, masks, form):
    path = tmp_path_factory.mktemp("coco") / "masks.json"
    with writing_coco(path, form=form) as writer:
        writer.add("a.png", (7, 9), [item(mask) for mask in masks])
    (image,) = read_coco(path).images
    for entry, mask in zip(image.objects, masks, strict=True):
        np.testing.assert_array_equal(entry.record.mask, mask)
    judge = opened_by_pycocotools(path)
    for annotation, mask in zip(judge.loadAnns(judge.getAnnIds()), masks, strict=True):
        np.testing.assert_array_equal(judge.annToMask(annotation), mask)


def test_polygons_and_counts_of_others_are_read_as_pycocotools_does(tmp_path):
    outline = [1.3, 2.7, 15.2, 1.1, 17.9, 9.6, 8.4, 11.2, 2.2, 8.8]
    island = [0.5, 10.5, 4.5, 10.5, 4.5, 11.9]
    uncompressed = {"size": [12, 20], "counts": [30, 5, 205]}
    annotations = [
        {
            "id": 8,
            "image_id": 4,
            "category_id": 2,
            "segmentation": [outline, island],
            "iscrowd": 0,
            "area": 1,
            "bbox": [],
        },
        {"id": 9, "image_id": 4, "category_id": 2, "segmentation": uncompressed, "iscrowd": 1, "area": 5, "bbox": []},
    ]
    path = tmp_path / "others.json"
    image = {"id": 4, "file_name": "x/y.jpg", "height": 12, "width": 20, "license": 1}
    categories = [{"id": 2, "name": "dog", "supercategory": "animal"}]
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": categories}))
    judge = opened_by_pycocotools(path)
    objects = read_coco(path).images[0].objects
    for entry, annotation in zip(objects, judge.loadAnns(judge.getAnnIds()), strict=True):
        np.testing.assert_array_equal(entry.record.mask, judge.annToMask(annotation))
        assert entry.record.area == mask_api.area(judge.annToRLE(annotation))
    assert [entry.is_crowd for entry in objects] == [False, True]


def test_simplified_polygons_tell_the_area_that_they_have(tmp_path):
    rows, cols = np.indices((100, 120))
    disc = np.hypot(rows - 50, cols - 60) < 40
    path = tmp_path / "a.json"
    with writing_coco(path, form="only polygons", tolerance=2.0) as writer:
        writer.add("a.png", disc.shape, [item(disc)])
    judge = opened_by_pycocotools(path)
    (annotation,) = judge.loadAnns(judge.getAnnIds())
    assert len(annotation["segmentation"][0]) < 80
    assert annotation["area"] == mask_api.area(judge.annToRLE(annotation)) != disc.sum()
    assert annotation["bbox"] == mask_api.toBbox(judge.annToRLE(annotation)).tolist()


def test_an_error_leaves_the_file_of_before(path):
    before = path.read_bytes()

    def write_until_an_error():
        with writing_coco(path) as writer:
            writer.add("c.png", SIZE, [item(solid())])
            raise RuntimeError("the image after it could not be read")

    with pytest.raises(RuntimeError):
        write_until_an_error()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("size", "category_id", "words"), [((3, 4), 1, "its image has"), (SIZE, 2, "none of"), (SIZE, 1, "already")]
)
def test_what_does_not_fit_is_refused_and_the_rest_is_written(tmp_path, size, category_id, words):
    path = tmp_path / "a.json"
    with writing_coco(path) as writer:
        writer.add("a.png", SIZE, [item(solid())])
        name = "a.png" if words == "already" else "b.png"
        with pytest.raises(ValueError, match=words):
            writer.add(name, size, [item(solid()), item(solid(), category_id)])
        writer.add("c.png", SIZE, [item(with_hole())])
    images = read_coco(path).images
    assert [(image.file_name, len(image.objects)) for image in images] == [("a.png", 1), ("c.png", 1)]
    assert len(opened_by_pycocotools(path).getAnnIds()) == 2


@pytest.mark.parametrize("choices", [{"form": "svg"}, {"tolerance": -1.0}])
def test_other_choices_are_refused(tmp_path, choices):
    with pytest.raises(ValueError, match=next(iter(choices))), writing_coco(tmp_path / "a.json", **choices):
        pass
    assert list(tmp_path.iterdir()) == []


DAMAGES = {
    "no images": (["images"], None),
    "no categories": (["categories"], None),
    "annotations as object": (["annotations"], {}),
    "negative size": (["images", 0, "width"], -20),
    "size of zero": (["images", 0, "height"], 0),
    "another size": (["images", 0, "height"], 13),
    "no name": (["images", 0, "file_name"], None),
    "an id twice": (["images", 1, "id"], 1),
    "an id as text": (["images", 1, "id"], "1"),
    "an unknown image": (["annotations", 0, "image_id"], 77),
    "an unknown category": (["annotations", 0, "category_id"], 2),
    "a category as list": (["annotations", 0, "category_id"], [1]),
    "a category without name": (["categories", 0, "name"], 1),
    "no segmentation": (["annotations", 0, "segmentation"], []),
    "a polygon of two points": (["annotations", 0, "segmentation"], [[1, 1, 2, 2]]),
    "a polygon of odd length": (["annotations", 0, "segmentation"], [[1, 1, 2, 2, 3, 3, 4]]),
    "a polygon of text": (["annotations", 0, "segmentation"], [["a"] * 6]),
    "a polygon of pairs": (["annotations", 0, "segmentation"], [[[1, 1], [2, 2], [3, 3], [1, 3], [1, 2], [1, 1]]]),
    "a box of one number": (["annotations", 0, "bbox"], [1]),
    "an endless polygon": (["annotations", 0, "segmentation"], [[0, 0, float("inf"), 0, 5, 5]]),
    "a polygon elsewhere": (["annotations", 0, "segmentation"], [[0, 0, 1e15, 0, 5, 5]]),
    "counts that do not add up": (["annotations", 0, "segmentation", "counts"], [200]),
}


@pytest.mark.parametrize(("place", "value"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_give_one_sentence(path, place, value):
    values = json.loads(path.read_text())
    target = values
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"^two\.coco\.json: [^\n]*$"):
        read_coco(path)


def test_files_that_are_cut_off_give_one_sentence(path):
    whole = path.read_bytes().rstrip()
    for end in range(0, len(whole), 3):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"^two\.coco\.json is no JSON file[^\n]*$"):
            read_coco(path)


@settings(deadline=None)
@given(st.data())
def test_single_damages_never_give_another_error(tmp_path_factory, data):
    """Any value of a good file is replaced by any other; the file is read, or refused with one sentence."""
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    with writing_coco(path, form="polygons") as writer:
        writer.add("a.png", SIZE, [item(with_hole(), predicted_iou=0.5), item(solid())])
    values = json.loads(path.read_text())
    target, key = values, data.draw(st.sampled_from(sorted(values)))
    while isinstance(target[key], (dict, list)) and target[key] and data.draw(st.integers(0, 4)):
        target = target[key]
        key = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
    target[key] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=9)
        | st.lists(st.integers(), max_size=3)
    )
    path.write_text(json.dumps(values))
    sentence = None
    try:
        read_coco(path)
    except ValueError as error:
        sentence = str(error)
    assert sentence is None or (sentence.startswith("a.json") and "\n" not in sentence)
