"""Running a generator of progress in napari's thread pool, with its progress in napari's activity panel.

A `FunctionWorker` is used and no exception ever leaves its function: superqt's generator workers swallow every
RuntimeError (so every error of torch's) and never close their generator.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QThreadPool, QTimer, Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.turns import Turns

_PAUSE_S = 0.1
"""Between two steps that are drawn, where drawing is quick."""
_LONGEST_PAUSE_S = 1.0
_PAUSE_TO_DRAWING = 10
"""How much longer than drawing a step the pause after it is: without a graphics card the window takes long to draw,
and holds up the work meanwhile."""


class _Bridge(QObject):
    """Tells the thread that owns the widgets that a task has progress to show."""

    progressed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.progressed.connect(_show)


def _show(task: BackgroundTask) -> None:
    task.show_waiting()


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What came of the work: one of the two is set, neither if it was stopped."""

    result: Any = None
    error: Exception | None = None


class _Job:
    """The function that a worker runs; napari shows its name when the viewer is closed while it runs."""

    def __init__(self, title: str, steps: Steps[Any], report: Callable[[Progress], None]) -> None:
        self.title = title
        self.is_stopped: Callable[[], bool] = lambda: False
        self._steps = steps
        self._report = report

    @property
    def __name__(self) -> str:
        return self.title

    def __repr__(self) -> str:
        return self.title

    def __call__(self) -> _Outcome:
        # The place in napari's pool is given back: it has as many as there are processors, and a click's question
        # must never wait for one behind the work of minutes.
        pool = QThreadPool.globalInstance()
        pool.releaseThread()
        try:
            return self._run()
        finally:
            pool.reserveThread()

    def _run(self) -> _Outcome:
        try:
            while not self.is_stopped():
                self._report(next(self._steps))
        except StopIteration as end:
            return _Outcome(result=end.value)
        except Exception as error:  # noqa: BLE001 - handed over as a value: a worker's own error paths lose it
            return _Outcome(error=error)
        finally:
            self._steps.close()
        return _Outcome()


class BackgroundTask:
    """One running worker and the callbacks that wait for it."""

    def __init__(
        self,
        title: str,
        steps: Steps[Any],
        bridge: _Bridge,
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        report: Callable[[Progress], None] | None,
    ) -> None:
        self.ended = False
        self._done, self._failed, self._report = done, failed, report
        self._over = self._is_drawing = False
        self._bridge = bridge
        self._lock = Lock()
        self._waiting: deque[Progress] = deque()
        self._shown_s, self._pause_s = float("-inf"), _PAUSE_S
        self._job = _Job(title, steps, self._hand_over)
        self._worker = create_worker(
            self._job,
            _start_thread=False,
            _connect={"returned": self._returned, "finished": self._finished},
            _progress={"desc": title, "total": 0} if report is not None else False,
        )
        # Also set by napari itself, when it is closed while work is under way.
        self._job.is_stopped = lambda: self._over or self._worker.abort_requested

    def start(self) -> None:
        """Hand the work to the thread pool."""
        self._worker.start()

    def cancel(self) -> None:
        """Stop before the next step; no callback is called any more."""
        self._let_go()
        self._worker.quit()

    def _hand_over(self, progress: Progress) -> None:
        """Let a step be shown; called in the worker's thread.

        Drawing a bar takes longer than many a step does: of steps that only say how far the work is, the latest is
        shown now and then, or the window would be busy with them long after the work is over.
        """
        with self._lock:
            is_news = not self._waiting or not progress.may_be_skipped
            if self._waiting and self._waiting[-1].may_be_skipped:
                self._waiting.pop()
            self._waiting.append(progress)
        if is_news:
            self._bridge.progressed.emit(self)

    def show_waiting(self) -> None:
        """Pass on in their order the steps that wait, in the thread that owns the widgets."""
        while True:
            pause = self._pause_s - (time.monotonic() - self._shown_s)
            with self._lock:
                if not self._waiting or self._over:
                    return
                is_early = pause > 0 and self._waiting[0].may_be_skipped
                progress = self._waiting[0] if is_early else self._waiting.popleft()
            if is_early:
                QTimer.singleShot(round(1000 * pause) + 1, self.show_waiting)
                return
            self._show(progress)

    def _show(self, progress: Progress) -> None:
        if self._report is None:
            return
        self._shown_s = time.monotonic()
        self._report(progress)
        self._draw(progress)
        took = time.monotonic() - self._shown_s
        self._pause_s = min(max(_PAUSE_S, _PAUSE_TO_DRAWING * took), _LONGEST_PAUSE_S)

    def _draw(self, progress: Progress) -> None:
        """Move napari's bar; last, for it handles waiting events, the end of this task perhaps among them.

        The next steps may be among them too. They leave the bar alone: otherwise steps that come faster than they are
        drawn would pile up until Python's stack is full.
        """
        bar = self._worker.pbar
        if bar is None or self._is_drawing:
            return
        self._is_drawing = True
        try:
            if bar.total != progress.total:
                bar.total = progress.total
            bar.update(progress.done - bar.n)
        finally:
            self._is_drawing = False

    def _returned(self, outcome: _Outcome) -> None:
        if self._over:
            return
        done, failed = self._done, self._failed
        self._let_go()
        if outcome.error is not None:
            failed(outcome.error)
        else:
            done(outcome.result)

    def _let_go(self) -> None:
        """Be over, and keep nothing of those who waited: the task stays until its thread has left it."""
        self._over = True
        self._done = self._failed = _nobody
        self._report = None

    def _finished(self) -> None:
        self.ended = True


def _nobody(outcome: object) -> None:
    """Wait for nothing."""


class BackgroundRunner:
    """Runs work in threads and calls back in the thread that made the runner."""

    def __init__(self) -> None:
        self._tasks: list[BackgroundTask] = []
        self._bridge = _Bridge()
        self._turns = Turns()

    @property
    def running(self) -> int:
        """How many tasks have not ended yet; a cancelled one ends with its current step."""
        return sum(not task.ended for task in self._tasks)

    def start(
        self,
        title: str,
        steps: Steps[Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        report: Callable[[Progress], None] | None = None,
    ) -> BackgroundTask:
        """Begin the work in a thread; with `report`, napari's activity panel shows it too."""
        # Tasks are let go of here, not when they end: their thread may still be leaving the worker then, and would be
        # the one to destroy its Qt objects.
        self._tasks = [task for task in self._tasks if not task.ended]
        task = BackgroundTask(title, steps, self._bridge, done, failed, report)
        self._tasks.append(task)
        task.start()
        return task

    def later(self, callback: Callable[[], None], delay_ms: int = 0) -> None:
        """Call back from the event loop after `delay_ms`, unless the runner has been closed by then."""
        self._turns.add(callback, delay_ms)

    def close(self) -> None:
        """Cancel all tasks; each ends with its current step."""
        self._turns.is_closed = True
        for task in self._tasks:
            task.cancel()
