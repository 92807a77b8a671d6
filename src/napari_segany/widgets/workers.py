"""Running a generator of progress in napari's thread pool, with its progress in napari's activity panel.

A `FunctionWorker` is used and no exception ever leaves its function: superqt's generator workers swallow every
RuntimeError (so every error of torch's) and never close their generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, QTimer, Signal

from napari_segany.engine.progress import Progress, Steps


class _Bridge(QObject):
    """Carries progress from the worker's thread to the one that owns the widgets."""

    progressed = Signal(object)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What came of the work: one of the two is set, neither if it was stopped."""

    result: Any = None
    error: Exception | None = None


class _Job:
    """The function that a worker runs; napari shows its name when the viewer is closed while it runs."""

    def __init__(self, title: str, steps: Steps[Any], progressed: Callable[[Progress], None]) -> None:
        self.title = title
        self.stopped = False
        self._steps = steps
        self._progressed = progressed

    @property
    def __name__(self) -> str:
        return self.title

    def __repr__(self) -> str:
        return self.title

    def __call__(self) -> _Outcome:
        try:
            while not self.stopped:
                self._progressed(next(self._steps))
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
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        report: Callable[[Progress], None] | None,
        ended: Callable[[BackgroundTask], None],
    ) -> None:
        self._done, self._failed, self._report, self._ended = done, failed, report, ended
        self._over = False
        self._bridge = _Bridge()
        self._bridge.progressed.connect(self._show)
        self._job = _Job(title, steps, self._bridge.progressed.emit)
        self._worker = create_worker(
            self._job,
            _start_thread=False,
            _connect={"returned": self._returned, "finished": self._finished},
            _progress={"desc": title, "total": 0} if report is not None else False,
        )

    def start(self) -> None:
        """Hand the work to the thread pool."""
        self._worker.start()

    def cancel(self) -> None:
        """Stop before the next step; no callback is called any more."""
        self._over = True
        self._job.stopped = True
        self._worker.quit()

    def _show(self, progress: Progress) -> None:
        if self._over or self._report is None:
            return
        self._report(progress)
        bar = self._worker.pbar
        if bar is not None:  # last, for napari's bar handles waiting events, the end of this task perhaps among them
            if bar.total != progress.total:
                bar.total = progress.total
            bar.update(progress.done - bar.n)

    def _returned(self, outcome: _Outcome) -> None:
        if self._over:
            return
        self._over = True
        if outcome.error is not None:
            self._failed(outcome.error)
        else:
            self._done(outcome.result)

    def _finished(self) -> None:
        self._ended(self)


class BackgroundRunner:
    """Runs work in threads and calls back in the thread that made the runner."""

    def __init__(self) -> None:
        self._tasks: set[BackgroundTask] = set()
        self._closed = False

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
        task = BackgroundTask(title, steps, done, failed, report, self._tasks.discard)
        self._tasks.add(task)
        task.start()
        return task

    def later(self, callback: Callable[[], None], delay_ms: int = 0) -> None:
        """Call back from the event loop after `delay_ms`, unless the runner has been closed by then."""
        QTimer.singleShot(delay_ms, lambda: None if self._closed else callback())

    def close(self) -> None:
        """Cancel all tasks; each ends with its current step."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
