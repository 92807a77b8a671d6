from __future__ import annotations

import pytest

from napari_segany.engine.progress import Progress
from napari_segany.generators import drain, relabelled


def work(steps: int, log: list[str]):
    try:
        for done in range(steps):
            yield Progress(done + 1, steps, "counting")
        return "result"
    finally:
        log.append("closed")


def test_drain_returns_the_result_and_reports_every_step():
    log, seen = [], []
    assert drain(work(3, log), seen.append) == "result"
    assert [progress.done for progress in seen] == [1, 2, 3]
    assert log == ["closed"]
    assert drain(work(0, log)) == "result"


def test_work_may_yield_anything_also_nothing_and_be_told_as_anything():
    def parts():
        yield None
        yield None
        return "result"

    seen = []
    assert drain(parts()) == "result"
    assert drain(relabelled(parts(), lambda _: (3, 7)), seen.append) == "result"
    assert seen == [(3, 7), (3, 7)]


def test_an_exception_of_the_report_closes_the_work():
    log = []

    def cancel(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drain(work(3, log), cancel)
    assert log == ["closed"]


def test_an_exception_of_the_work_goes_through():
    def failing():
        yield Progress(0, 0)
        raise ValueError("defect")

    with pytest.raises(ValueError, match="defect"):
        drain(failing())


def test_inner_work_reports_under_the_outer_works_name_and_hands_on_its_result():
    log = []
    steps = relabelled(work(3, log), lambda inner: Progress(0, 7, f"part {inner.done}"))
    seen = []
    assert drain(steps, seen.append) == "result"
    assert seen == [Progress(0, 7, f"part {done}") for done in (1, 2, 3)]
    assert log == ["closed"]
    assert drain(relabelled(work(0, log), lambda inner: inner)) == "result"


def test_closing_the_outer_work_closes_the_inner_one_at_once():
    log = []
    steps = relabelled(work(3, log), lambda inner: inner)
    next(steps)
    steps.close()
    assert log == ["closed"]


def test_an_error_of_the_label_closes_the_inner_work():
    log = []

    def defect(inner: Progress) -> Progress:
        raise KeyError("defect")

    with pytest.raises(KeyError, match="defect"):
        drain(relabelled(work(3, log), defect))
    assert log == ["closed"]
