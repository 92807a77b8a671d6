"""Writes down what happens to prompts and objects, as steps of one history per image. Knows no Qt and no model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Draft, PackedDraft
from napari_segany.widgets.drafts_marks import Marks
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.history import Change, History, Step
from napari_segany.widgets.layers import show_plane
from napari_segany.widgets.object_changes import ObjectsChange, combined
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.prompt_layers import PromptLayers


@dataclass(frozen=True, eq=False)
class WorkChange:
    """Prompts, and the draft of one plane, to put back.

    Attributes
    ----------
    marks : Marks
        Points and boxes of all planes.
    plane : Plane or None
        Whose draft.
    draft : PackedDraft
        What was asked and answered there.
    """

    marks: Marks
    plane: Plane | None
    draft: PackedDraft

    @property
    def nbytes(self) -> int:
        """Memory that it takes, in bytes."""
        return self.marks.nbytes + self.draft.nbytes

    def swap(self, place: Recorder) -> WorkChange:
        """Put it back, and return what puts back what was there before."""
        now = place.work(self.plane)
        place.put_work(self)
        return now


class LongStep:
    """Something that is done bit by bit and undone at once.

    Attributes
    ----------
    step : Step or None
        What was done so far; None before the first bit.
    is_torn : bool
        Whether something else was done in between, so that it is more than one step.
    """

    def __init__(self) -> None:
        self.step: Step[Recorder] | None = None
        self.is_torn = False


class Recorder:
    """The history of the image that is worked on, and of those worked on before.

    Parameters
    ----------
    viewer : ViewerModel
        Whose slider goes to where a step was made.
    conversation : Conversation
        Has the drafts.
    prompt_layers : PromptLayers
        Have the points and boxes.

    Attributes
    ----------
    in_step : bool
        Whether a step is being made or undone: nobody shall act on what it changes before it is over.
    """

    changed = Signal()
    stepped = Signal()

    def __init__(self, viewer: ViewerModel, conversation: Conversation, prompt_layers: PromptLayers) -> None:
        self.in_step = False
        self._viewer = viewer
        self._conversation = conversation
        self._prompt_layers = prompt_layers
        self._image: Image | None = None
        self._objects: ObjectsLayer | None = None
        self._histories: dict[str, History[Recorder]] = {}
        self._history: History[Recorder] = History()
        self._marks = Marks()
        self._collected: list[Change[Recorder]] = []

    # ------------------------------------------------------------------ what it is about

    def turn_to(self, image: Image | None, objects: ObjectsLayer | None) -> None:
        """Go on with the history of another image."""
        if self._objects is not None:
            self._objects.changed.disconnect(self._objects_changed)
        self._image, self._objects = image, objects
        if objects is not None:
            objects.changed.connect(self._objects_changed)
        self._history = History() if image is None else self._histories.setdefault(image.unique_id, History())
        self._marks = self._prompt_layers.marks
        self.changed.emit()

    def forget_image(self, image: Image) -> None:
        """Drop the history of an image that has gone, or has other data now."""
        self._histories.pop(image.unique_id, None)

    @property
    def history(self) -> History[Recorder]:
        """The steps of the present image."""
        return self._history

    # ---------------------------------------------------------------------- writing down

    @contextmanager
    def step(self, title: str, part_of: LongStep | None = None) -> Iterator[None]:
        """Make all that happens within one step; nothing is written down where nothing is different at its end.

        With `part_of` it goes on with the last bit of that step, unless something else was done since.
        """
        if self.in_step:
            yield
            return
        is_more = part_of is not None and part_of.step is not None
        before = self.work(self._conversation.plane)
        self.in_step, self._collected = True, []
        try:
            yield
        finally:
            self.in_step = False
            self._push(title, before, part_of)
            if not is_more:  # what prompts there are was told with the first bit
                self.stepped.emit()

    def draw_together(self, long: LongStep) -> ObjectsChange | None:
        """Make what was done bit by bit one change, so that undoing it takes no longer than doing one.

        Returns
        -------
        ObjectsChange or None
            What was done to the objects; None where something else was done since, or nothing.
        """
        if long.step is None:
            return None
        others = tuple(one for one in long.step.changes if not isinstance(one, ObjectsChange))
        of_objects = [one for one in long.step.changes if isinstance(one, ObjectsChange)]
        whole = combined(of_objects) if of_objects else None
        if whole is None:
            return None
        shorter = replace(long.step, changes=(*others, whole))
        if not self._history.replace(long.step, shorter):
            return None
        long.step = shorter
        return whole

    def draft_will_change(self, plane: Plane) -> None:
        """Take note, within a step, that the draft of another plane than the shown one is about to change."""
        self._collected.append(self.work(plane))

    def add(self, change: Change[Recorder]) -> None:
        """Take note, within a step, of a change of something else, which is about to be made."""
        self._collected.append(change)

    def prompts_edited(self) -> None:
        """Take note that points or boxes were changed by hand."""
        marks, before = self._prompt_layers.marks, self._marks
        if not self.in_step and marks != before:
            self._collected = []
            self._push(_what_happened(before, marks), self.work(self._conversation.plane, before))

    def _objects_changed(self, change: ObjectsChange) -> None:
        if self.in_step:
            self._collected.append(change)
        else:
            self._history.push(Step("painting", self._conversation.plane, (change,)))
            self.changed.emit()

    def _push(self, title: str, before: WorkChange, part_of: LongStep | None = None) -> None:
        changes: tuple[Change[Recorder], ...] = tuple(self._collected)
        prompt = self._conversation.draft(before.plane).mask_prompt if before.plane is not None else None
        if self._prompt_layers.marks != before.marks or prompt is not before.draft.draft.mask_prompt:
            changes = (before, *changes)
        self._marks = self._prompt_layers.marks
        if changes:
            self._add(Step(title, before.plane, changes), part_of)
            self.changed.emit()

    def _add(self, step: Step[Recorder], part_of: LongStep | None) -> None:
        if part_of is None:
            self._history.push(step)
            return
        last = part_of.step
        if last is not None and self._history.next_undo is last:
            part_of.step = replace(last, changes=(*last.changes, *step.changes))
            self._history.replace(last, part_of.step)
        else:
            part_of.is_torn = last is not None
            part_of.step = step
            self._history.push(step)

    # -------------------------------------------------------------------- putting back

    def undo(self) -> Step[Recorder] | None:
        """Undo the last step, show where it was, and return it; None if there is none."""
        return self._move(forth=False)

    def redo(self) -> Step[Recorder] | None:
        """Do the step again that was undone last, show where it is, and return it; None if there is none."""
        return self._move(forth=True)

    def _move(self, *, forth: bool) -> Step[Recorder] | None:
        step = self._history.next_redo if forth else self._history.next_undo
        if step is None:
            return None
        self._show(step.plane)
        self.in_step = True
        try:
            done = self._history.redo(self) if forth else self._history.undo(self)
        finally:
            self.in_step = False
            self._marks = self._prompt_layers.marks
        self.stepped.emit()
        self.changed.emit()
        return done

    def work(self, plane: Plane | None, marks: Marks | None = None) -> WorkChange:
        """Return the prompts (or these) and the draft of a plane, as they are now."""
        draft = Draft() if plane is None else self._conversation.draft(plane)
        return WorkChange(self._prompt_layers.marks if marks is None else marks, plane, draft.packed())

    def put_work(self, change: WorkChange) -> None:
        """Put prompts and a draft back."""
        if change.plane is not None:
            self._conversation.put_draft(change.plane, change.draft.unpacked())
        self._prompt_layers.put(change.marks)

    def put_objects_back(self, change: ObjectsChange) -> ObjectsChange:
        """Put pixels and rows of objects back, and return the way back."""
        if self._objects is None:
            raise RuntimeError("objects can only be put back while their image is worked on")
        return self._objects.put_back(change)

    def _show(self, plane: Plane | None) -> None:
        shown = self._conversation.plane
        if self._image is not None and plane is not None and shown is not None and plane.axes == shown.axes:
            show_plane(self._viewer, self._image, plane)


def _what_happened(before: Marks, after: Marks) -> str:
    points, boxes = len(after.points) - len(before.points), len(after.boxes) - len(before.boxes)
    if points > 0:
        return "point"
    if boxes > 0 or (after.boxes != before.boxes and not points and not boxes):
        return "box"
    return "removal of prompts" if points < 0 or boxes < 0 else "moved point"
