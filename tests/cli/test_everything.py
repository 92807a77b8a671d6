from __future__ import annotations

import csv
import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_segany.cli import everything as module
from napari_segany.cli.automatic_options import automatic_settings
from napari_segany.cli.main import _parser, main
from napari_segany.engine import tiling
from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_presets import preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.predictor import Predictor
from napari_segany.formats.coco import read_coco
from napari_segany.formats.labels import read_label_tiff

LOOSE = (
    "--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0, "--max-mask-area-fraction", "none",
)  # fmt: skip


@pytest.fixture
def inputs(tmp_path: Path, image: Path) -> Path:
    """Two pictures, one of which is in a folder within."""
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for path in (folder / "a.png", folder / "deeper" / "b.png"):
        path.write_bytes(image.read_bytes())
    return folder


def everything(*arguments: object) -> int:
    return main(["everything", *(str(argument) for argument in arguments)])


def options(*arguments: object) -> AutomaticSettings:
    line = ["everything", "x", "-o", "y", *(str(argument) for argument in arguments)]
    return automatic_settings(_parser().parse_args(line))


def test_a_folder_becomes_labels_tables_and_a_report(inputs, checkpoint, image, tmp_path, capsys):
    out = tmp_path / "out"
    assert everything(inputs, "-o", out, "--model", checkpoint, *LOOSE) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("1 of 1 image, ")
    assert str(out) in printed.out
    settings = AutomaticSettings(
        points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None
    )
    predictor = Predictor(checkpoint, device="cpu")
    records = AutomaticMaskGenerator(predictor, settings).generate(np.asarray(Image.open(image)))
    assert f"{len(records)} mask" in printed.out
    labels = tifffile.imread(out / "labels/a.tif")
    np.testing.assert_array_equal(labels > 0, np.any([record.mask for record in records], axis=0))
    with (out / "tables/a.csv").open(newline="") as file:
        assert [int(row["area"]) for row in csv.DictReader(file)] == [record.area for record in records]

    arguments = ("--recursive", "--outputs", "coco,overlay", "--model", checkpoint, *LOOSE)
    assert everything(inputs, "-o", out, *arguments) == 0
    assert [item.file_name for item in read_coco(out / "coco.json").images] == ["a.png", "deeper/b.png"]
    assert everything(inputs, "-o", out, *arguments) == 0
    assert "2 of 2 images, 2 of them complete before" in capsys.readouterr().out


def test_a_damaged_image_shows_in_the_status_the_report_and_one_line(inputs, checkpoint, tmp_path, capsys):
    (inputs / "broken.tif").write_bytes(b"II*\0")
    out = tmp_path / "out"
    assert everything(inputs, "-o", out, "--model", checkpoint, *LOOSE) == module.FAILED_STATUS == 1
    printed = capsys.readouterr()
    failed = [line for line in printed.err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 1
    assert "broken.tif is damaged" in failed[0]
    assert "Traceback" not in printed.err
    assert printed.out.startswith("1 of 2 images")
    assert "1 failed, see " in printed.out
    with (out / "report.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done", "failed"]


def test_boxes_become_masks_of_the_detector_s_classes(inputs, checkpoint, tmp_path, capsys):
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,class,x_min,y_min,x_max,y_max,score\na.png,dog,5,5,30,30,0.9\nother,cat,1,1,2,2,0.9\n")
    out = tmp_path / "out"
    assert everything(inputs, "-o", out, "--model", checkpoint, "--boxes", boxes, "--min-score", 0.5) == 0
    data = read_coco(out / "coco.json")
    assert data.categories == {1: "cat", 2: "dog"}
    assert [item.category_id for item in data.images[0].objects] == [2]
    assert (out / "yolo/labels/train/a.txt").is_file()
    assert "warning: boxes are given for 1 images" in capsys.readouterr().err


def test_boxes_of_a_zarr_are_refused(inputs, tmp_path, capsys):
    zarr.save_array(str(tmp_path / "slide.zarr"), np.zeros((8, 8), np.uint8))
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,class,x_min,y_min,x_max,y_max\na.png,dog,5,5,30,30\n")
    assert everything(inputs, tmp_path / "slide.zarr", "-o", tmp_path / "out", "--boxes", boxes) == 2
    assert "--boxes is not for zarr images such as slide.zarr" in capsys.readouterr().err


def test_every_parameter_is_an_option_over_its_preset(tmp_path):
    grids = tmp_path / "grids.json"
    grids.write_text(json.dumps([[[0.5, 0.5]], [[0.25, 0.75]]]))
    given = {
        "points_per_side": 5, "points_per_batch": 6, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.2,
        "stability_score_offset": 0.3, "box_nms_thresh": 0.4, "crop_n_layers": 1, "crop_nms_thresh": 0.6,
        "crop_overlap_ratio": 0.7, "crop_n_points_downscale_factor": 2, "point_grids": grids,
        "min_mask_region_area": 8, "max_mask_area_fraction": 0.9, "ranking": "mean",
    }  # fmt: skip
    assert set(given) == {field.name for field in fields(AutomaticSettings)}
    line = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    expected = {**given, "point_grids": ([[0.5, 0.5]], [[0.25, 0.75]])}
    assert options("--preset", "dense", *line) == AutomaticSettings(**expected)
    assert options("--preset", "cells") == preset("cells").settings
    assert options("--preset", "cells", "--points-per-side", 7) == preset("cells").settings.replaced(
        points_per_side=7
    )
    assert options() == preset("light").settings
    assert options("--max-mask-area-fraction", "none").max_mask_area_fraction is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{folder}/none.tif -o {out}", "none.tif: No such file"),
        ("{folder}/*.gif -o {out}", "no file matches"),
        ("{folder}/empty -o {out}", "holds no image"),
        ("{folder} -o {out} --outputs labels,movie", "there is no output movie"),
        ("{folder} -o {out} --points-per-side 0", "points_per_side is 0"),
        ("{folder} -o {out} --point-grids {folder}/a.png", "is no JSON file"),
        ("{folder} -o {out} --preset fish", "invalid choice: 'fish'"),
        ("{folder} -o {out} --max-mask-area-fraction some", "neither a number nor 'none'"),
        ("{folder} -o {out} --contrast-limits 5", "not two numbers"),
        ("{folder} -o {out} --contrast-limits 5,1", "the lower first"),
        ("{folder} -o {out} --model fish", "there is no model 'fish'"),
        ("{folder} -o {folder}/a.png", "a.png is a file; --output is the folder"),
        ("{folder} -o {out} --workers 2", "--dask local"),
        ("{folder} -o {out} --workers 0 --dask local", "give at least 1"),
        ("{folder} -o {out} --boxes {folder}/none.json", "none.json: No such file"),
        ("{folder} -o {out} --classes {folder}/none.txt", "go with --boxes"),
        ("{folder} -o {out} --min-score 0.5", "go with --boxes"),
        ("{folder} -o {out} --tile-size 0", "tiles are 0 pixels wide; give at least 64"),
        ("{folder} -o {out} --min-area 10", "--min-area is of vector files, and none is asked for"),
        ("{folder}", "required: -o"),
    ],
)
def test_what_cannot_be_done_is_one_line(inputs, tmp_path, capsys, line, message):
    (inputs / "empty").mkdir()
    words = [word.format(folder=inputs, out=tmp_path / "out") for word in line.split()]
    assert everything(*words) == 2
    lines = [text for text in capsys.readouterr().err.splitlines() if "error" in text]
    assert len(lines) == 1
    assert lines[0].startswith("segany everything: error: ")
    assert message in lines[0]


def test_a_model_that_does_not_exist_leaves_no_bar_and_no_folder(inputs, tmp_path, capsys):
    zarr.save_array(str(tmp_path / "slide.zarr"), np.zeros((8, 8), np.uint8))
    for given in (inputs, tmp_path / "slide.zarr"):
        assert everything(given, "-o", tmp_path / "out", "--model", "nope") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("segany everything: error: there is no model 'nope'; known are ")
    assert not (tmp_path / "out").exists()


def test_without_dask_the_remedy_is_told(inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "napari_segany.engine.batch.cluster", raising=False)
    assert everything(inputs, "-o", tmp_path / "out", "--dask", "local") == 2
    assert 'pip install "napari-segany[distributed]"' in capsys.readouterr().err


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(inputs, checkpoint, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    arguments = (inputs, "-o", out, "--recursive", "--model", checkpoint, *LOOSE)
    encode = Predictor.encode_steps
    images = []

    def encode_one(self, image, **named):
        images.append(image)
        if len(images) == 2:
            raise KeyboardInterrupt
        return encode(self, image, **named)

    monkeypatch.setattr(Predictor, "encode_steps", encode_one)
    assert everything(*arguments) == 130
    printed = capsys.readouterr().err
    assert "1 of 2 images are complete; run the same command again to go on" in printed
    assert printed.endswith("segany everything: interrupted\n")
    assert not (out / "report.csv").exists()
    assert not [path for path in out.rglob(".*") if path.is_file()]
    assert everything(*arguments) == 0
    assert "1 of them complete before" in capsys.readouterr().out
    assert len(images) == 3


def test_an_ome_zarr_is_done_in_tiles_and_gone_on_with(checkpoint, tmp_path, capsys):
    path = tmp_path / "slide.ome.zarr"
    pixels = np.random.default_rng(0).integers(0, 256, (150, 170)).astype(np.uint8)
    group = zarr.open_group(path, mode="w")
    group.create_array("0", data=pixels, chunks=(64, 64))
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "0"}]}]}
    line = (path, "-o", tmp_path / "out", "--model", checkpoint, "--tile-size", 96, "--tile-tiff", *LOOSE)
    assert everything(*line) == 0
    text = capsys.readouterr().out
    labels = zarr.open_group(tmp_path / "out" / "labels" / "slide.zarr", mode="r")["0"]
    assert labels.shape == pixels.shape
    assert labels.dtype == np.uint32
    rows = list(csv.DictReader((tmp_path / "out" / "tables" / "slide.csv").open()))
    assert f"{len(rows)} object" in text
    assert labels[:].max() <= len(rows)
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out" / "labels" / "slide.tif"), labels[:])
    assert everything(*line) == 0
    again = capsys.readouterr().out
    tiles = int(re.search(r"(\d+) tiles", again).group(1))
    assert tiles > 4
    assert f"{tiles} of them kept from before" in again
    assert everything(*line, "--object-size", "auto") == 0
    assert "(too few to measure their size)" in capsys.readouterr().out  # the model has random weights
    assert everything(*line, "--object-size", "huge") == 2
    assert "'huge' is neither a number of pixels nor auto" in capsys.readouterr().err


def test_a_plane_of_an_ome_zarr_with_channels_is_done(checkpoint, write_ome, tmp_path, capsys):
    out = tmp_path / "out"
    pixels = np.random.default_rng(0).integers(0, 256, (2, 90, 100)).astype(np.uint8)
    path = write_ome(tmp_path / "cells.zarr", pixels, "cyx")
    zarr.open_array(tmp_path / "plain.zarr", mode="w", shape=(90, 100), chunks=(64, 64), dtype="u1")[:] = pixels[1]
    write_ome(tmp_path / "stack.ome.tif", pixels, "cyx")
    line = ("-o", out, "--model", checkpoint, "--tile-size", 96, *LOOSE)
    assert everything(path, *line) == 2
    complaint = (
        "a stack along c (2); choose one plane, as `segany everything --plane c=0` and `segany segment --slice 0`"
    )
    assert complaint in capsys.readouterr().err
    assert everything(path, tmp_path / "stack.ome.tif", *line, "--plane", "c=1") == 0
    assert everything(tmp_path / "plain.zarr", *line) == 0
    names = ["cells_c1.zarr", "plain.zarr", "stack_c1.zarr"]
    assert sorted(place.name for place in (out / "labels").iterdir()) == names
    first, *others = (zarr.open_group(out / "labels" / name, mode="r")["0"][:] for name in names)
    assert first.any()
    for other in others:
        np.testing.assert_array_equal(other, first)
    capsys.readouterr()
    for options, message in (
        (("--plane", "c=7"), "c=7 is asked for; c goes from 0 to 1"),
        (("--plane", "c"), "'c' is no plane; give positions from 0"),
        (("--plane", "c=0", "--tiles", "never"), "leave out --boxes and --tiles never"),
    ):
        assert everything(path, *line, *options) == 2
        assert message in capsys.readouterr().err


def test_patterns_and_folders_give_zarrs_as_well_as_files(inputs, checkpoint, tmp_path):
    for place in ("plates/a/well.zarr", "plates/b/well.zarr"):
        group = zarr.open_group(tmp_path / place, mode="w")
        group.create_array("0", data=np.random.default_rng(0).integers(0, 256, (64, 70)).astype(np.uint8))
    out = tmp_path / "plates" / "out"

    def names() -> set[str]:
        return {row["name"] for row in csv.DictReader((out / "report.csv").open())}

    line = ("-o", out, "--model", checkpoint, *LOOSE)
    assert everything(tmp_path / "plates/*/*.zarr", *line) == 0
    assert names() == {"a_well", "b_well"}
    assert everything(tmp_path / "plates/**/*.zarr", *line) == 0
    assert names() == {"a_well", "b_well"}, "and not the labels in its outputs"
    (tmp_path / "plates/a/picture.png").write_bytes((inputs / "a.png").read_bytes())
    for given in ("plates/a/*", "plates/a"):
        assert everything(tmp_path / given, *line) == 0
        assert names() == {"well", "picture"}


def test_a_large_picture_gets_what_is_asked_for_and_the_report_says_what_tiles_cannot(
    inputs, checkpoint, tmp_path, capsys, monkeypatch
):
    wide = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 4200), np.uint8)).save(wide)
    line = (wide, inputs, "--outputs", "labels,coco", "--tile-size", 512, "--model", checkpoint, *LOOSE)
    assert everything(*line, "-o", tmp_path / "whole") == 0
    assert "wide.png done as a whole" in capsys.readouterr().err
    names = [image["file_name"] for image in json.loads((tmp_path / "whole" / "coco.json").read_text())["images"]]
    assert [Path(name).name for name in names] == ["wide.png", "a.png"]
    monkeypatch.setattr(tiling, "WHOLE_PIXELS", 64 * 4200 - 1)
    assert everything(*line, "-o", tmp_path / "out") == 1
    assert "wide" not in (tmp_path / "out" / "coco.json").read_text()
    (said,) = [text for text in capsys.readouterr().err.splitlines() if "not written" in text]
    assert "coco is not written of" in said
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "out" / "report.csv").open())}
    assert rows["a"]["message"] == ""
    assert (rows["wide"]["status"], rows["wide"]["message"].split(" of ")[0]) == ("done", "coco is not written")
    assert everything(wide, "-o", tmp_path / "alone", *line[2:]) == 1
    assert "coco is not written" in (tmp_path / "alone" / "report.csv").read_text()


def test_an_image_done_in_another_way_leaves_no_labels_of_the_way_before(inputs, checkpoint, tmp_path):
    out = tmp_path / "out"
    line = (inputs, "-o", out, "--model", checkpoint, "--tile-size", 64, *LOOSE)
    ways = {"always": ["a.zarr"], "never": ["a.tif"]}
    for way in ("always", "never", "always", "never"):
        assert everything(*line, "--tiles", way) == 0
        assert [path.name for path in (out / "labels").iterdir()] == ways[way]
        is_of_tiles = "tiles" in (out / "tables" / "a.csv").read_text().splitlines()[0].split(",")
        assert is_of_tiles == (way == "always")


def test_a_damaged_zarr_is_one_line(checkpoint, tmp_path, capsys):
    (tmp_path / "cut.zarr").mkdir()
    (tmp_path / "cut.zarr" / "zarr.json").write_text("{")
    assert everything(tmp_path / "cut.zarr", "-o", tmp_path / "out", "--model", checkpoint, *LOOSE) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "error" in text]
    assert "cut.zarr cannot be read in parts" in line
    (tmp_path / "no.zarr").mkdir()
    assert everything(tmp_path / "no.zarr", "-o", tmp_path / "out", "--model", checkpoint, *LOOSE) == 2
    assert "no.zarr cannot be read in parts: it is a folder that holds no zarr array" in capsys.readouterr().err


def test_a_damaged_zarr_does_not_stop_the_other_images(inputs, checkpoint, tmp_path, capsys):
    (tmp_path / "cut.zarr").mkdir()
    (tmp_path / "cut.zarr" / "zarr.json").write_text("{")
    status = everything(tmp_path / "cut.zarr", inputs, "-o", tmp_path / "out", "--model", checkpoint, *LOOSE)
    assert status == 1
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "failed: " in text]
    assert "cut.zarr cannot be read in parts" in line
    assert "cut.zarr,cut,failed" in (tmp_path / "out" / "report.csv").read_text()
    assert (tmp_path / "out" / "labels" / "a.tif").is_file()


def test_words_choose_among_the_masks_and_a_missing_clip_is_told(checkpoint, image, tmp_path, monkeypatch, capsys):
    from napari_segany.engine import clip
    from napari_segany.formats.sa1b import read_sa1b

    class Half:
        """Finds every second mask."""

        temperature = 100.0

        def words(self, texts):
            return np.eye(2, dtype=np.float32)[[0 if text == "a thing" else 1 for text in texts]]

        def pictures(self, pictures):
            return np.eye(2, dtype=np.float32)[[number // 2 % 2 for number in range(len(pictures))]]

    common = [str(image), "--model", str(checkpoint), "--outputs", "sa1b", "--points-per-side", "2"]
    common += ["--pred-iou-thresh", "0", "--stability-score-thresh", "0", "--box-nms-thresh", "1"]
    assert main(["everything", *common, "-o", str(tmp_path / "all")]) == 0
    monkeypatch.setattr(clip, "Clip", lambda model, device, fetch: Half())
    assert main(["everything", *common, "-o", str(tmp_path / "half"), "--text", "a thing"]) == 0
    every, half = (read_sa1b(next((tmp_path / name / "sa1b").rglob("*.json"))).records for name in ("all", "half"))
    assert len(half) == (len(every) + 1) // 2 > 0
    monkeypatch.undo()
    pytest.importorskip("transformers")
    capsys.readouterr()
    arguments = ["everything", *common, "-o", str(tmp_path / "none"), "--text", "a"]
    arguments += ["--text-model", str(tmp_path / "missing")]
    assert main(arguments) == 2
    assert "is no folder with a CLIP; on a computer" in capsys.readouterr().err
    assert main([*arguments[:-1], "nobody/nothing"]) == 2
    assert "'nobody/nothing' is not on this computer yet; add --text-download to fetch it" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert main([*arguments[:-4], "--text-threshold", "0.4"]) == 2
    assert "go with --text" in capsys.readouterr().err
