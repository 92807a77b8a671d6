"""`segany segment --csv`: an object for each line of a file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.cli.main import main
from napari_segany.engine.predictor import Predictor
from napari_segany.formats.record import read_records


def segment(*arguments: object) -> int:
    return main(["segment", *(str(argument) for argument in arguments)])


def test_each_line_of_a_file_is_an_object(checkpoint, image, tmp_path, capsys):
    table, out, records = tmp_path / "boxes.csv", tmp_path / "out.tif", tmp_path / "out.json"
    table.write_text("row_min,col_min,row_max,col_max\n2,3,20,30\n25,5,38,40\n")
    assert segment(image, "--csv", table, "--model", checkpoint, "-o", out, "-o", records) == 0
    assert "of 2 lines of boxes.csv" in capsys.readouterr().out
    predictor = Predictor(checkpoint, device="cpu")
    embedding = predictor.encode(np.asarray(Image.open(image)))
    found = read_records(records)
    for record, box in zip(found, [(2, 3, 20, 30), (25, 5, 38, 40)], strict=True):
        assert (record.mask != predictor.predict(embedding, box=box).masks[0]).mean() < 2e-3
    assert set(np.unique(tifffile.imread(out))) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--point", "1,2"), "does not go together with --point"),
        (("-o", "out.png"), "a .png holds one mask"),
        ((), "line 2 of boxes.csv has 'x' in the column col"),
    ],
)
def test_a_file_that_does_not_serve_is_told_in_a_line(image, tmp_path, capsys, options, complaint):
    table = tmp_path / "boxes.csv"
    table.write_text("row,col\n1,x\n")
    assert segment(image, "--csv", table, *options, "-o", tmp_path / "out.tif") != 0
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("row,col\n1,2\n999,3\n", "object 2 of all.csv: the point (999, 3) lies outside of the image"),
        ("row_min,col_min,row_max,col_max\n1,1,9,9\n2,2,8,8\n5,5,5,5\n", "object 3 of all.csv: the box (5, 5, 5, 5)"),
    ],
)
def test_an_object_that_cannot_be_asked_is_named(image, tmp_path, capsys, table, complaint):
    (tmp_path / "all.csv").write_text(table)
    assert segment(image, "--csv", tmp_path / "all.csv", "-o", tmp_path / "out.tif") == 2
    assert complaint in capsys.readouterr().err
