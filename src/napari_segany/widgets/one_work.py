"""A session that does one piece of long work at a time, and tells how far it is in one sentence. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.progress_runner import Runner, Task


class OneWorkSession:
    """What the sessions of small docks have in common.

    Parameters
    ----------
    runner : Runner
        Runs the work.
    message : str
        The first sentence for the user.

    Attributes
    ----------
    changed : Signal
        Emitted after every change of what is shown.
    progress : Progress or None
        How far the work is; None while nothing runs.
    message : str
        One sentence for the user.
    """

    changed = Signal()
    cancelled = "Cancelled."
    """What is said of work that was cancelled."""

    def __init__(self, runner: Runner, message: str) -> None:
        self.progress: Progress | None = None
        self.message = message
        self._runner = runner
        self._task: Task | None = None

    def cancel(self) -> None:
        """Stop what runs."""
        if self._task is not None and self.progress is not None:
            self._task.cancel()
            self._end(self.cancelled)

    def close(self) -> None:
        """Stop for good."""
        self.cancel()
        self._runner.close()

    def _is_busy(self) -> bool:
        """Tell whether something runs, and say so."""
        if self.progress is not None:
            self._say("Wait until the work is done, or cancel it.")
        return self.progress is not None

    def _start(self, title: str, steps: Steps[Any], done: Callable[[Any], None], note: str = "") -> None:
        self.progress = Progress(0, 0, note or title)
        self.changed.emit()
        task = self._runner.start(title, steps, done=done, failed=self._failed, report=self._report)
        # A runner may have done it all by now.
        self._task = task if self.progress is not None else None

    def _report(self, progress: Progress) -> None:
        self.progress = progress
        self.changed.emit()

    def _failed(self, error: Exception) -> None:
        self._end(f"It did not work: {error}")

    def _end(self, message: str) -> None:
        self.progress, self._task = None, None
        self._say(message)

    def _say(self, message: str) -> None:
        self.message = message
        self.changed.emit()
