"""`segany export`: what goes in comes out in every format, judged by pycocotools, tifffile and rasterio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pycocotools.coco import COCO

from napari_segany.cli.main import main
from napari_segany.formats.coco import CocoObject, read_coco, writing_coco
from napari_segany.formats.geo_raster import read_raster
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import read_sa1b
from napari_segany.formats.yolo import read_data_yaml


@pytest.fixture
def labels() -> np.ndarray:
    """A ring with a dot in its hole, and an object in two parts."""
    labels = np.zeros((30, 40), np.uint16)
    labels[2:12, 2:12] = 7
    labels[5:9, 5:9] = 0
    labels[6, 6] = 3
    labels[20:24, 10:14] = labels[20:24, 30:39] = 9
    return labels


@pytest.fixture
def file(labels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, labels, resolution=(20000, 20000), resolutionunit="CENTIMETER")
    return path


def test_a_label_image_in_every_format(file, labels, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(file), "-o", str(out), "--to", "labels,coco,sa1b,yolo,csv"]) == 0
    assert capsys.readouterr().out == f"3 masks of 1 image -> {out} (labels, coco, sa1b, yolo, csv)\n"
    written = tifffile.imread(out / "labels/cells.tif")
    np.testing.assert_array_equal(written, labels)

    coco = COCO(str(out / "coco.json"))
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["cells.tif"]
    masks = [coco.annToMask(annotation) for annotation in coco.loadAnns(coco.getAnnIds())]
    for mask, label in zip(masks, (3, 7, 9), strict=True):
        np.testing.assert_array_equal(mask, labels == label)
    assert [record.area for record in read_sa1b(out / "sa1b/cells.json").records] == [1, 84, 52]
    table = [line.split(",")[:3] for line in (out / "tables/cells.csv").read_text().splitlines()]
    assert table == [
        ["label", "category", "area"],
        ["3", "object", "1"],
        ["7", "object", "84"],
        ["9", "object", "52"],
    ]
    assert "area_um2" in (out / "tables/cells.csv").read_text()

    # YOLO's text needs its image for the size, and comes back to the very pixels.
    (out / "yolo/images").mkdir()
    Image.fromarray(np.zeros(labels.shape, np.uint8)).save(out / "yolo/images/cells.png")
    assert main(["export", str(out / "yolo/labels/cells.txt"), "-o", str(tmp_path / "back"), "--to", "labels"]) == 0
    back = tifffile.imread(tmp_path / "back/labels/cells.tif")
    np.testing.assert_array_equal(back == 1, labels == 3)
    np.testing.assert_array_equal(back == 2, labels == 7)
    np.testing.assert_array_equal(back == 3, labels == 9)


def test_all_formats_are_those_that_need_no_place_on_earth(file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(file), "-o", str(out), "--to", "all"]) == 0
    assert "(labels, coco, sa1b, yolo, csv)" in capsys.readouterr().out
    assert not (out / "vectors").exists()


def test_coco_keeps_numbers_and_categories(tmp_path, labels, file):
    assert main(["export", str(file), "-o", str(tmp_path / "a"), "--to", "coco", "--polygons"]) == 0
    values = json.loads((tmp_path / "a/coco.json").read_text())
    values["categories"][0]["name"] = "nucleus"
    (tmp_path / "named.coco.json").write_text(json.dumps(values))
    assert main(["export", str(tmp_path / "named.coco.json"), "-o", str(tmp_path / "b"), "--to", "labels,coco"]) == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b/labels/cells.tif"), labels)
    assert dict(read_coco(tmp_path / "b/coco.json").categories) == {1: "nucleus"}


def test_a_stack_goes_plane_by_plane_and_equal_names_are_kept_apart(tmp_path, labels):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "same.npy", np.stack([labels, labels[::-1]]))
    out = tmp_path / "out"
    inputs = [str(tmp_path / "x"), str(tmp_path / "y" / "same.npy")]
    assert main(["export", *inputs, "-o", str(out), "--to", "labels,coco"]) == 0
    names = sorted(path.name for path in (out / "labels").iterdir())
    assert len(names) == 4
    assert len(COCO(str(out / "coco.json")).getImgIds()) == 4
    planes = [tifffile.imread(out / "labels" / name) for name in names]
    assert sum(np.array_equal(plane, labels) for plane in planes) == 2


def test_damaged_files_are_told_and_the_rest_is_written(file, tmp_path, capsys):
    (tmp_path / "broken.json").write_text('{"images": [')
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "broken.json"), str(file), "-o", str(out), "--to", "csv"]) == 1
    assert capsys.readouterr().err.count("segany export: not read: broken.json") == 1
    assert list(read_table_labels(out / "tables/cells.csv")) == ["3", "7", "9"]


def test_folders_within_are_read_and_of_a_yolo_data_set_the_texts(labels, file, tmp_path, capsys):
    """The layout that `segany everything` leaves: stacks have a folder of slices."""
    root = tmp_path / "everything"
    for form in ("sa1b", "yolo"):
        assert main(["export", str(file), "-o", str(root), "--to", form]) == 0
    text, masks = root / "yolo/labels/cells.txt", root / "sa1b/cells.json"
    for name in ("cells", "a/0000", "b/0000"):
        for folder in ("labels", "images"):
            (root / "yolo" / folder / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / f"yolo/labels/train/{name}.txt").write_bytes(text.read_bytes())
        Image.fromarray(labels.astype(np.uint8)).save(root / f"yolo/images/train/{name}.png")
        (root / "sa1b" / name).parent.mkdir(exist_ok=True)
        (root / f"sa1b/{name}.json").write_bytes(masks.read_bytes())
    text.unlink()
    capsys.readouterr()
    for given in ("yolo", "yolo/labels", "sa1b"):
        out = tmp_path / "out" / given
        assert main(["export", str(root / given), "-o", str(out)]) == 0
        assert capsys.readouterr().out == f"9 masks of 3 images -> {out} (coco)\n"
    coco = COCO(str(tmp_path / "out/yolo/coco.json"))
    names = [image["file_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert names == ["a/0000.png", "b/0000.png", "cells.png"]
    assert [mask.sum() for mask in map(coco.annToMask, coco.loadAnns(coco.getAnnIds()[:3]))] == [1, 84, 52]

    (root / ".segany").mkdir()
    assert main(["export", str(root), "-o", str(tmp_path / "none")]) == 2
    assert f"give one of them ({root / 'sa1b'}, {root / 'yolo'})" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "voc"], "the formats are voc; known are labels, coco"),
        (["--to", "geojson"], "cells.tif has no place on Earth"),
        (["--to", "coco", "--min-area", "3"], "--min-area is of vector files"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(file, tmp_path, capsys, arguments, words):
    if "geojson" in arguments:
        pytest.importorskip("rasterio")
    assert main(["export", str(file), "-o", str(tmp_path / "out"), *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("segany export: error:")]
    assert len(lines) == 1
    assert words in lines[0]


def test_nothing_that_can_be_read(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["export", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]) == 2
    assert "holds no file of masks" in capsys.readouterr().err
    for name in ("none.tif", "none.json", "none.txt", "none"):
        assert main(["export", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
        assert f"{tmp_path / name}: no such file\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_label_geotiff_becomes_vectors(tmp_path, labels):
    rasterio = pytest.importorskip("rasterio")
    pyogrio = pytest.importorskip("pyogrio")
    path, out = tmp_path / "fields.tif", tmp_path / "out"
    transform = rasterio.transform.from_origin(500_000, 5_400_000, 2.0, 2.0)
    with rasterio.open(
        path, "w", driver="GTiff", height=30, width=40, count=1, dtype="uint16", crs="EPSG:32633", transform=transform
    ) as target:
        target.write(labels, 1)
    assert main(["export", str(path), "-o", str(out), "--to", "gpkg,csv,labels", "--min-area", "1e9"]) == 0
    assert len(pyogrio.raw.read(out / "vectors/fields.gpkg")[2]) == 0
    assert read_raster(out / "labels/fields.tif").grid == read_raster(path).grid
    assert main(["export", str(path), "-o", str(out), "--to", "gpkg,csv"]) == 0
    meta, _, geometry, fields = pyogrio.raw.read(out / "vectors/fields.gpkg")
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert sorted(columns["id"].tolist()) == [3, 7, 9]
    assert len(geometry) == 3


def read_table_labels(path: Path) -> list[str]:
    return [line.split(",")[0] for line in path.read_text().splitlines()[1:]]


def test_a_colour_tiff_holds_no_labels(tmp_path, capsys):
    for name, shape in (("rgb.tif", (30, 40, 3)), ("rgba.tif", (30, 40, 4))):
        tifffile.imwrite(tmp_path / name, np.ones(shape, np.uint8), photometric="rgb")
        assert main(["export", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
        assert f"{name} holds no labels: its pixels are uint8 of the shape {shape}" in capsys.readouterr().err


def test_no_file_that_is_exported_is_replaced(file, tmp_path, capsys):
    project = tmp_path / "project"
    assert main(["export", str(file), "-o", str(project), "--to", "coco,labels,yolo"]) == 0
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "project/yolo/labels/cells.png")
    for given, form in (("coco.json", "yolo,coco"), ("labels/cells.tif", "labels"), ("yolo/labels", "yolo")):
        assert main(["export", str(project / given), "-o", str(project), "--to", form]) == 2
        assert "is one of the files to export, and would be replaced" in capsys.readouterr().err
    assert (project / "coco.json").read_bytes() == before[project / "coco.json"]
    assert (project / "labels/cells.tif").read_bytes() == before[project / "labels/cells.tif"]
    assert (project / "yolo/data.yaml").read_bytes() == before[project / "yolo/data.yaml"]


def coco_file(path: Path, categories: dict[int, str], images: dict[str, list[tuple[int, bool]]]) -> Path:
    """Write a COCO file: by image, the category of each mask and whether it is a crowd."""
    mask = np.zeros((8, 8), bool)
    mask[2:5, 2:6] = True
    with writing_coco(path, categories) as coco:
        for name, objects in images.items():
            record = MaskRecord.from_mask(mask)
            coco.add(name, (8, 8), [CocoObject(record, number, is_crowd) for number, is_crowd in objects])
    return path


def test_yolo_texts_have_the_names_of_the_pictures(tmp_path, capsys):
    names = ["my img.jpg", "cell (1) a.tif", "x_.jpg", "train/1.jpg", "val/1.jpg", "val/1.png", "a?b.jpg"]
    path = coco_file(tmp_path / "a.coco.json", {1: "cell"}, {name: [(1, False)] for name in names})
    assert main(["export", str(path), "-o", str(tmp_path / "out"), "--to", "yolo"]) == 0
    folder = tmp_path / "out/yolo/labels"
    found = {text.relative_to(folder).as_posix() for text in folder.rglob("*.txt")}
    assert found == {
        "my img.txt", "cell (1) a.txt", "x_.txt", "train/1.txt", "val/1.txt", "val/1-2.txt", "a_b.txt"
    }  # fmt: skip
    told = [line for line in capsys.readouterr().err.splitlines() if "name the picture accordingly" in line]
    assert [line.split(": ")[1] for line in told] == ["val/1.png", "a?b.jpg"]


def test_classes_keep_their_numbers_whether_or_not_they_occur(tmp_path):
    path = coco_file(tmp_path / "a.coco.json", {1: "person", 3: "car", 4: "bus"}, {"a.jpg": [(3, False)]})
    out = tmp_path / "out"
    assert main(["export", str(path), "-o", str(out), "--to", "coco,yolo"]) == 0
    assert dict(read_coco(out / "coco.json").categories) == {1: "person", 3: "car", 4: "bus"}
    assert read_data_yaml(out / "yolo/data.yaml").names == {0: "person", 1: "car", 2: "bus"}
    assert (out / "yolo/labels/a.txt").read_text().startswith("1 ")

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(out / "yolo/labels/a.jpg")
    assert main(["export", str(out / "yolo"), "-o", str(tmp_path / "again"), "--to", "yolo"]) == 0
    assert read_data_yaml(tmp_path / "again/yolo/data.yaml").names == {0: "person", 1: "car", 2: "bus"}

    other = coco_file(tmp_path / "b.coco.json", {1: "dog"}, {"b.jpg": [(1, False)]})
    assert main(["export", str(path), str(other), "-o", str(tmp_path / "both"), "--to", "coco"]) == 0
    both = read_coco(tmp_path / "both/coco.json")
    assert dict(both.categories) == {1: "person", 2: "car", 3: "bus", 4: "dog"}
    assert [image.objects[0].category_id for image in both.images] == [2, 4]


def test_crowds_are_no_objects_of_yolo(tmp_path, capsys):
    path = coco_file(tmp_path / "a.coco.json", {1: "sheep"}, {"a.jpg": [(1, True), (1, False)]})
    assert main(["export", str(path), "-o", str(tmp_path / "out"), "--to", "yolo"]) == 0
    assert (tmp_path / "out/yolo/labels/a.txt").read_text().count("\n") == 1
    assert "a.jpg: 1 of its masks are crowds" in capsys.readouterr().err


def test_large_labels_are_kept_and_too_large_ones_refused(tmp_path, capsys):
    labels = np.zeros((8, 8), np.uint64)
    labels[2:4, 2:4] = 2**40 + 5
    np.save(tmp_path / "ids.npy", labels)
    assert main(["export", str(tmp_path / "ids.npy"), "-o", str(tmp_path / "out"), "--to", "labels,csv,coco"]) == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/labels/ids.tif"), labels)
    labels[5, 5] = 2**63
    np.save(tmp_path / "ids.npy", labels)
    assert main(["export", str(tmp_path / "ids.npy"), "-o", str(tmp_path / "out"), "--to", "csv"]) == 2
    assert f"ids.npy holds the label {2**63}" in capsys.readouterr().err


def test_a_damaged_tile_costs_no_other_one_its_place(tmp_path, labels):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.from_origin(500_000, 5_400_000, 2.0, 2.0)
    profile = {"driver": "GTiff", "height": 30, "width": 40, "count": 1, "dtype": "uint16", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "1.tif", "w", transform=transform, **profile) as target:
        target.write(labels, 1)
    (tmp_path / "11.tif").write_bytes(b"II*\0")
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "1.tif"), str(tmp_path / "11.tif"), "-o", str(out), "--to", "labels"]) == 1
    assert read_raster(out / "labels/1.tif").grid == read_raster(tmp_path / "1.tif").grid
