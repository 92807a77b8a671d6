"""Objects through a stack, from the prompt session: what the buttons of the part "Stack" do. Knows no Qt.

`session.stack` in the console::

    stack.choices.axis = 0                    # which axis leads from slice to slice
    stack.choices.direction = "forwards"      # "both", "backwards", "between" two prompted slices
    stack.choices.is_time = True              # objects may divide; a Tracks layer shows their ways
    stack.propagate()                         # the prompts of all slices as one object, else the selected objects
    stack.correct()                           # the prompts of a slice correct the selected object from there on
    stack.cancel()
    stack.ahead.enabled = False               # do not compute slices ahead
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from napari_segany.engine.object_overlap import OverlapRule
from napari_segany.engine.progress import Steps
from napari_segany.engine.tiling import is_large
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Draft
from napari_segany.widgets.embedder import Embedder, EmbeddingState
from napari_segany.widgets.layers import full_resolution, intensity_limits, read_plane, show_plane, spatial_shape
from napari_segany.widgets.objects import numbered
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.session_objects import SessionObjects
from napari_segany.widgets.stack_ahead import Slices, SlicesAhead
from napari_segany.widgets.stack_beginning import RunBeginning
from napari_segany.widgets.stack_carrying import (
    Carried,
    Journey,
    carry_chosen_steps,
    carry_new_steps,
    correct_chosen_steps,
)
from napari_segany.widgets.stack_choices import StackChoices
from napari_segany.widgets.stack_family import family_of, record_on
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_marks import SliceMarks
from napari_segany.widgets.stack_prompts import Said, what_was_said
from napari_segany.widgets.stack_run import RunState, StackRun
from napari_segany.widgets.stack_tracks import TracksLayer
from napari_segany.widgets.stack_words import NO_CORRECTION, NO_PROMPTS, NO_STACK, ONLY_STOPS, WHICH_OBJECT

Begin = Callable[[Journey], Steps[Carried]]


class StackWork:
    """What people do with stacks in a session.

    Parameters
    ----------
    viewer, runner, embedder, conversation, prompt_layers, work
        The parts of the session.
    say : callable
        Receives sentences for the user.
    overlap : callable
        Returns what becomes of pixels of other objects.

    Attributes
    ----------
    choices : StackChoices
        Axis, direction and limits.
    ahead : SlicesAhead
        Computes slices ahead; off until it is switched on.
    state : RunState
        How far the present run is.
    tracks : TracksLayer or None
        The ways of objects through time.
    """

    marks_changed = Signal(SliceMarks)
    state_changed = Signal(RunState)

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        prompt_layers: PromptLayers,
        work: SessionObjects,
        say: Callable[[str], None],
        *,
        overlap: Callable[[], OverlapRule],
    ) -> None:
        self.choices = StackChoices()
        self.ahead = SlicesAhead(runner, embedder)
        self.state = RunState()
        self.tracks: TracksLayer | None = None
        self._viewer, self._runner, self._embedder = viewer, runner, embedder
        self._conversation, self._prompt_layers, self._work = conversation, prompt_layers, work
        self._say = say
        self._beginning = RunBeginning(embedder, conversation, work, self.choices, overlap)
        self._run: StackRun | None = None
        self._waiting: Callable[[], None] | None = None
        self._image: Image | None = None
        conversation.turned.connect(self._turned)
        prompt_layers.changed.connect(self._prompts_changed)
        embedder.state_changed.connect(self._embedder_moved)
        self.choices.changed.connect(self._line_changed)
        self.ahead.changed.connect(self._marks_moved)
        viewer.layers.events.removed.connect(self._layer_removed)

    # -------------------------------------------------------------------- buttons

    def propagate(self) -> None:
        """Carry the object under work (all prompts of the stack) through it; without prompts the selected objects.

        Of selected objects the prompted slices stay as they are, and what was carried from them is done again.
        """
        line = self._needed_line()
        if line is None:
            return
        said = what_was_said(line, self._conversation, self._prompt_layers)
        if own := self._opened(said):
            self._correct(line, own, said)
        elif said and all(one.is_stop for one in said):
            self._say(ONLY_STOPS)
        elif said:
            self._begin(line, (), said, "propagation", lambda journey: carry_new_steps(journey, said))
        elif chosen := self._work.editor.selection:
            title = f"propagation of {numbered(chosen)}"
            self._begin(line, chosen, (), title, lambda journey: carry_chosen_steps(journey, chosen))
        else:
            self._say(NO_PROMPTS)

    def correct(self) -> None:
        """Take the prompts of the stack into the selected object: from their slices on it is done again."""
        line = self._needed_line()
        if line is None:
            return
        said = what_was_said(line, self._conversation, self._prompt_layers)
        label = self._opened(said) or next(iter(self._work.editor.selection), 0)
        if not label or (len(self._work.editor.selection) > 1 and not self._opened(said)):
            self._say(WHICH_OBJECT)
        elif not said:
            self._say(NO_CORRECTION)
        else:
            self._correct(line, label, said)

    def cancel(self) -> None:
        """Stop; what was found up to now stays, and one undo takes it back."""
        self._waiting = None
        if self._run is not None:
            self._run.cancel()

    def show(self, place: int) -> None:
        """Move the viewer to a slice of the stack."""
        line, image = self.choices.line, self._conversation.image
        if line is not None and image is not None and 0 <= place < line.length:
            show_plane(self._viewer, image, line.plane(place))

    @property
    def marks(self) -> SliceMarks:
        """The slices of the stack as they are now."""
        line = self.choices.line
        if line is None:
            return SliceMarks()
        said = what_was_said(line, self._conversation, self._prompt_layers)
        here = line.place_of(self._conversation.plane)
        return SliceMarks(self.ahead.ready, tuple(one.place for one in said), here)

    # ------------------------------------------------------------- for the session

    def follow(self) -> None:
        """Move the Tracks layer to where the image lies now."""
        if self.tracks is not None:
            self.tracks.follow()

    def close(self) -> None:
        """Stop for good and let go of the viewer."""
        self._waiting = None
        if self._run is not None:
            self._run.abandon()
        self.ahead.close()
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        if self.tracks is not None:
            self.tracks.close()
            self.tracks = None

    # ------------------------------------------------------------------ one run

    def _correct(self, line: StackLine, label: int, said: Sequence[Said]) -> None:
        objects, there = self._work.layer, self._work.editor.labels
        records = {} if objects is None else {one: record_on(line, objects.row(one)) for one in there}
        family = family_of(label, {one: record.parent for one, record in records.items() if record is not None})
        title = f"correction of object {label}"
        self._begin(line, family, said, title, lambda journey: correct_chosen_steps(journey, label, said), label)

    def _begin(
        self, line: StackLine, labels: Sequence[int], said: Sequence[Said], title: str, begin: Begin, of: int = 0
    ) -> None:
        self.cancel()
        objects, image = self._work.layer, self._conversation.image
        if objects is None or image is None:
            return
        if self._embedder.predictor is None:
            self._waiting = lambda: self._begin(line, labels, said, title, begin, of)
            self._conversation.prepare()
            return
        records = {label: record_on(line, objects.row(label)) for label in labels}
        writer = self._beginning.writer(line, objects, records, said, of)
        places, journey = [one.place for one in said], self._beginning.journey(line, image, records)
        run = StackRun(
            self._runner,
            self._work.recorder,
            writer,
            title,
            lambda: self._drop(line, places),
            self._ended,
            self._work.log,
            self._beginning.explanation(journey, image, said, writer, of),
        )
        run.state_changed.connect(self._state_moved)
        self._run = run
        self._work.editor.select(())  # its outline would be drawn anew with every slice
        self.ahead.hold(True)
        if self.choices.is_time and self.tracks is None:
            self.tracks = TracksLayer(self._viewer, image, objects)
        if self.tracks is not None:
            self.tracks.hold(True)
        run.begin(begin(journey))

    def _drop(self, line: StackLine, places: Sequence[int]) -> None:
        """Remove the prompts that have become an object, within a step."""
        for place in places:
            plane = line.plane(place)
            if plane != self._conversation.plane:
                self._work.recorder.draft_will_change(plane)
            self._conversation.put_draft(plane, Draft())
            self._prompt_layers.clear(plane)

    def _state_moved(self, state: RunState) -> None:
        self.state = state
        self.state_changed.emit(state)
        if state.is_working:
            self._marks_moved()

    def _ended(self, said: str) -> None:
        run, self._run = self._run, None
        if self.tracks is not None:
            self.tracks.hold(False)
        labels = () if run is None else tuple(sorted(set(run.writer.labels.values())))
        there = set(self._work.editor.labels)
        self._work.editor.select([label for label in labels if label in there])
        self.ahead.hold(False)
        self._say(said)

    # -------------------------------------------------------------- what there is

    def _needed_line(self) -> StackLine | None:
        line = self.choices.line
        if line is None:
            self._say(NO_STACK)
        return line

    def _opened(self, said: Sequence[Said]) -> int:
        """Return the accepted object that the prompts begin with, because it was opened again; 0 for none."""
        objects = self._work.layer
        if objects is None:
            return 0
        return next((own for one in said if (own := objects.own_label(one.prompts.mask))), 0)

    # ------------------------------------------------------- what the session tells

    def _turned(self) -> None:
        image, plane = self._conversation.image, self._conversation.plane
        if image is not self._image:
            self.cancel()
            self._image = image
            if self.tracks is not None:
                self.tracks.close()
                self.tracks = None
        self.choices.turn_to(image, plane)

    def _line_changed(self) -> None:
        line, image = self.choices.line, self._conversation.image
        here = None if line is None else line.place_of(self._conversation.plane)
        if line is None or image is None or here is None or is_large(line.first.shape_in(spatial_shape(image))):
            self.ahead.turn_to(None)  # large slices are encoded in windows, where they are clicked on
            return
        data = full_resolution(image)
        limits = intensity_limits(image)
        self.ahead.turn_to(
            Slices(line, here, image.unique_id, limits, lambda place: read_plane(data, line.plane(place)))
        )

    def _prompts_changed(self) -> None:
        self.ahead.make_way()
        self._marks_moved()

    def _marks_moved(self) -> None:
        self.marks_changed.emit(self.marks)

    def _embedder_moved(self, state: EmbeddingState) -> None:
        waiting = self._waiting
        if state.phase == "ready":
            self._line_changed()  # perhaps the contrast is another one
            self._waiting = None
            if waiting is not None:
                waiting()
        elif state.phase == "failed":
            self._waiting = None

    def _layer_removed(self, event: Any) -> None:
        if self.tracks is not None:
            self.tracks.forget(event.value)
        objects = self._work.layer
        layer = None if objects is None else objects.layer
        if self._run is not None and self._run.writer.labels and layer in (None, event.value):
            self.cancel()
