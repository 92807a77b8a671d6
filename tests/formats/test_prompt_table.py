"""Points and boxes from CSV files of people and of napari."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.formats.prompt_table import read_prompt_table


@pytest.fixture
def table(tmp_path):
    def read(text, name="prompts.csv", **options):
        path = tmp_path / name
        path.write_text(text, **options)
        return read_prompt_table(path)

    return read


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("row,col\n1,2\n3.5,4\n", [(1, 2), (3.5, 4)]),
        ("\ufeffX, Y \n2,1\n\n", [(1, 2)]),
        ("name;row;col;label\na;1;2;foreground\nb;3;4;0\n", [(1, 2)]),
        ("index,axis-0,axis-1,axis-2\n0,5,1,2\n", [(5, 1, 2)]),
    ],
)
def test_points(table, text, points):
    found = table(text, encoding="utf-8")
    np.testing.assert_array_equal(found.points, points)
    assert (len(found), found.ndim, found.boxes) == (len(points), len(points[0]), None)


def test_boxes(table):
    found = table("row_min,col_min,row_max,col_max,score\n1,2,30,40,0.5\n5,6,7,8,0.1\n")
    np.testing.assert_array_equal(found.boxes, [[(1, 2), (30, 40)], [(5, 6), (7, 8)]])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("1,2\n3,4\n", "has numbers and no names of columns"),
        ("height,width\n1,2\n", "has the columns height, width; expected are row,col"),
        ("row,col\n", "no line follows"),
        ("row,col\n1,2\n3,many\n", "line 3 of prompts.csv has 'many' in the column col; give a number"),
        ("row,col\n1\n", "line 2 of prompts.csv has '' in the column col"),
        ("row,col\n1,nan\n", "has 'nan' in the column col"),
        ("row,col,label\n1,2,nucleus\n", "'nucleus' in the column label; allowed are"),
        ('row,col\n"1,2\n', "is no CSV file"),
    ],
)
def test_what_is_no_such_table_is_told_in_a_sentence(table, text, complaint):
    with pytest.raises(ValueError, match=complaint):
        table(text)


def test_binary_files_are_no_tables(tmp_path):
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match="no CSV file"):
        read_prompt_table(tmp_path / "image.csv")
