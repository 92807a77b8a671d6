"""One run through a stack under way: its answers go into `objects` slice by slice, as one undoable step. No Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from psygnal import Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.propagation_values import Propagation, PropagationProgress
from napari_segany.widgets.embedder import NO_PROGRESS
from napari_segany.widgets.everything_clock import Countdown
from napari_segany.widgets.history_recorder import LongStep, Recorder
from napari_segany.widgets.objects import NothingToAddError
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.provenance_derived import CarriedThrough
from napari_segany.widgets.stack_carrying import Carried
from napari_segany.widgets.stack_words import summary
from napari_segany.widgets.stack_writer import StackWriter
from napari_segany.widgets.work_log import WorkLog

_TELL_EVERY = 0.4
"""Seconds between two states: drawing a progress bar beside a canvas is not for nothing."""


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes
    ----------
    is_working : bool
        Whether there is one.
    progress : Progress
        Masks done, of all that may come.
    seconds_left : float or None
        How long it will still take at this pace; None while that cannot be told.
    """

    is_working: bool = False
    progress: Progress = NO_PROGRESS
    seconds_left: float | None = None


class StackRun:
    """Runs the work of one press of the button.

    Parameters
    ----------
    runner : Runner
        Runs it.
    recorder : Recorder
        Writes it down as one step.
    writer : StackWriter
        Writes the objects.
    title : str
        What is done, for the history.
    drop_prompts : callable
        Removes the prompts that have become an object, within the first step.
    ended : callable
        Receives what is said at the end.
    log : WorkLog
        Is told how the objects came about.
    explain : callable
        Returns that, of all masks, and of whether the run came to its end.
    """

    state_changed = Signal(RunState)

    def __init__(
        self,
        runner: Runner,
        recorder: Recorder,
        writer: StackWriter,
        title: str,
        drop_prompts: Callable[[], None],
        ended: Callable[[str], None],
        log: WorkLog,
        explain: Callable[[Propagation, bool], CarriedThrough],
    ) -> None:
        self.writer = writer
        self._runner, self._recorder = runner, recorder
        self._title, self._drop_prompts, self._ended = title, drop_prompts, ended
        self._log, self._explain = log, explain
        self._long = LongStep()
        self._countdown = Countdown()
        self._task: Task | None = None
        self._so_far: Propagation | None = None
        self._is_over = False
        self._told = 0.0

    def begin(self, steps: Steps[Carried]) -> None:
        """Begin the work."""
        self.state_changed.emit(RunState(True, Progress(0, 0, self._title)))
        task = self._runner.start(self._title, steps, done=self._done, failed=self._failed, report=self._report)
        self._task = None if self._is_over else task

    def cancel(self) -> None:
        """Stop before the next step; what was found stays and is undone at once."""
        if self._is_over:
            return
        if self._task is not None:
            self._task.cancel()
        said = summary(self._so_far, self.writer.labels, cancelled=True) if self._so_far is not None else "Stopped."
        self._end(said)

    def abandon(self) -> None:
        """Stop without a word, because the viewer is going."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    # -------------------------------------------------------------------- internal

    def _report(self, progress: Progress) -> None:
        if self._is_over:
            return
        if isinstance(progress, PropagationProgress) and progress.changed is not None and progress.so_far is not None:
            found, changed = progress.so_far, progress.changed
            self._so_far = found
            if not self._attempt(lambda: self.writer.write(found, changed)):
                return
        now = time.monotonic()
        if now - self._told > _TELL_EVERY:
            self._told = now
            left = self._countdown.seconds_left(progress.done, progress.total)
            self.state_changed.emit(RunState(True, progress, left))

    def _done(self, carried: Carried) -> None:
        if not self._is_over and self._attempt(lambda: self.writer.finish(carried)):
            self._so_far = carried.found
            self._end(summary(carried.found, self.writer.labels), is_whole=True)

    def _failed(self, error: Exception) -> None:
        if not self._is_over:
            self._end(str(error) or type(error).__name__)

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write within the step; say what speaks against it and stop."""
        try:
            with self._log.part_of(self), self._recorder.step(self._title, self._long):
                if self._long.step is None:
                    self._drop_prompts()
                write()
        except NothingToAddError as error:
            if self._task is not None:
                self._task.cancel()
            self._end(str(error))
            return False
        return True

    def _end(self, said: str, *, is_whole: bool = False) -> None:
        self._is_over, self._task = True, None
        whole = self._recorder.draw_together(self._long)
        if whole is not None and self._so_far is not None and not self._long.is_torn:
            self._log.draw_together(self, whole.pixels, self._explain(self._so_far, is_whole))
        self.state_changed.emit(RunState())
        self._ended(said)
