"""How a session runs long work: a protocol, and the synchronous way for scripts and tests. Knows no Qt.

The background way is in `workers`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from napari_segany.engine.progress import Progress, Steps, drain


class Task(Protocol):
    """Work that a runner has begun."""

    def cancel(self) -> None:
        """Stop before the next step; from now on none of the task's callbacks is called."""


class Runner(Protocol):
    """What a session needs to run work; callbacks always come in the thread that owns the layers."""

    def start(
        self,
        title: str,
        steps: Steps[Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        report: Callable[[Progress], None] | None = None,
    ) -> Task:
        """Run a generator of progress; then call `done` with its result or `failed` with its exception."""

    def later(self, callback: Callable[[], None], delay_ms: int = 0) -> None:
        """Call back when the event that is being handled now is over."""

    def close(self) -> None:
        """Cancel everything that is still running."""


class FinishedTask:
    """The task of a runner that has done the work already."""

    def cancel(self) -> None:
        """Do nothing: there is nothing left to stop."""


class SynchronousRunner:
    """Runs everything at once, in the caller's thread."""

    def start(
        self,
        title: str,
        steps: Steps[Any],
        *,
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        report: Callable[[Progress], None] | None = None,
    ) -> Task:
        """Run the work to its end before returning; `title` is for runners that show it."""
        try:
            result = drain(steps, report)
        except Exception as error:  # noqa: BLE001 - the contract of a runner: errors arrive at `failed`
            failed(error)
        else:
            done(result)
        return FinishedTask()

    def later(self, callback: Callable[[], None], delay_ms: int = 0) -> None:
        """Call back at once."""
        callback()

    def close(self) -> None:
        """Do nothing: nothing runs on."""
