from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.predictor import Predictor
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.formats.record import read_records

WITHOUT_QT_AND_NAPARI = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    names = {"napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "superqt", "vispy"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from napari_segany.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def segment(*arguments: object) -> int:
    return main(["segment", *(str(argument) for argument in arguments)])


@pytest.fixture
def answer(checkpoint, image):
    """What the scripting interface says to the same question."""

    def ask(**prompt):
        predictor = Predictor(checkpoint, device="cpu")
        return predictor.predict(predictor.encode(np.asarray(Image.open(image))), **prompt)

    return ask


def test_a_point_gives_a_label_image_of_the_best_mask(checkpoint, image, tmp_path, capsys, answer):
    out = tmp_path / "out.tif"
    assert segment(image, "--point", "10,20", "--model", checkpoint, "-o", out) == 0
    expected = answer(points=[(10, 20)])
    labels = tifffile.imread(out)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, expected.masks[0])
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert f"{expected.predicted_iou[0]:.3f}" in line
    assert f"{expected.masks[0].sum()} pixels" in line
    assert str(out) in line


def test_everything_at_once(checkpoint, image, tmp_path, answer):
    outputs = [tmp_path / name for name in ("out.tiff", "out.json", "out.PNG")]
    arguments = [argument for path in outputs for argument in ("-o", path)]
    prompt = ["--point", "10,20", "--point", "12,22.5", "--background", "30,50", "--box", "5,5,30,55"]
    assert segment(image, *prompt, "--multimask", "--model", checkpoint, *arguments) == 0
    expected = answer(points=[(10, 20), (12, 22.5), (30, 50)], labels=[1, 1, 0], box=(5, 5, 30, 55), multimask=True)
    records = read_records(outputs[1])
    assert len(records) == 3
    for record, mask, iou, stability in zip(
        records, expected.masks, expected.predicted_iou, expected.stability_score, strict=True
    ):
        np.testing.assert_array_equal(record.mask, mask)
        assert record.predicted_iou == pytest.approx(iou, abs=1e-5)
        assert record.stability_score == pytest.approx(stability, abs=1e-5)
        assert record.prompt["labels"] == [1, 1, 0]
        assert record.prompt["box"] == [5, 5, 30, 55]
    np.testing.assert_array_equal(np.asarray(Image.open(outputs[2])), expected.masks[0] * 255)
    np.testing.assert_array_equal(tifffile.imread(outputs[0]), expected.masks[0])


@pytest.mark.parametrize(("options", "count"), [([], 3), (["--single"], 1), (["--multimask"], 3)])
def test_how_many_masks(checkpoint, image, tmp_path, options, count):
    out = tmp_path / "masks.json"
    assert segment(image, "--point", "10,20", *options, "--model", checkpoint, "-o", out) == 0
    assert len(read_records(out)) == count


def test_a_plane_of_a_stack_with_its_contrast(checkpoint, tmp_path):
    stack = np.random.default_rng(0).integers(0, 4096, (5, 40, 60)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", stack)
    out = tmp_path / "out.png"
    arguments = ["--slice", 1, "--contrast-limits", "-100,3000", "--point", "10,20", "--model", checkpoint, "-o", out]
    assert segment(tmp_path / "stack.tif", *arguments) == 0
    predictor = Predictor(checkpoint, device="cpu")
    embedding = predictor.encode(stack[1], contrast_limits=(-100, 3000))
    expected = predictor.predict(embedding, points=[(10, 20)]).masks[0]
    np.testing.assert_array_equal(np.asarray(Image.open(out)), expected * 255)


class TestErrors:
    """One line, status 2, no output."""

    @pytest.fixture
    def files(self, tmp_path, image, checkpoint):
        folder = tmp_path / "files"
        folder.mkdir()
        (folder / "text.png").write_text("no image")
        (folder / "half.png").write_bytes(image.read_bytes()[:200])
        (folder / "weights.pth").write_text("no weights")
        tifffile.imwrite(folder / "stack.tif", np.zeros((5, 20, 30), np.uint16))
        np.save(folder / "line.npy", np.zeros(5))
        return {
            "image": image, "model": checkpoint, "folder": folder, "missing": folder / "missing.tif",
            "out": tmp_path / "out.tif", "file": folder / "text.png" / "out.tif",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{missing} --point 1,2 -o {out}", "missing.tif: No such file"),
            ("{folder} --point 1,2 -o {out}", "is a folder"),
            ("{folder}/text.png --point 1,2 -o {out}", "damaged or no image"),
            ("{folder}/half.png --point 1,2 -o {out}", "damaged or no image"),
            ("{folder}/stack.tif --point 1,2 -o {out}", "--slice"),
            ("{folder}/stack.tif --slice 9 --point 1,2 -o {out}", "no plane 9"),
            ("{folder}/stack.tif --slice -1 --point 1,2 -o {out}", "no plane -1; it has 5, from 0 to 4"),
            ("{folder}/line.npy --point 1,2 -o {out}", "shape"),
            ("{image} -o {out}", "prompt is empty"),
            ("{image} --point 1,2", "-o/--output"),
            ("{image} --point 1 -o {out}", "'1' is not 2 numbers"),
            ("{image} --point one,two -o {out}", "'one,two' is not 2 numbers"),
            ("{image} --point 1,2,3 -o {out}", "'1,2,3' is not 2 numbers"),
            ("{image} --point nan,2 -o {out}", "nan"),
            ("{image} --point 40,2 -o {out}", "(40, 2) lies outside"),
            ("{image} --point -5,3 -o {out}", "(-5, 3) lies outside"),
            ("{image} --background 2,60 -o {out}", "(2, 60) lies outside"),
            ("{image} --box 1,2,3 -o {out}", "not 4 numbers"),
            ("{image} --box 9,2,3,4 -o {out}", "no area"),
            ("{image} --box -9,2,3,4 -o {out}", "leaves the image"),
            ("{image} --point 1,2 --contrast-limits 5,5 -o {out}", "contrast_limits"),
            ("{image} --point 1,2 --multimask --single -o {out}", "not allowed with"),
            ("{image} --point 1,2 --model no_such_model -o {out}", "no_such_model"),
            ("{image} --point 1,2 --model {folder}/weights.pth -o {out}", "weights.pth"),
            ("{image} --point 1,2 --model {folder}/none.pth -o {out}", "none.pth"),
            ("{image} --point 1,2 --device tpu -o {out}", "available"),
            ("{image} --point 1,2 -o {folder}", "unknown ending"),
            ("{image} --point 1,2 -o {folder}/out.jpg", "unknown ending"),
            ("{image} --point 1,2 -o {folder}/none/out.tif", "does not exist"),
            ("{image} --point 1,2 -o {file}", "does not exist"),
            ("{image} --point 1,2 --slice one -o {out}", "invalid int"),
            ("{image} --bogus -o {out}", "bogus"),
        ],
    )
    def test_each_is_told_in_one_line(self, files, capsys, line, message):
        arguments = line.format(**files).split()
        if "--model" not in arguments:
            arguments += ["--model", str(files["model"])]
        assert segment(*arguments) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.startswith("segany")
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        assert not files["out"].exists()

    def test_a_full_disk_leaves_the_old_file(self, checkpoint, image, tmp_path, capsys, monkeypatch):
        out = tmp_path / "out.tif"
        out.write_text("old")

        def full(path, *args, **kwargs):
            Path(path).write_text("half")
            raise OSError(28, "No space left on device", str(path))

        monkeypatch.setattr("tifffile.imwrite", full)
        assert segment(image, "--point", "1,2", "--model", checkpoint, "-o", out) == 2
        assert capsys.readouterr().err == f"segany segment: error: {out}: No space left on device\n"
        assert out.read_text() == "old"
        assert list(tmp_path.iterdir()) == [out]


def test_runs_where_qt_and_napari_are_not_importable(checkpoint, image, tmp_path):
    out = tmp_path / "out.tif"
    command = ["segment", str(image), "--point", "10,20", "--model", str(checkpoint), "-o", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_QT_AND_NAPARI, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert tifffile.imread(out).shape == (40, 60)


def test_python_without_asserts_refuses_the_same(image, tmp_path):
    command = ["segment", str(image), "--point", "99,20", "-o", str(tmp_path / "out.tif")]
    done = subprocess.run(
        [sys.executable, "-O", "-m", "napari_segany.cli.main", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "(99, 20) lies outside" in done.stderr


def test_no_input_is_replaced_under_whatever_name(checkpoint, tmp_path, capsys):
    path, link = tmp_path / "im.tif", tmp_path / "same.tif"
    tifffile.imwrite(path, np.zeros((40, 60), np.uint8))
    link.symlink_to(path)
    before = path.read_bytes()
    for output in (path, link):
        assert segment(path, "--point", "1,1", "--model", checkpoint, "-o", output) == 2
        assert "is an input of this command" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert link.is_symlink()


def test_labels_have_the_pixel_size_of_the_image(checkpoint, tmp_path, capsys):
    path, out = tmp_path / "im.tif", tmp_path / "out.tif"
    tifffile.imwrite(path, np.zeros((40, 60), np.uint8), resolution=(2e4, 4e4), resolutionunit="CENTIMETER")
    assert segment(path, "--point", "1,1", "--model", checkpoint, "-o", out) == 0
    assert read_pixel_size(out) == read_pixel_size(path) is not None
    assert segment(path, "--point", "1,1", "--slice", 1, "--bands", "ndvi", "-o", out) == 2
    assert "--slice is for stacks and --bands for rasters" in capsys.readouterr().err
