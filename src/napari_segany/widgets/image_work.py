"""What is known of the work on one image: what of it is encoded, what is due, what is being saved. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_segany.engine.progress import Steps
from napari_segany.formats.session_file import PlaneIndex, SavedSession
from napari_segany.widgets.object_table import labels_of, rows_of
from napari_segany.widgets.pixel_changes import PixelChange
from napari_segany.widgets.session_place import SessionPlace
from napari_segany.widgets.whole_state import Planes, whole_state_steps
from napari_segany.widgets.work_log import WorkLog


@dataclass(frozen=True, eq=False)
class Saving:
    """One state that is being saved: where, which planes are encoded anew, and all planes once it is over."""

    place: SessionPlace
    number: int
    state: SavedSession
    layer: Labels | None
    log: WorkLog
    dirty: frozenset[PlaneIndex] | None
    planes: Planes

    def steps(self) -> Steps[SavedSession]:
        """Encode what has changed and write the session, whole or not at all."""
        objects = None if self.layer is None else self.layer.data
        saved = yield from whole_state_steps(self.state, objects, self.log, self.planes, self.dirty)
        self.place.write(saved, self.number)
        return saved


@dataclass(eq=False)
class ImageWork:
    """What is known of the work on one image: where it is saved, what of it is encoded, and what is due.

    Attributes
    ----------
    image, identity : Image and dict
        The image, and what tells it from others.
    place : SessionPlace
        Its file.
    layer : Labels or None
        Has the objects.
    planes : dict
        The objects that are encoded already, by plane.
    dirty : set or None
        The planes that have changed since; None for all of them.
    saving : Saving or None
        The state that is being saved.
    before_removal : SavedSession or None
        The state before layers of it were removed, until it is known whether the image goes too.
    last_state : SavedSession or None
        The state that is saved from now on, because the image is gone.
    is_due : bool
        Whether something is to be saved.
    choices : Mapping
        What was chosen in the state that was saved last.
    """

    image: Image
    identity: dict[str, Any]
    place: SessionPlace
    layer: Labels | None = None
    planes: Planes = field(default_factory=dict)
    dirty: set[PlaneIndex] | None = None
    saving: Saving | None = None
    before_removal: SavedSession | None = None
    last_state: SavedSession | None = None
    is_due: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)

    def take_up(self, layer: Labels) -> None:
        """Have the objects of this layer, none of which is encoded."""
        self.layer, self.dirty, self.planes = layer, None, {}

    def note(self, pixels: PixelChange) -> None:
        """Take note which planes are to be encoded again."""
        if self.dirty is not None and len(pixels.indices):
            numbers = np.unique(pixels.indices // (pixels.shape[-2] * pixels.shape[-1]))
            places = np.stack(np.unravel_index(numbers, pixels.shape[:-2] or (1,)), axis=1).tolist()
            self.dirty |= {tuple(place) if len(pixels.shape) > 2 else () for place in places}

    def removal_over(self) -> None:
        """Take note that layers were removed, and the image was not."""
        self.before_removal = None

    def begin_saving(self, state: SavedSession, log: WorkLog) -> Saving:
        """Take a state to be saved, with the planes of a saving that did not come to its end."""
        if self.layer is not None and not state.rows:  # the layer was removed, and its pixels are saved
            state = replace(state, rows=rows_of(self.layer.features, labels_of(self.layer.features)))
        unsaved = frozenset() if self.saving is None else self.saving.dirty
        dirty = None if self.dirty is None or unsaved is None else frozenset(self.dirty | unsaved)
        self.dirty = set()
        self.choices = state.choices
        state = replace(state, image=self.identity)
        number = self.place.next_number()
        self.saving = Saving(self.place, number, state, self.layer, log, dirty, dict(self.planes))
        return self.saving

    def end_saving(self, saving: Saving) -> None:
        """Take note that a state is saved; nothing follows of one that another has overtaken."""
        if saving is self.saving:
            self.saving = None
            if self.dirty is not None:
                self.planes = saving.planes
