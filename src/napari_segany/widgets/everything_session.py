"""Segmenting everything in one viewer: everything that the buttons of the widget do is a method. Knows no Qt.

`widget.session` in napari's console is this object::

    session.choose_preset("cells"); session.change(points_per_side=16)
    session.run()                        # or run(all_slices=True); in the background, cancel() stops it
    session.change(pred_iou_thresh=0.7)  # filters what was answered, without the model
    session.words.look_for("a nucleus")  # leaves out what does not fit
    session.editor.select([3, 4]); session.editor.merge()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from psygnal import Signal

from napari_segany.engine.automatic_presets import default_preset, preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.progress import Steps
from napari_segany.formats.painting import PAINTING_RULES, PaintingRule
from napari_segany.widgets.embedder import LoadPredictor
from napari_segany.widgets.everything_advice import RUNNING, found_text, idle_text
from napari_segany.widgets.everything_asker import Estimate, EverythingAsker, WorkState
from napari_segany.widgets.everything_editor import EverythingEditor
from napari_segany.widgets.everything_image import EverythingImage
from napari_segany.widgets.everything_table import FoundObject
from napari_segany.widgets.everything_where import Where
from napari_segany.widgets.everything_words import EverythingWords
from napari_segany.widgets.everything_work import PlaneAnswer
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.viewer_events import EventLinks, image_links, viewer_links

DEFAULT_CACHE_BYTES = 2 * 1024**3


class EverythingSession:
    """Segmenting everything in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer (or the proxy of it that plugins get).
    runner : Runner
        Runs long work: `SynchronousRunner` in scripts, `BackgroundRunner` under Qt.
    load_predictor : callable
        Makes a predictor from the names of a model and a device.
    model, device : str
        What to begin with.
    cache_bytes : int
        Bytes of image embeddings to keep, and as many of candidates.

    Attributes
    ----------
    image : Image or None
        The image that is worked on.
    settings : AutomaticSettings
        What is asked, and what is kept; `change` and `choose_preset` set them.
    painting : str
        Which object shows where several overlap.
    where : Where
        Which part of the image is wanted, and at which points it is asked.
    editor : EverythingEditor
        Selects objects, and deletes, merges and picks those.
    words : EverythingWords
        Leaves out what does not fit some words.
    status : str
        What is the matter, and what to do next.
    """

    image_changed = Signal(object)
    model_changed = Signal(str)
    settings_changed = Signal(AutomaticSettings)
    state_changed = Signal(WorkState)
    estimate_changed = Signal()
    results_changed = Signal()
    status_changed = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        load_predictor: LoadPredictor,
        *,
        model: str = "light",
        device: str = "auto",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.viewer: ViewerModel = unwrap(viewer)
        self.image: Image | None = None
        self.settings: AutomaticSettings = default_preset(model).settings
        self.painting: PaintingRule = "smaller"
        self.where = Where(self.viewer, runner)
        self.status = ""
        self.editor = EverythingEditor(self._say)
        self.words = EverythingWords(runner)
        self._cache_bytes = cache_bytes
        self._runner = runner
        self._asker = EverythingAsker(runner, load_predictor, cache_bytes, model=model, device=device)
        self._desk: EverythingImage | None = None
        self._viewer_links = viewer_links(self.viewer, self._view_moved, self._layer_removed)
        self._image_links = EventLinks()
        self._asker.state_changed.connect(self._work_moved)
        self._asker.answered.connect(self._answered)
        self._asker.speed_changed.connect(self._look_again)
        self.where.changed.connect(self._look_again)
        self._say_idle()

    @property
    def plane(self) -> Plane | None:
        """The shown plane of the image; None while there is none to work on (`status` says why)."""
        return None if self._desk is None else self._desk.plane

    @property
    def model(self) -> str:
        """Name (or checkpoint file) of the model that is asked."""
        return self._asker.model

    @property
    def device(self) -> str:
        """Where it computes: "auto", "cuda", "mps" or "cpu"."""
        return self._asker.device

    def choose_image(self, image: Image | None) -> None:
        """Work on another image; the layer `everything` of the one before stays as an ordinary Labels layer."""
        image = unwrap(image)
        if image is not None and not isinstance(image, Image):
            raise ValueError(f"got a {type(image).__name__} layer; choose an Image layer")
        if image is self.image:
            return
        self._leave_image()
        self.image = image
        if image is not None:
            self._image_links = image_links(image, self._image_moved, self._look_again, self._data_replaced)
            self._desk = self._new_desk(image)
            self.editor.turn_to(self._desk.results, self._desk.picked, lambda: self.model)
        self.image_changed.emit(image)
        self._view_moved()

    def choose_model(self, name: str) -> None:
        """Ask another model from the next run on, but not while one is under way; what was found stays."""
        if name != self.model and not self._is_in_the_way("choose another model"):
            begin_anew = self.settings == default_preset(self.model).settings and not self.objects
            self._asker.use(model=name)
            if begin_anew:
                self._set(default_preset(name).settings)
        self.model_changed.emit(self.model)

    def choose_device(self, device: str) -> None:
        """Compute on another device: "auto", "cuda", "mps" or "cpu"; not while a run is under way."""
        if device != self.device and not self._is_in_the_way("choose another device"):
            self._asker.use(device=device)

    def download(self, title: str, steps: Steps[Any], done: Callable[[], None]) -> None:
        """Fetch weights in the background, with progress and Cancel, then call `done`; not during a run."""
        if not self._is_in_the_way("fetch weights"):
            self._asker.download(title, steps, done)

    def choose_preset(self, name: str) -> None:
        """Take the settings of a preset: "natural", "cells", "light", "sparse", "dense" or "fields"."""
        self._set(preset(name).settings)

    def change(self, **changes: Any) -> None:
        """Change settings, under the names of `AutomaticSettings`.

        Thresholds, overlaps and area limits show at once; `needs_run` tells whether the model must be asked.

        Raises
        ------
        ValueError
            For a name that does not exist, or a value out of its range.
        """
        self._set(self.settings.replaced(**changes))

    def choose_region(self, choice: str | Layer) -> None:
        """Look in the whole "image", the present "view", a Shapes layer's closed shapes, or a Labels layer."""
        self.where.choose_region(choice)

    def choose_points(self, layer: Points | None) -> None:
        """Ask the points of a Points layer in place of the grid of the whole image; None for the grid again."""
        self.where.choose_points(layer)

    def choose_painting(self, rule: str) -> None:
        """Show the "smaller", the "larger" or the "better" of overlapping objects, or only "separate" ones."""
        if rule not in PAINTING_RULES:
            raise ValueError(f"the painting rule is {rule!r}; known are {', '.join(PAINTING_RULES)}")
        self.painting = cast("PaintingRule", rule)
        if self._desk is not None:
            self._desk.results.paint_by(self.painting)

    # ------------------------------------------------------------------------ run

    @property
    def state(self) -> WorkState:
        """How far the work is."""
        return self._asker.state

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way: asking, filtering or drawing."""
        return self.state.phase == "working" or (self._desk is not None and self._desk.results.waiting > 0)

    @property
    def needs_run(self) -> bool:
        """Whether the settings ask the model something else than it was asked."""
        return self._desk is None or self._desk.needs_run(self.settings, self.where)

    @property
    def slices(self) -> int:
        """How many slices the image has along the axes that are not displayed."""
        return 0 if self._desk is None else len(self._desk.planes(all_slices=True))

    def estimate(self, *, all_slices: bool = False) -> Estimate | None:
        """Return what a run takes; None without a plane or a region. `prepare` measures the speed."""
        desk = self._desk
        return None if desk is None else desk.estimate(self._asker, self.settings, self.where, all_slices=all_slices)

    def prepare(self) -> None:
        """Load the model, make the embedding of the shown plane and time the mask decoder, in the background."""
        if self._desk is not None and self.state.phase != "working":
            self._desk.prepare(self._asker, self.settings)

    def run(self, *, all_slices: bool = False) -> None:
        """Segment everything in the shown slice, or in all slices one after the other, in the background.

        Raises
        ------
        ValueError
            If there is no plane to work on, or the region or the layer of points has nothing in it.
        """
        desk = self._desk
        if desk is None or desk.plane is None:
            raise ValueError(self.status)
        questions = desk.questions(self._asker, self.settings, self.where, all_slices=all_slices)
        self.editor.select(())
        self._say(RUNNING)
        self._asker.run(desk.about, questions, self.settings, self._run_ended)

    def cancel(self) -> None:
        """Stop what runs in the background; slices that are finished stay."""
        self._asker.cancel()
        self._say_found() if self.objects else self._say_idle()

    # -------------------------------------------------------------------- results

    @property
    def layer(self) -> Labels | None:
        """The Labels layer of the objects."""
        return None if self._desk is None else self._desk.results.layers.layer

    @property
    def objects(self) -> dict[int, FoundObject]:
        """All objects by label; `editor` has their records and table, and selects, deletes, merges and picks them."""
        return self.editor.objects

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop all work and let go of the viewer; the layer `everything` stays, as an ordinary Labels layer.

        Parameters
        ----------
        keep_layers : bool
            Leave all layers alone, because the viewer itself is going.
        """
        self._runner.close()
        self._viewer_links.clear()
        self.where.close()
        self._leave_image(keep_layers=keep_layers)
        self._asker.cache.clear()

    # ------------------------------------------------------- what napari tells us

    def _view_moved(self, event: Any = None) -> None:
        if self._desk is None:
            self.estimate_changed.emit()
            self._say_idle()
            return
        before, complaint = self.plane, self._desk.look()
        if self.plane != before:
            self.editor.select(())
            self.estimate_changed.emit()
        if complaint:
            self._say(complaint)
        elif self.plane != before:
            self._say_idle()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        self.where.forget(layer)
        if self._desk is None or self.image is None:
            return
        if layer is self.image:
            self._asker.cancel()
            self._asker.cache.forget_image(self.image.unique_id)
            # Later, for napari may be in the middle of removing several selected layers, ours among them.
            self._runner.later(lambda: self.choose_image(None) if layer is self.image else None)
        elif self._desk.lost_objects(layer):
            self._asker.cancel()
            self.editor.turn_to(self._desk.results, self._desk.picked, lambda: self.model)
            self.results_changed.emit()
            self._say("The layer of the objects was removed, and they with it; run again for new ones.")

    def _image_moved(self, event: Any) -> None:
        if self._desk is not None:
            self._desk.follow()
        self._view_moved()

    def _data_replaced(self, event: Any) -> None:
        if (image := self.image) is not None:
            self._asker.cache.forget_image(image.unique_id)
            self._leave_image()
            self.choose_image(image)

    # ------------------------------------------------------------------- internal

    def _look_again(self, event: Any = None) -> None:
        self.estimate_changed.emit()

    def _new_desk(self, image: Image) -> EverythingImage:
        parts = (self.editor, self.words, self._runner, self.settings, self.painting, self._cache_bytes)
        desk = EverythingImage.begun(self.viewer, image, *parts)
        desk.results.changed.connect(self._results_moved)
        desk.results.failed.connect(self._say)
        return desk

    def _is_in_the_way(self, wish: str) -> bool:
        if self._asker.is_at_work:
            self._say(f"Wait for the end of what runs, or cancel it, to {wish}.")
        return self._asker.is_at_work

    def _set(self, settings: AutomaticSettings) -> None:
        if settings == self.settings:
            return
        asks_as_before = settings.asks_as(self.settings)
        self.settings = settings
        self.settings_changed.emit(settings)
        if self._desk is not None:
            self._desk.results.refilter(settings)
        if not asks_as_before:
            self.estimate_changed.emit()
            self._say_idle()

    def _answered(self, answer: PlaneAnswer) -> None:
        if self._desk is not None:
            self._desk.answered(answer)

    def _run_ended(self, asked: int) -> None:
        self.estimate_changed.emit()
        if asked == 0:
            self._say("No point is left to ask on any slice; choose a larger region or more points.")
            return
        self._say_found()
        if self._desk is not None:
            self._desk.results.layers.activate()

    def _results_moved(self) -> None:
        self.editor.keep_selected()
        self.results_changed.emit()
        if self.state.phase != "working" and not self.editor.selection:
            self._say_found()

    def _work_moved(self, state: WorkState) -> None:
        if self._desk is not None:
            self._desk.results.ahead.allow(state.phase != "working")
        self.state_changed.emit(state)
        if state.phase == "failed":
            self._say(state.message)

    def _leave_image(self, *, keep_layers: bool = False) -> None:
        self._asker.cancel()
        self._image_links.clear()
        self.editor.turn_to(None, None, str)
        if self._desk is not None:
            self._desk.close(keep_layers=keep_layers)
        self.image = self._desk = None

    def _say_idle(self) -> None:
        large = self._desk is not None and self._desk.is_large
        self._say(idle_text(self.image is not None, bool(self.objects), self.needs_run, is_large=large))

    def _say_found(self) -> None:
        if self._desk is not None:
            self._say(found_text(len(self.objects), self._desk.results))

    def _say(self, text: str) -> None:
        self.status = text
        self.status_changed.emit(text)
