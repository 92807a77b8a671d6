"""Segmenting many images in one viewer: everything that the buttons of the widget do is a method. Knows no Qt.

`widget.session` in napari's console is this object::

    session.use_folder("images")         # or use_files([...]), or use_layers() for the open image layers
    session.choose_output("masks")
    session.choose_preset("cells")
    session.run()                        # in the background; cancel() stops it, the next run goes on
    session.open_results()               # as layers
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from napari.components import ViewerModel
from psygnal import Signal

from napari_segany.engine.automatic_presets import default_preset, preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.output_names import DEFAULT_OUTPUTS, EVERY_OUTPUT
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.painting import PAINTING_RULES, PaintingRule
from napari_segany.widgets.batch_countdown import BatchCountdown
from napari_segany.widgets.batch_inputs import BatchInputs, PathInputs, image_layers, layer_inputs
from napari_segany.widgets.batch_large import tiles_text
from napari_segany.widgets.batch_results import OpenedResult, OpenedTiles, add_results, complete_images, opening_steps
from napari_segany.widgets.batch_words import READY, failure_text, folder_note, opened_text, stopped_text, summary
from napari_segany.widgets.batch_work import (
    BatchOutcome,
    BatchRequest,
    BatchStep,
    ModelMaker,
    is_under_way,
    run_steps,
)
from napari_segany.widgets.everything_asker import WorkState
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.viewer_events import EventLinks

Source = Literal["layers", "folder", "files"]

_ANY_PATH = str | os.PathLike[str]


class BatchSession:
    """A batch in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer (or the proxy of it that plugins get).
    runner : Runner
        Runs long work: `SynchronousRunner` in scripts, `BackgroundRunner` under Qt.
    make_model : callable
        Makes a model that is not loaded yet from the names of a model and a device.
    model, device : str
        What to begin with.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    source : str
        What is segmented: the image "layers" of the viewer, a "folder" or "files".
    folder : pathlib.Path or None
        The folder of images.
    recursive : bool
        Whether folders within it count too.
    files : tuple of pathlib.Path
        The files.
    output : pathlib.Path or None
        The folder to write into.
    outputs : tuple of str
        What is written: names of `engine.batch.output_names.EVERY_OUTPUT`.
    settings : AutomaticSettings
        What is asked of each image, and what is kept.
    painting : str
        Which mask shows in label images where several overlap.
    tiling : TilingSettings
        How images that do not fit are cut.
    model, device : str
        Which model is asked, and where it computes.
    state : WorkState
        How far the work is.
    outcome : BatchOutcome or None
        What came of the last run that went to its end.
    status : str
        What is the matter, and what to do next.
    """

    inputs_changed = Signal()
    output_changed = Signal()
    model_changed = Signal(str)
    settings_changed = Signal(AutomaticSettings)
    tiling_changed = Signal(TilingSettings)
    state_changed = Signal(WorkState)
    outcome_changed = Signal()
    status_changed = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        make_model: ModelMaker,
        *,
        model: str = "light",
        device: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.viewer: ViewerModel = unwrap(viewer)
        self.source: Source = "layers"
        self.folder: Path | None = None
        self.recursive = False
        self.files: tuple[Path, ...] = ()
        self.output: Path | None = None
        self.outputs: tuple[str, ...] = DEFAULT_OUTPUTS
        self.settings: AutomaticSettings = default_preset(model).settings
        self.painting: PaintingRule = "smaller"
        self.tiling = TilingSettings()
        self.model, self.device = model, device
        self.state = WorkState()
        self.outcome: BatchOutcome | None = None
        self.status = ""
        self._runner = runner
        self._make_model = make_model
        self._task: Task | None = None
        self._runs: list[Steps[BatchOutcome]] = []  # those that may still hold their folder, the last one among them
        self._countdown = BatchCountdown(clock)
        self._links = EventLinks()
        for name in ("inserted", "removed", "renamed"):
            self._links.add(getattr(self.viewer.layers.events, name), self._layers_moved)
        self._say(self._idle_text())

    # -------------------------------------------------------------- what is wanted

    def use_layers(self) -> None:
        """Segment all image layers of the viewer, as they are when the run begins."""
        self._use("layers")

    def use_folder(self, folder: _ANY_PATH | None, *, recursive: bool = False) -> None:
        """Segment the images of a folder, as they are when the run begins; None for no folder yet."""
        self.folder = None if folder is None else Path(folder).expanduser().absolute()
        self.recursive = recursive
        self._use("folder")

    def use_files(self, files: Iterable[_ANY_PATH]) -> None:
        """Segment these files."""
        self.files = tuple(Path(file).expanduser().absolute() for file in files)
        self._use("files")

    @property
    def layer_names(self) -> list[str]:
        """The names of the image layers that are open."""
        return [layer.name for layer in image_layers(self.viewer)]

    @property
    def missing(self) -> str:
        """What must be chosen before a run, in one sentence; "" for nothing."""
        if self.source == "layers" and not self.layer_names:
            return "No image is open: open some, or choose a folder or files."
        if self.source == "folder" and self.folder is None:
            return "Choose a folder of images."
        if self.source == "files" and not self.files:
            return "Choose image files."
        if self.output is None:
            return "Choose a folder to write into."
        return "" if self.outputs else "Choose at least one output."

    def choose_output(self, folder: _ANY_PATH | None) -> None:
        """Write into this folder; it is made if it is not there. None for no folder yet."""
        self.output = None if folder is None else Path(folder).expanduser().absolute()
        self.output_changed.emit()
        self._say_idle()

    def choose_outputs(self, names: Sequence[str]) -> None:
        """Write these: "labels", "csv", "coco", "sa1b", "yolo", "overlay".

        Raises
        ------
        ValueError
            For a name that does not exist.
        """
        unknown = [name for name in names if name not in EVERY_OUTPUT]
        if unknown:
            raise ValueError(f"there is no output {', '.join(unknown)}; known are {', '.join(EVERY_OUTPUT)}")
        self.outputs = tuple(name for name in EVERY_OUTPUT if name in names)
        self._say_idle()

    def choose_preset(self, name: str) -> None:
        """Take the settings of a preset: "natural", "cells", "light", "sparse", "dense" or "fields"."""
        self._set(preset(name).settings)

    def change(self, **changes: Any) -> None:
        """Change settings, under the names of `AutomaticSettings`.

        Raises
        ------
        ValueError
            For a name that does not exist, or a value out of its range.
        """
        self._set(self.settings.replaced(**changes))

    def choose_painting(self, rule: str) -> None:
        """Show the "smaller", the "larger" or the "better" of overlapping masks, or only "separate" ones."""
        if rule not in PAINTING_RULES:
            raise ValueError(f"the painting rule is {rule!r}; known are {', '.join(PAINTING_RULES)}")
        self.painting = cast("PaintingRule", rule)

    def choose_object_size(self, size: float | Literal["auto"] | None) -> None:
        """Choose tiles for objects of this usual diameter, in pixels; "auto" measures it, None is for all sizes.

        Raises
        ------
        ValueError
            For a size that is not positive.
        """
        self.tiling = replace(self.tiling, object_size=size)
        self.tiling_changed.emit(self.tiling)

    def choose_model(self, name: str) -> None:
        """Ask another model from the next run on."""
        untouched = self.settings == default_preset(self.model).settings
        self.model = name
        if untouched:
            self._set(default_preset(name).settings)
        self.model_changed.emit(name)

    def choose_device(self, device: str) -> None:
        """Compute on another device from the next run on: "auto", "cuda", "mps" or "cpu"."""
        self.device = device

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights in the background, with progress and Cancel, then call `done`; not while a batch runs."""
        if self.is_busy:
            self._say("Wait for the end of the batch, or cancel it, to fetch weights.")
            return

        def fetched(_: object) -> None:
            self._say_idle()
            done()

        self._start(title, steps, fetched)

    # ------------------------------------------------------------------------ run

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way."""
        return self.state.phase == "working"

    def run(self) -> None:
        """Do the batch in the background; what is complete in its folder is not done again.

        Raises
        ------
        ValueError
            While other work is under way, or where images, the folder to write into or the outputs are missing.
        """
        if self.is_busy:
            raise ValueError("A batch is under way; cancel it first.")
        if self.missing or self.output is None:
            raise ValueError(self.missing)
        settings = BatchSettings(self.outputs, self.settings, painting=self.painting)
        request = BatchRequest(self._inputs(), self.output, settings, self.model, self.device, self.tiling)
        self.outcome = None
        self.outcome_changed.emit()
        self._countdown.begin()
        earlier = [run for run in self._runs if is_under_way(run)]
        steps = run_steps(request, self._make_model, earlier)
        self._runs = [*earlier, steps]
        self._say(f"Writing into {request.folder}.")
        self._start("Segmenting images", steps, self._run_ended, request.folder)

    def cancel(self) -> None:
        """Stop what runs in the background; images that are finished stay, and the next run goes on."""
        if self._task is None:
            return
        self._task.cancel()
        self._task = None
        progress = self.state.progress
        self._become(WorkState())
        complete = progress.done - progress.failed if isinstance(progress, BatchStep) else None
        self._say("Stopped." if complete is None else stopped_text(complete, progress.total))

    @property
    def can_open(self) -> bool:
        """Whether the last run left masks that `open_results` can open."""
        return self.outcome is not None and not self.is_busy and bool(complete_images(self.outcome))

    def open_results(self) -> None:
        """Open the masks of the last run as Labels layers over their images, which are opened too if need be.

        Raises
        ------
        ValueError
            Where there is nothing to open, or while work is under way.
        """
        if self.outcome is None or not self.can_open:
            raise ValueError("There are no results to open; run a batch to its end first.")
        self._start("Opening the results", opening_steps(self.outcome), self._opened, self.outcome.request.folder)

    def close(self) -> None:
        """Stop all work and let go of the viewer; its layers stay."""
        self._runner.close()
        self._links.clear()

    # -------------------------------------------------------------------- internal

    def _use(self, source: Source) -> None:
        self.source = source
        self.inputs_changed.emit()
        self._say_idle()

    def _set(self, settings: AutomaticSettings) -> None:
        if settings != self.settings:
            self.settings = settings
            self.settings_changed.emit(settings)
            self._say_idle()

    def _inputs(self) -> BatchInputs:
        if self.source == "layers":
            return layer_inputs(self.viewer)
        if self.source == "folder" and self.folder is not None:
            return PathInputs((self.folder,), self.recursive)
        return PathInputs(self.files)

    def _start(self, title: str, steps: Steps[Any], done: Callable[[Any], None], folder: Path | None = None) -> None:
        self._become(WorkState("working", Progress(0, 0, title)))

        def ended(result: Any) -> None:
            self._task = None
            self._become(WorkState())
            done(result)

        failed = partial(self._failed, folder)
        task = self._runner.start(title, steps, done=ended, failed=failed, report=self._report)
        # A runner that works at once has ended already, and `done` may have begun other work.
        if self.is_busy and self._task is None:
            self._task = task

    def _report(self, progress: Progress) -> None:
        self._become(WorkState("working", progress, self._countdown.seconds_left(progress)))

    def _run_ended(self, outcome: BatchOutcome) -> None:
        self.outcome = outcome
        self.outcome_changed.emit()
        self._say(f"{summary(outcome.result)}{tiles_text(outcome)}")

    def _opened(self, opened: list[OpenedResult | OpenedTiles]) -> None:
        if self.outcome is None:
            return
        text = opened_text(len(opened), len(complete_images(self.outcome)), self.outcome.request.folder)
        add_results(self.viewer, opened, self._runner.later, lambda: self._say(text))

    def _failed(self, folder: Path | None, error: Exception) -> None:
        self._task = None
        text = failure_text(error, folder)
        self._become(WorkState("failed", message=text))
        self._say(text)

    def _layers_moved(self, event: Any) -> None:
        self.inputs_changed.emit()
        if self.source == "layers" and not self.outcome:
            self._say_idle()

    def _become(self, state: WorkState) -> None:
        self.state = state
        self.state_changed.emit(state)

    def _say_idle(self) -> None:
        if not self.is_busy:
            self._say(self._idle_text())

    def _idle_text(self) -> str:
        """Return what to do next while nothing runs: what is missing, or what a run will find in its folder."""
        return self.missing or (folder_note(self.output) if self.output is not None else "") or READY

    def _say(self, text: str) -> None:
        self.status = text
        self.status_changed.emit(text)
