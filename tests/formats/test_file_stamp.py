from __future__ import annotations

import pytest

from napari_segany.formats.file_stamp import file_stamp


def test_a_file_that_is_written_has_another_stamp(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("one")
    before = file_stamp(path)
    assert before == file_stamp(path)
    path.write_text("longer")
    assert file_stamp(path) not in (before, None)


def test_no_file_is_told_from_one_that_cannot_be_looked_at(tmp_path):
    (tmp_path / "file").write_text("")
    assert file_stamp(tmp_path / "nowhere" / "record.json") is None
    assert file_stamp(tmp_path / "file" / "record.json") is None
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        file_stamp(tmp_path / "circle")
