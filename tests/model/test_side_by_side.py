"""Work on independent parts: results in their order, errors, modes of torch, and what other threads keep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Barrier, Thread, current_thread

import pytest
import torch

from napari_segany.model.side_by_side import side_by_side


@pytest.fixture(autouse=True, params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_parts():
    def work(part: int) -> int:
        time.sleep(0.002 * (5 - part % 5))
        return part**2

    assert side_by_side(work, range(13)) == [part**2 for part in range(13)]
    assert side_by_side(work, []) == []


def test_as_many_parts_at_the_same_time_as_torch_has_threads(threads: int):
    together = Barrier(threads, timeout=20)
    side_by_side(lambda _: together.wait(), range(2 * threads))


def test_each_part_has_one_thread_of_torch_and_all_others_keep_theirs(threads: int):
    of_others: list[int] = []

    def work(part: int) -> int:
        if part == 4:  # a thread that somebody else begins meanwhile
            other = Thread(target=lambda: of_others.append(torch.get_num_threads()))
            other.start()
            other.join()
        return torch.get_num_threads()

    assert side_by_side(work, range(5)) == [1] * 5
    assert torch.get_num_threads() == threads
    assert of_others == [threads]


def test_fewer_parts_than_threads_have_all_of_them_one_after_the_other(threads: int):
    def work(_: int) -> tuple[Thread, int]:
        return current_thread(), torch.get_num_threads()

    assert side_by_side(work, range(threads - 1)) == [(current_thread(), threads)] * (threads - 1)


def test_threads_that_begin_later_keep_their_number_where_not_all_could_be_begun(
    threads: int, monkeypatch: pytest.MonkeyPatch
):
    if threads == 1:
        pytest.skip("one thread is the caller's")
    start, begun = Thread.start, []

    def second_fails(thread: Thread) -> None:
        begun.append(thread)
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as few:
        few.setattr(Thread, "start", second_fails)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            side_by_side(lambda part: part, range(threads))
    of_others: list[int] = []
    later = Thread(target=lambda: of_others.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert torch.get_num_threads() == threads
    assert of_others == [threads]


def test_the_first_error_is_raised_and_no_more_is_begun():
    begun: list[int] = []

    def work(part: int) -> None:
        begun.append(part)
        if part == 2:
            raise ValueError("the third part")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="the third part"):
        side_by_side(work, range(1000))
    assert len(begun) < 500


def test_modes_of_the_caller_hold_on_the_threads():
    def modes(_: int) -> tuple[bool, bool, bool, torch.dtype]:
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        mixed = torch.is_autocast_enabled("cpu")
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled(), mixed, product.dtype

    assert side_by_side(modes, range(4)) == [(False, True, False, torch.float32)] * 4
    with torch.no_grad():
        assert side_by_side(modes, range(4)) == [(False, False, False, torch.float32)] * 4
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert side_by_side(modes, range(4)) == [(True, False, True, torch.bfloat16)] * 4
