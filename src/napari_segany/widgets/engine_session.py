"""The data engine in napari: a folder is annotated image by image, with the model's help. Knows no Qt.

Everything that the buttons do is a method. Prompting is that of `PromptSession`: what it accepts into the layer
`objects` is the person's; what the model fills in is shown in the layer `filled in`, and kept apart in the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from napari_segany.engine.data_engine.clock import ObjectClock, StrokeClock
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.lessons import read_lessons
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.embedder import LoadPredictor
from napari_segany.widgets.engine_efforts import Efforts
from napari_segany.widgets.engine_filled import FILLED, FilledLayer
from napari_segany.widgets.engine_keeping import Keeping
from napari_segany.widgets.layers import remove
from napari_segany.widgets.objects import OWNER_KEY
from napari_segany.widgets.one_work import OneWorkSession
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import OWNER_KEY as PROMPTS_OF
from napari_segany.widgets.session import PromptSession


class EngineSession(OneWorkSession):
    """A folder under annotation.

    Parameters
    ----------
    viewer : ViewerModel
        Where the images are shown.
    runner : Runner
        Runs the work.
    prompting : PromptSession
        What the person clicks with.
    load_predictor : callable
        Makes the model of its name and a device.
    now : callable
        The clock that the person's time is measured with, in seconds.
    weights : callable
        Returns the hash of the weights that answer the clicks.

    Attributes
    ----------
    engine : DataEngine or None
        The folder; None before `open`.
    name : str or None
        The image that is shown.
    training_steps : int
        How long a retraining is.
    changed, progress, message
        See `OneWorkSession`.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        prompting: PromptSession,
        load_predictor: LoadPredictor,
        now: Callable[[], float] = time.monotonic,
        weights: Callable[[], str] = str,
    ) -> None:
        super().__init__(runner, "Choose a folder of images.")
        self.engine: DataEngine | None = None
        self.name: str | None = None
        self.training_steps = 150
        self._filled = FilledLayer(viewer)
        self._efforts = Efforts(prompting, ObjectClock(now), StrokeClock(now), weights, self._filled.mask_of)
        self._keeping = Keeping(runner, self._efforts, self._kept_by_itself, self._not_kept)
        self._viewer, self._prompting, self._load = viewer, prompting, load_predictor
        self._image: Image | None = None
        self._told_of: tuple[DataEngine, int] | None = None
        self._told_counts = ""
        self._is_beside = False  # whether what runs leaves the images alone
        prompting.accepted.connect(lambda label: self.changed.emit())
        viewer.layers.events.removing.connect(self._layer_goes)

    # ------------------------------------------------------------------ images

    def open(self, images: Path, work: Path | None = None) -> None:
        """Work on a folder; its records are kept in `work`, by default the folder `segany` within it.

        A folder that is gone on with is annotated with the model that it taught last.
        """
        if self._is_busy() or not self.keep():  # kept before it is read: it may be the same folder
            return
        try:
            engine = DataEngine(images, images / "segany" if work is None else work)
            taught = read_lessons(engine.work).weights
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        self.engine, self.name = engine, None
        self._keeping.turn_to(None)
        self._show_first(engine.left_after(None) or engine.names)
        if taught and (engine.work / taught).is_file():
            self._prompting.choose_model(str(engine.work / taught))
            self._say(f"{self.message} The model is the one that was taught here.")

    def show(self, name: str) -> bool:
        """Show an image of the folder; what was accepted in the shown one is kept first. Tell whether it worked."""
        if self.engine is None or self._is_in_the_way():
            return False
        try:
            pixels = self.engine.read_image(name)
        except (ValueError, OSError) as error:
            self._say(f"{name} cannot be shown: {error}")
            return False
        if not self.keep():
            return False
        # The new image comes before the old one goes: the prompts always have one to lie on.
        if self._image is not None and self._image.name == name:
            self._image.name = f"{name} (before)"  # or napari would call the new one "a [1]"
        image = Image(pixels, name=name)
        self._viewer.layers.insert(0, image)
        self._prompting.choose_image(image)
        self._put_away()
        self.name, self._image = name, image
        self._efforts.turn_to(self._prompting.objects)
        self._keeping.turn_to(self.engine, name)
        self._viewer.reset_view()
        self._prompting.choose_tool("points")
        self._show_filled()
        self._say(f"{name}: click on what stands out most, accept it with N, and go on with the next object.")
        return True

    def keep(self) -> bool:
        """Write the accepted objects of the shown image into its record, as they are now; tell whether it worked.

        They are written by themselves, too, a second after they have changed. A mask that was filled in for an object
        that the person has made too gives way to it.
        """
        if self.engine is None or self.name is None:
            return True
        try:
            self._keeping.keep()
        except (ValueError, OSError) as error:
            self._not_kept(error)
            return False
        return True

    def finish(self) -> None:
        """Keep the masks, call the image done, and show the next one."""
        if self.engine is None or self.name is None or self._is_in_the_way() or not self.keep():
            return
        try:
            self.engine.finish(self.name)
        except (ValueError, OSError) as error:
            self._say(f"{self.name} was not called done: {error}")
            return
        following = self.engine.left_after(self.name)
        if not following:
            self._say("All images are done. Export makes a data set of them.")
        elif self._show_first(following):
            return
        self._show_filled()

    def remove(self, label: int | None = None) -> None:
        """Take a mask out of the layer `filled in`: that of a label, by default of the layer's selected one."""
        layer = self._filled.layer
        if self.engine is None or self.name is None or layer is None or self._is_in_the_way():
            return
        number = int(layer.selected_label if label is None else label)
        mask, there = self._filled.mask(number), self.engine.masks(self.name)
        if mask not in there:
            self._say(f"There is no mask {number} in the layer {FILLED!r}: click on one there first.")
            return
        try:
            self.engine.remove(self.name, there.index(mask) + 1)
        except (ValueError, OSError) as error:
            self._show_filled()
            self._say(str(error))
            return
        self._show_filled()
        self._say(f"Mask {number} is gone.")

    # -------------------------------------------------------------- the model's part

    def fill_in(self) -> None:
        """Semi-automatic: fill in the masks of which the model is sure; the person adds the rest."""
        if self.engine is None or self.name is None or self._is_busy():
            return
        theirs = [mask.record for mask in self._efforts.masks()]
        self._start("Filling in masks", self._fill_steps(self.engine, self.name, theirs), self._filled_in)

    def annotate_rest(self) -> None:
        """Fully automatic: annotate all other images that are not done, without a person."""
        if self.engine is None or self._is_busy():
            return
        left = [name for name in self.engine.names if name not in (*self.engine.finished, self.name)]
        self._start("Annotating images", self._rest_steps(self.engine, left), self._annotated)

    def retrain(self, steps: int | None = None) -> None:
        """Teach the model the images that are done; the next ones use it, if it is the better one.

        Annotation can go on meanwhile.
        """
        if self.engine is None or self._is_busy():
            return
        work = self._retrain_steps(self.engine, self.training_steps if steps is None else steps)
        self._start("Retraining", work, self._retrained, beside=True)

    def export(self, folder: Path, name: str = "", source: str = "", licence: str = "") -> None:
        """Write the images that are done as a data set: SA-1B's layout, COCO and YOLO, with a card."""
        if self.engine is None or self._is_busy():
            return
        from napari_segany.engine.data_engine.export import CardFacts, export_steps

        given = {"source": source.strip(), "licence": licence.strip()}
        facts = CardFacts(name.strip() or self.engine.images.name, **{key: one for key, one in given.items() if one})
        steps = export_steps(self.engine, self.engine.finished, folder, facts)
        self._start("Writing the data set", steps, partial(self._exported, self.engine))

    def hint(self) -> str:
        """Return what to tell the person now; "" for nothing."""
        return self._efforts.hint

    @property
    def can_go_on(self) -> bool:
        """Whether images can be annotated now: nothing runs, or what runs leaves them alone."""
        return self.progress is None or self._is_beside

    def tell_counts(self) -> str:
        """Return what the stages gave so far, in words; counted again only where a record has changed."""
        if self.engine is None:
            return ""
        of = (self.engine, self.engine.revision)
        if self._told_of != of:
            self._told_of, self._told_counts = of, self._counts_in_words(self.engine)
        return self._told_counts

    @staticmethod
    def _counts_in_words(engine: DataEngine) -> str:
        words = []
        for stage, counts in engine.counts().items():
            time = f", {counts.seconds:.1f} s and {counts.clicks:.1f} clicks each" if stage == "assisted" else ""
            words += [f"{counts.masks} {stage}{time}"] if counts.masks else []
        done = f"{len(engine.finished)} of {len(engine.names)} images done"
        return "; ".join([done, *words])

    def close(self, *, keep_layers: bool = False) -> None:
        """Keep what was accepted, and let go of the viewer."""
        self.cancel()
        self._viewer.layers.events.removing.disconnect(self._layer_goes)
        self.keep()
        self._efforts.turn_to(None)
        self._keeping.turn_to(None)
        self._filled.leave() if keep_layers else self._filled.clear()
        self._runner.close()

    # ------------------------------------------------------------------- inside

    def _layer_goes(self, event: Any) -> None:
        """Keep what was accepted before its layer is removed: all of them may go at once, with the window."""
        layer = self._viewer.layers[event.index]
        if self._image is not None and layer.metadata.get(OWNER_KEY) == self._image.unique_id:
            self.keep()

    def _start(
        self, title: str, steps: Steps[Any], done: Callable[[Any], None], note: str = "", *, beside: bool = False
    ) -> None:
        self._is_beside = beside
        super()._start(title, steps, done, note)

    def _is_in_the_way(self) -> bool:
        return not self.can_go_on and self._is_busy()

    def _fill_steps(self, engine: DataEngine, name: str, theirs: list[MaskRecord]) -> Steps[int]:
        from napari_segany.engine.data_engine.stages import model_masks

        predictor = self._load(self._prompting.model, self._prompting.device)
        return (yield from model_masks(engine, name, predictor, "semi-automatic", there=theirs))  # type: ignore[arg-type]

    def _rest_steps(self, engine: DataEngine, names: list[str]) -> Steps[tuple[int, tuple[str, ...]]]:
        from napari_segany.engine.data_engine.stages import automatic_stage

        predictor = self._load(self._prompting.model, self._prompting.device)
        return (yield from automatic_stage(engine, names, predictor))  # type: ignore[arg-type]

    def _retrain_steps(self, engine: DataEngine, steps: int) -> Steps[Any]:
        from napari_segany.training.engine_rounds import retrain_steps

        yield Progress(0, 0, "Reading the model")
        folder = engine.work / f"round_{len(list(engine.work.glob('round_*')))}"
        model, device = self._prompting.model, self._prompting.device
        return (yield from retrain_steps(engine, folder, model, steps=steps, device=device))

    def _filled_in(self, added: int) -> None:
        self._show_filled()
        self._end(f"{_told(added, 'mask is', 'masks are')} filled in. Remove wrong ones, add what is missing.")

    def _annotated(self, result: tuple[int, tuple[str, ...]]) -> None:
        added, skipped = result
        self._show_filled()
        which = _told(len(skipped), "image was", "images were")
        first = f" {which} skipped, the first: {skipped[0]}" if skipped else ""
        self._end(f"{_told(added, 'mask was', 'masks were')} made.{first}")

    def _retrained(self, result: Any) -> None:
        numbers = (
            f"IoU after one click on images kept aside: {result.before.click:.3f} before, {result.after.click:.3f}"
        )
        if result.weights is None:
            self._end(f"{numbers} after. The present model is as good, and stays.")
            return
        self._prompting.choose_model(str(result.weights))
        self._end(f"{numbers} after. The next images use the new model.")

    def _exported(self, engine: DataEngine, card: Path) -> None:
        from napari_segany.evaluation.engine_times import plot_times
        from napari_segany.evaluation.plots import MatplotlibMissingError

        try:
            plot_times(engine, card.parent / "times.png")
        except (MatplotlibMissingError, ValueError):
            self._end(f"The data set is in {card.parent}.")
            return
        self._end(f"The data set is in {card.parent}, with the times in times.png.")

    def _show_first(self, names: Sequence[str]) -> bool:
        """Show the first of these images that can be read; tell whether there is one."""
        problem = ""
        for name in names:
            if self.show(name):
                if problem:
                    self._say(f"{self.message} ({problem})")
                return True
            problem = problem or self.message
        return False

    def _show_filled(self) -> None:
        """Show the masks of the record that are not in the layer `objects`."""
        if self._image is not None:
            self._filled.show(self._image, self._keeping.others())

    def _kept_by_itself(self) -> None:
        self._show_filled()
        self.changed.emit()

    def _not_kept(self, error: Exception) -> None:
        self._show_filled()  # the record may have been changed by somebody else
        self._say(f"The masks of {self.name} were not kept: {error}")

    def _put_away(self) -> None:
        """Remove the image that was left, with its objects and prompts: they are in the record."""
        layer, self._image = self._image, None
        self._filled.clear()
        if layer is None:
            return
        keys = (OWNER_KEY, PROMPTS_OF)
        theirs = [one for one in self._viewer.layers if layer.unique_id in (one.metadata.get(key) for key in keys)]
        for one in (*theirs, layer):
            remove(self._viewer, one)


def _told(count: int, of_one: str, of_more: str) -> str:
    return f"{count} {of_one if count == 1 else of_more}"
