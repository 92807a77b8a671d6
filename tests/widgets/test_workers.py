"""Work in threads: nothing is lost, nothing leaks out of the thread, everything can be stopped."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
from qtpy.QtCore import QThread, QTimer

from napari_segany.engine.progress import Progress
from napari_segany.widgets import workers
from napari_segany.widgets.workers import BackgroundRunner


@pytest.fixture
def runner(qtbot):
    runner = BackgroundRunner()
    yield runner
    runner.close()
    qtbot.waitUntil(lambda: runner.running == 0)


class Heard:
    """Notes what a task tells, and in which thread."""

    def __init__(self):
        self.results, self.errors, self.progress, self.threads = [], [], [], set()

    def callbacks(self, report=True):
        def note(kept):
            def callback(value):
                kept.append(value)
                self.threads.add(QThread.currentThread())

            return callback

        chosen = {"done": note(self.results), "failed": note(self.errors)}
        return {**chosen, "report": note(self.progress)} if report else chosen


def count_to(number, threads=None):
    for done in range(1, number + 1):
        if threads is not None:
            threads.add(threading.get_ident())
        yield Progress(done, number, "counting")
    return number


def test_result_and_progress_arrive_in_order_in_the_gui_thread(runner, qtbot):
    heard, threads = Heard(), set()
    runner.start("Counting", count_to(5, threads), **heard.callbacks())
    qtbot.waitUntil(lambda: heard.results == [5])
    shown = [progress.done for progress in heard.progress]
    assert shown
    assert shown == sorted(set(shown))
    assert heard.threads == {QThread.currentThread()}
    assert threading.get_ident() not in threads


@dataclass(frozen=True)
class Found(Progress):
    """Progress that brings something."""

    what: str = ""


def test_of_many_quick_steps_few_are_drawn_and_nothing_that_brings_something_is_lost(runner, qtbot):
    def quick_then_slow():
        for done in range(300):
            yield Progress(done, 300)
            if done % 100 == 50:
                yield Found(done, 300, what=f"object {done}")
        seen.wait(4)  # a long step: the latest progress must not wait for its end

    heard, seen = Heard(), threading.Event()
    runner.start("Finding", quick_then_slow(), **heard.callbacks())
    qtbot.waitUntil(lambda: bool(heard.progress) and heard.progress[-1].done == 299)
    seen.set()
    qtbot.waitUntil(lambda: heard.results == [None])
    assert [one.what for one in heard.progress if isinstance(one, Found)] == ["object 50", "object 150", "object 250"]
    assert len(heard.progress) < 30
    assert [one.done for one in heard.progress] == sorted(one.done for one in heard.progress)


def test_the_longer_drawing_takes_the_fewer_steps_are_drawn(runner, qtbot, monkeypatch):
    """A tenth of the time at most goes into drawing; here, where drawing counts as very long, one step is drawn."""
    monkeypatch.setattr(workers, "_PAUSE_TO_DRAWING", 1e9)
    monkeypatch.setattr(workers, "_LONGEST_PAUSE_S", 60)

    def steps():
        end = time.monotonic() + 5 * workers._PAUSE_S
        while time.monotonic() < end:
            yield Progress(0, 300)

    heard = Heard()
    runner.start("Finding", steps(), **heard.callbacks())
    qtbot.waitUntil(lambda: heard.results == [None])
    assert len(heard.progress) == 1


def test_without_report_there_is_no_progress(runner, qtbot):
    heard = Heard()
    runner.start("Counting", count_to(3), **heard.callbacks(report=False))
    qtbot.waitUntil(lambda: heard.results == [3])
    assert heard.progress == []


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), ValueError("wrong"), MemoryError("full")])
def test_every_exception_arrives_as_a_value(runner, qtbot, error):
    def fail():
        yield Progress(0, 1)
        raise error

    heard = Heard()
    runner.start("Failing", fail(), **heard.callbacks())
    qtbot.waitUntil(lambda: heard.errors == [error])
    assert heard.results == []


def test_cancel_closes_the_generator_and_silences_the_task(runner, qtbot):
    closed = threading.Event()

    def endless():
        try:
            while True:
                time.sleep(0.002)
                yield Progress(0, 0)
        finally:
            closed.set()

    heard = Heard()
    task = runner.start("Endless", endless(), **heard.callbacks())
    qtbot.waitUntil(lambda: len(heard.progress) > 2)
    task.cancel()
    told = len(heard.progress)
    assert closed.wait(2)
    qtbot.wait(50)
    assert (heard.results, heard.errors, len(heard.progress)) == ([], [], told)


def test_a_result_that_was_on_its_way_when_cancelled_is_dropped(runner, qtbot):
    heard = Heard()
    task = runner.start("Counting", count_to(1), **heard.callbacks())
    time.sleep(0.2)  # the worker is over; its result waits in the queue of this thread
    task.cancel()
    qtbot.wait(50)
    assert heard.results == []


def test_close_stops_everything_and_forgets_what_waits(qtbot):
    def endless():
        while True:
            time.sleep(0.002)
            yield Progress(0, 0)

    runner, called = BackgroundRunner(), []
    for _ in range(2):
        runner.start("Endless", endless(), done=called.append, failed=called.append)
    runner.later(lambda: called.append("later"))
    runner.close()
    qtbot.waitUntil(lambda: runner.running == 0)
    qtbot.wait(20)
    assert called == []


def test_later_is_after_the_present_event(qtbot):
    runner, order = BackgroundRunner(), []
    runner.later(lambda: order.append("later"))
    order.append("now")
    qtbot.waitUntil(lambda: order == ["now", "later"])


def test_timers_that_are_due_have_their_turn_between_two_laters(qtbot):
    runner, order, timer = BackgroundRunner(), [], QTimer()
    timer.setInterval(1)
    timer.timeout.connect(lambda: order.append("timer"))

    def step():
        order.append("later")
        time.sleep(0.02)
        if order.count("later") < 4:
            runner.later(step)

    timer.start()
    runner.later(step)
    qtbot.waitUntil(lambda: order.count("later") == 4)
    timer.stop()
    assert [one for one, after in pairwise(order) if one == after == "later"] == []


def test_long_laters_that_are_due_together_have_a_turn_each_in_their_order(qtbot):
    runner, order, timer = BackgroundRunner(), [], QTimer()
    timer.setInterval(1)
    timer.timeout.connect(lambda: order.append("timer"))

    def step(name):
        order.append(name)
        time.sleep(0.02)

    for name in "abc":
        runner.later(partial(step, name))
    timer.start()
    time.sleep(0.01)
    qtbot.waitUntil(lambda: "c" in order)
    timer.stop()
    assert [one for one in order if one != "timer"] == ["a", "b", "c"]
    assert not [pair for pair in pairwise(order) if "timer" not in pair]


def test_napari_shows_the_title_when_it_is_closed_meanwhile(runner, qtbot):
    heard = Heard()
    task = runner.start("Computing the image embedding", count_to(1), **heard.callbacks())
    assert str(task._job) == "Computing the image embedding"
    qtbot.waitUntil(lambda: heard.results == [1])
