"""What was said of the object under work on the slices of a stack, and the same for the engine. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.rle import RunLengths
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Prompts
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.provenance import Asked
from napari_segany.widgets.stack_line import StackLine
from napari_segany.widgets.stack_record import is_stop

if TYPE_CHECKING:
    from napari_segany.engine.propagation_values import SlicePrompt


@dataclass(frozen=True, eq=False)
class Said:
    """Prompts of the object under work on one slice.

    Attributes
    ----------
    place : int
        The slice.
    prompts : Prompts
        Points, box and mask prompt there.
    mask : numpy.ndarray, optional
        (H, W) bool, the mask that the user sees and chose among the answers; None while there is none.
    asked : tuple of Asked
        The questions that led to it.
    chosen : int
        Which candidate of the last answer it is.
    """

    place: int
    prompts: Prompts
    mask: NDArray[np.bool_] | None = None
    asked: tuple[Asked, ...] = ()
    chosen: int = 0

    @property
    def is_stop(self) -> bool:
        """Whether it says that the object is not here."""
        return is_stop(self.prompts.to_dict())

    def for_engine(self, object_id: int, shape: tuple[int, int]) -> SlicePrompt:
        """Return what the engine is asked: what the user saw and chose is taken as it is."""
        from napari_segany.engine.prompts import Prompt
        from napari_segany.engine.propagation_values import SlicePrompt

        said = self.prompts
        accepted = None if self.mask is None or self.is_stop else RunLengths.from_mask(self.mask)
        box = said.box
        if box is None and said.mask is not None and not said.points:
            box = said.mask.box  # a mask is never asked about alone
        prompt = Prompt.checked(
            list(said.points) or None,
            list(said.labels) or None,
            box,
            None if said.mask is None else said.mask.mask,
            image_shape=shape,
        )
        return SlicePrompt(object_id, self.place, prompt, accepted)


def what_was_said(line: StackLine, conversation: Conversation, prompt_layers: PromptLayers) -> tuple[Said, ...]:
    """Return the prompts of all slices of a stack that have any, by ascending slice."""
    found = []
    for place in _places(line, conversation, prompt_layers):
        plane = line.plane(place)
        draft = conversation.draft(plane)
        prompts = replace(prompt_layers.read(plane), mask=draft.mask_prompt)
        if not prompts:
            continue
        mask = draft.candidates[draft.selected].mask if draft.candidates and draft.answered == prompts else None
        mask = mask if mask is not None and mask.any() else None
        found.append(Said(place, prompts, mask, draft.replayable if mask is not None else (), draft.selected))
    return tuple(found)


def stop_said_before(object_id: int, place: int, said: Mapping[str, Any], shape: tuple[int, int]) -> SlicePrompt:
    """Return what a record tells of a slice on which the object is not, for the engine."""
    from napari_segany.engine.prompts import Prompt
    from napari_segany.engine.propagation_values import SlicePrompt

    points = [tuple(point) for point in said["points"]]
    return SlicePrompt(object_id, place, Prompt.checked(points, list(said["labels"]), image_shape=shape))


def no_further(object_id: int, place: int, shape: tuple[int, int]) -> SlicePrompt:
    """Return what keeps an object from a slice and all beyond it."""
    said = {"points": [(0.0, 0.0)], "labels": [0]}
    return stop_said_before(object_id, place, said, shape)


def _places(line: StackLine, conversation: Conversation, prompt_layers: PromptLayers) -> list[int]:
    marks = prompt_layers.marks
    corners = [corner for box in marks.boxes for corner in box[:1]]
    places = {round(position[line.axis]) for position in (*marks.points, *corners)}
    places |= {place for plane in conversation.mask_prompts if (place := line.place_of(plane)) is not None}
    return sorted(place for place in places if 0 <= place < line.length)
