from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco

from napari_segany.formats.mask_files import json_kind
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import iterate_sa1b, read_sa1b, write_sa1b

SIZE = (12, 20)


def ring_and_spot() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[2:9, 3:10] = True
    mask[4:6, 5:8] = False
    mask[10, 18] = True
    return mask


@pytest.fixture
def record() -> MaskRecord:
    return MaskRecord.from_mask(
        ring_and_spot(),
        predicted_iou=0.91,
        stability_score=0.97,
        prompt={"points": [[3.5, 4.0], [0.0, 0.0]], "labels": [1, 0]},
        crop_box=(0, 2, 12, 20),
    )


@pytest.fixture
def path(tmp_path, record):
    path = tmp_path / "sa_7.json"
    write_sa1b(path, [record], file_name="sa_7.jpg", size=SIZE, image_id=7)
    return path


def test_the_file_is_laid_out_as_published(path):
    values = json.loads(path.read_text())
    assert values["image"] == {"image_id": 7, "width": 20, "height": 12, "file_name": "sa_7.jpg"}
    (annotation,) = values["annotations"]
    segmentation = annotation.pop("segmentation")
    assert annotation == {
        "id": 1,
        "bbox": [3, 2, 16, 9],
        "area": 49 - 6 + 1,
        "predicted_iou": 0.91,
        "stability_score": 0.97,
        "crop_box": [2, 0, 18, 12],
        "point_coords": [[4.0, 3.5]],
    }
    np.testing.assert_array_equal(coco.decode(segmentation), ring_and_spot())
    assert coco.toBbox(segmentation).tolist() == annotation["bbox"]


def test_all_that_the_format_holds_comes_back(path, record):
    image = read_sa1b(path)
    assert (image.file_name, image.size, image.image_id) == ("sa_7.jpg", SIZE, 7)
    (back,) = image.records
    assert (back.rle, back.bbox, back.area) == (record.rle, record.bbox, record.area)
    assert (back.predicted_iou, back.stability_score, back.crop_box) == (0.91, 0.97, (0, 2, 12, 20))
    assert back.prompt == {"points": [[3.5, 4.0]], "labels": [1]}


def test_further_fields_of_the_image_go_both_ways(tmp_path, record):
    extra = {"camera": "x", "width": "ours wins"}
    write_sa1b(tmp_path / "a.json", [record], file_name="a.jpg", size=record.rle.size, extra=extra)
    image = read_sa1b(tmp_path / "a.json")
    assert image.extra == {"camera": "x"}
    assert image.size == record.rle.size


def test_masks_that_no_model_made_have_no_scores(tmp_path):
    path = tmp_path / "drawn.json"
    write_sa1b(path, [MaskRecord.from_mask(ring_and_spot())], file_name="a.png", size=SIZE)
    (back,) = read_sa1b(path).records
    assert (back.predicted_iou, back.stability_score, dict(back.prompt)) == (None, None, {})
    assert back.crop_box == (0, 0, 12, 20)


@settings(deadline=None)
@given(st.lists(hnp.arrays(np.bool_, (7, 9)), max_size=4))
def test_masks_come_back_exactly(tmp_path_factory, masks):
    path = tmp_path_factory.mktemp("sa1b") / "masks.json"
    masks = [*masks, np.zeros((7, 9), bool), np.ones((7, 9), bool)]
    write_sa1b(path, [MaskRecord.from_mask(mask) for mask in masks], file_name="a.jpg", size=(7, 9))
    back = read_sa1b(path).records
    np.testing.assert_array_equal([record.mask for record in back], masks)
    for annotation, mask in zip(json.loads(path.read_text())["annotations"], masks, strict=True):
        np.testing.assert_array_equal(coco.decode(annotation["segmentation"]), mask)


def test_a_file_as_others_write_it(tmp_path):
    """The layout of the published files: floats for boxes, scores with many digits, counts by pycocotools."""
    runs = coco.encode(np.asfortranarray(ring_and_spot().astype(np.uint8)))
    annotation = {
        "bbox": [3.0, 2.0, 16.0, 9.0],
        "area": 44,
        "segmentation": {"size": [12, 20], "counts": runs["counts"].decode()},
        "predicted_iou": 0.9039807319641113,
        "point_coords": [[4.375, 5.0]],
        "crop_box": [0.0, 0.0, 20.0, 12.0],
        "id": 525357934,
        "stability_score": 0.9866,
    }
    image = {"image_id": 223750, "width": 20, "height": 12, "file_name": "sa_223750.jpg"}
    path = tmp_path / "sa_223750.json"
    path.write_text(json.dumps({"image": image, "annotations": [annotation]}))
    (record,) = read_sa1b(path).records
    np.testing.assert_array_equal(record.mask, ring_and_spot())
    assert record.prompt["points"] == [[5.0, 4.375]]
    assert record.crop_box == (0, 0, 12, 20)


def test_a_folder_is_gone_through_lazily(tmp_path, record):
    for number in (2, 1):
        folder = tmp_path / f"sa_00000{number}"
        folder.mkdir()
        Image.fromarray(np.full((*SIZE, 3), 40 * number, np.uint8)).save(folder / f"sa_{number}.jpg")
        write_sa1b(folder / f"sa_{number}.json", [record], file_name=f"sa_{number}.jpg", size=SIZE)
    (tmp_path / "sa_3.jpg").write_bytes(b"an image without masks")
    (tmp_path / "sa_4.json").write_text("masks without an image")
    (tmp_path / "sa_5.jpg").write_bytes(b"a damaged image")
    (tmp_path / "sa_5.json").write_text("and damaged masks")
    samples = list(iterate_sa1b(tmp_path))
    assert [sample.image_path.name for sample in samples] == ["sa_1.jpg", "sa_2.jpg", "sa_5.jpg"]
    assert samples[1].image().shape == (*SIZE, 3)
    assert abs(int(samples[1].image().mean()) - 80) <= 1
    assert samples[1].records()[0].rle == record.rle
    with pytest.raises(ValueError, match=r"sa_5\.json is no JSON file"):
        samples[2].records()


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        next(iterate_sa1b(tmp_path / "missing"))


def test_a_record_of_another_size_leaves_no_file(tmp_path, record):
    with pytest.raises(ValueError, match=r"record 2 has the size \(3, 3\)"):
        write_sa1b(
            tmp_path / "a.json", [record, MaskRecord.from_mask(np.eye(3, dtype=bool))], file_name="a.jpg", size=SIZE
        )
    assert list(tmp_path.iterdir()) == []


DAMAGES = {
    "no image": (["image"], None),
    "image is a list": (["image"], []),
    "negative size": (["image", "height"], -12),
    "size of zero": (["image", "width"], 0),
    "size as text": (["image", "width"], "20"),
    "fractional size": (["image", "width"], 20.5),
    "infinite size": (["image", "width"], float("inf")),
    "huge size": (["image", "height"], 10**30),
    "another size": (["image", "height"], 13),
    "no name": (["image", "file_name"], 3),
    "no annotations": (["annotations"], {}),
    "annotations of numbers": (["annotations"], [1, 2]),
    "no segmentation": (["annotations", 0, "segmentation"], None),
    "no counts": (["annotations", 0, "segmentation", "counts"], None),
    "counts of another kind": (["annotations", 0, "segmentation", "counts"], 5),
    "nested counts": (["annotations", 0, "segmentation", "counts"], [[1], [2, 3]]),
    "counts of text": (["annotations", 0, "segmentation", "counts"], ["a", "b"]),
    "negative counts": (["annotations", 0, "segmentation", "counts"], [-240, 480]),
    "counts that do not add up": (["annotations", 0, "segmentation", "counts"], [200]),
    "counts that overflow": (["annotations", 0, "segmentation", "counts"], [2**62] * 4 + [240]),
    "counts beyond 64 bits": (["annotations", 0, "segmentation", "counts"], [2**80]),
    "a damaged string": (["annotations", 0, "segmentation", "counts"], "!!"),
    "a string that is cut off": (["annotations", 0, "segmentation", "counts"], "oo"),
    "a size of three": (["annotations", 0, "segmentation", "size"], [12, 20, 1]),
    "a nested size": (["annotations", 0, "segmentation", "size"], [[12], [20, 1]]),
    "a huge mask": (["annotations", 0, "segmentation", "size"], [2**40, 2**40]),
    "a score as text": (["annotations", 0, "predicted_iou"], "good"),
    "a score that is no number": (["annotations", 0, "stability_score"], float("nan")),
    "a box of one number": (["annotations", 0, "bbox"], [1]),
    "a crop of three": (["annotations", 0, "crop_box"], [1, 2, 3]),
    "a negative crop": (["annotations", 0, "crop_box"], [0, 0, -2, 5]),
    "points of text": (["annotations", 0, "point_coords"], "here"),
    "points of three": (["annotations", 0, "point_coords"], [[1, 2, 3]]),
}


@pytest.mark.parametrize(("place", "value"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_give_one_sentence(path, place, value):
    values = json.loads(path.read_text())
    target = values
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"^sa_7\.json: [^\n]*$"):
        read_sa1b(path)


def test_files_that_are_cut_off_give_one_sentence(path):
    whole = path.read_bytes()
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"^sa_7\.json is no JSON file[^\n]*$"):
            read_sa1b(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"[]", b"3", b'"text"', b"null"])
def test_other_files_give_one_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^sa_7\.json [^\n]*$"):
        read_sa1b(path)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["image", "annotations", "width", "height", "file_name", "segmentation", "size", "counts"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_arbitrary_json_is_refused(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"^a\.json[^\n]*$"):
        read_sa1b(path)


def test_a_file_whose_annotations_come_first_is_known_by_its_end(tmp_path):
    path = tmp_path / "long.json"
    annotations = [{"id": number, "segmentation": {"size": [2, 2], "counts": "04"}} for number in range(2000)]
    path.write_text(json.dumps({"annotations": annotations, "image": {"width": 2, "height": 2}}))
    assert path.stat().st_size > 65536
    assert json_kind(path) == "sa1b"
