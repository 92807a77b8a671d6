"""Files of saved sessions: whose is overwritten, whose is put aside, and which are forgotten."""

from __future__ import annotations

import os
import time

import pytest

from napari_segany.formats.session_file import SavedSession, read_session
from napari_segany.widgets.session_place import SessionPlace, forget_oldest

DAY_NS = 86_400 * 10**9


def state(model: str) -> SavedSession:
    return SavedSession(image={}, model=model, saved_at="2024-05-06T07:08:09")


def write(place: SessionPlace, model: str) -> None:
    place.write(state(model), place.next_number())


def models(folder) -> list[str]:
    return sorted(read_session(path).model for path in folder.glob("*.json"))


def test_each_earlier_session_has_a_file_of_its_own_and_the_newest_is_offered(tmp_path):
    path = tmp_path / "cells.tif-0123.json"
    for day in range(4):
        place = SessionPlace(path)
        assert (place.earlier is None) == (day == 0)
        for hour in range(3):
            write(place, f"day {day}, {hour}")
            if day:
                assert read_session(place.earlier).model == f"day {day - 1}, 2"
    assert models(tmp_path) == ["day 0, 2", "day 1, 2", "day 2, 2", "day 3, 2"]


def test_the_number_of_files_of_an_image_is_bounded_and_the_newest_stay(tmp_path):
    for day in range(15):
        write(SessionPlace(tmp_path / "cells-0123.json"), f"day {day:02}")
    assert models(tmp_path) == [f"day {day:02}" for day in range(4, 15)]


def test_two_that_write_the_same_image_do_not_overwrite_each_other(tmp_path):
    one, other = SessionPlace(tmp_path / "cells-0123.json"), SessionPlace(tmp_path / "cells-0123.json")
    for number in range(3):
        write(one, f"one {number}")
        write(other, f"other {number}")
    assert {"one 2", "other 2"} <= set(models(tmp_path))
    assert len(models(tmp_path)) == 3, "they part once, and not at each state"


def test_what_another_put_aside_is_still_offered(tmp_path):
    write(SessionPlace(tmp_path / "cells-0123.json"), "yesterday")
    one, other = SessionPlace(tmp_path / "cells-0123.json"), SessionPlace(tmp_path / "cells-0123.json")
    write(other, "other")
    assert read_session(one.earlier).model == "yesterday"


def test_a_file_that_is_put_aside_is_not_the_first_to_be_forgotten(tmp_path):
    path = tmp_path / "cells-0123.json"
    write(SessionPlace(path), "last year")
    last_year = time.time_ns() - 365 * DAY_NS
    os.utime(path, ns=(last_year, last_year))
    for number in range(100):
        write(SessionPlace(tmp_path / f"other-{number:04}.json"), "other")
    place = SessionPlace(path)
    write(place, "today")
    forget_oldest(tmp_path)
    assert len(models(tmp_path)) == 100
    assert read_session(place.earlier).model == "last year"


def test_files_that_cannot_be_forgotten_are_left(tmp_path):
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "held.json").mkdir()
    os.utime(tmp_path / "held.json", ns=(0, 0))
    for number in range(100):
        write(SessionPlace(tmp_path / f"other-{number:04}.json"), "other")
    forget_oldest(tmp_path)
    assert (tmp_path / "held.json").is_dir()


def test_a_file_that_cannot_be_looked_at_is_not_written_over(tmp_path):
    path = tmp_path / "cells-0123.json"
    path.symlink_to(path.name)  # leads to itself: what is there cannot be told
    place = SessionPlace(path)
    assert place.earlier is None
    with pytest.raises(OSError, match=path.name):
        write(place, "new")
    assert path.is_symlink()
