"""Waiting until something rests, with a runner that only writes down what it was asked to call."""

from __future__ import annotations

from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.rest import Rest


class Clock(SynchronousRunner):
    """A runner whose time is told by hand."""

    def __init__(self):
        self.now, self.waiting = 0, []

    def later(self, callback, delay_ms=0):
        self.waiting.append((self.now + delay_ms, callback))

    def turn_to(self, now):
        self.now = now
        due = [callback for time, callback in self.waiting if time <= now]
        self.waiting = [(time, callback) for time, callback in self.waiting if time > now]
        for callback in due:
            callback()


def test_it_calls_once_and_only_when_nothing_stirred_for_the_whole_delay():
    clock, calls = Clock(), []
    rest = Rest(clock, lambda: calls.append(clock.now), 100)
    for now in (0, 60, 120):
        clock.turn_to(now)
        rest.stir()
    clock.turn_to(219)
    assert calls == []
    clock.turn_to(220)
    assert calls == [220]
    clock.turn_to(1000)
    assert calls == [220]


def test_what_is_forgotten_is_not_called_and_later_stirs_are():
    clock, calls = Clock(), []
    rest = Rest(clock, lambda: calls.append(clock.now), 100)
    rest.stir()
    rest.forget()
    clock.turn_to(150)
    assert calls == []
    rest.stir()
    clock.turn_to(250)
    assert calls == [250]


def test_a_synchronous_runner_waits_for_nothing():
    calls = []
    Rest(SynchronousRunner(), lambda: calls.append("now"), 100).stir()
    assert calls == ["now"]
