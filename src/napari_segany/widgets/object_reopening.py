"""Opening an accepted object again: its prompts come back, its mask is the first candidate. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Candidate, Draft, ObjectPrompt, Point
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import full_resolution, intensity_limits, show_plane
from napari_segany.widgets.object_table import Row, origin_of
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.prompt_layers import BACKGROUND, FOREGROUND, PromptLayers
from napari_segany.widgets.thumbnails import thumbnail


class Reopener:
    """Puts the prompts of accepted objects back into the prompt layers.

    Parameters
    ----------
    viewer : ViewerModel
        Whose slider goes to the object.
    conversation : Conversation
        Has the drafts.
    prompt_layers : PromptLayers
        Take the points and boxes.
    """

    def __init__(self, viewer: ViewerModel, conversation: Conversation, prompt_layers: PromptLayers) -> None:
        self.viewer = viewer
        self._conversation = conversation
        self._prompt_layers = prompt_layers

    @property
    def clicks(self) -> tuple[Point, ...]:
        """The foreground points on the shown plane, (row, col)."""
        prompts = self._conversation.prompts
        return tuple(point for point, label in zip(prompts.points, prompts.labels, strict=True) if label == 1)

    def drop(self) -> None:
        """Remove the prompts of the shown plane."""
        plane = self._conversation.plane
        if plane is not None:
            self._conversation.drop_draft()
            self._prompt_layers.clear(plane)

    def reopen(self, objects: ObjectsLayer, label: int, will_change: Callable[[Plane], None]) -> bool:
        """Bring back the prompts of an object, on the plane that they were made on, with its mask as the candidate.

        Prompts that are there are dropped. Without prompts, as of a painted object, the mask alone is the prompt.
        Returns False where the viewer cannot show such a plane. `will_change` is told, before it happens, of which
        other plane than the shown one the draft changes.
        """
        image, shown, layer = self._conversation.image, self._conversation.plane, objects.ready()
        row = objects.row(label)
        origin = origin_of(row)
        plane = None if shown is None else _plane_of(layer, label, origin, shown)
        if image is None or plane is None:
            return False
        show_plane(self.viewer, image, plane)
        if self._conversation.plane != plane:
            return False
        if plane != shown:
            will_change(plane)
        self.drop()
        mask = np.asarray(layer.data[plane.slicer()]) == label
        prompt = ObjectPrompt(mask, layer.name, label, layer.unique_id)
        if _was_made_on(origin, plane):
            self._put_prompts(plane, origin)
        self._conversation.put_draft(plane, Draft(mask_prompt=prompt))
        candidate = _candidate(mask, row, image, plane)
        answered = self._conversation.prompts
        self._conversation.put_draft(plane, Draft(prompt, answered, (candidate,)))
        return True

    def _put_prompts(self, plane: Plane, origin: dict[str, Any]) -> None:
        names = {1: FOREGROUND, 0: BACKGROUND}
        points = [(float(row), float(col)) for row, col in origin.get("points") or ()]
        labels = [int(label) for label in origin.get("labels") or ()]
        if points and len(points) == len(labels) and set(labels) <= set(names):
            self._prompt_layers.add_points(plane, points, labels)
        box = origin.get("box")
        if box is not None and len(box) == 4:
            self._prompt_layers.set_box(plane, [float(edge) for edge in box])


def _plane_of(layer: Labels, label: int, origin: dict[str, Any], shown: Plane) -> Plane | None:
    """Return where an object was made, if it is still there; else the shown plane or the first one that it is on."""
    if _axes(origin, shown) == shown.axes and len(origin.get("plane", ())) == len(shown.index):
        made_on = Plane(shown.axes, tuple(int(place) for place in origin.get("plane", ())))
        inside = all(0 <= at < layer.data.shape[axis] for axis, at in zip(shown.hidden, made_on.index, strict=True))
        if inside and _is_on(layer, label, made_on):
            return made_on
    if _is_on(layer, label, shown):
        return shown
    places = np.argwhere((np.asarray(layer.data) == label).any(axis=shown.axes))
    return Plane(shown.axes, tuple(int(place) for place in places[0])) if len(places) else None


def _axes(origin: dict[str, Any], shown: Plane) -> tuple[int, ...]:
    """Return which axes an object was seen along; the shown ones where that is not told."""
    return tuple(origin.get("axes", shown.axes))


def _was_made_on(origin: dict[str, Any], plane: Plane) -> bool:
    """Whether the positions of prompts are those of this plane, which slice 5 of another view is not."""
    return _axes(origin, plane) == plane.axes and origin.get("plane") == list(plane.index)


def _is_on(layer: Labels, label: int, plane: Plane) -> bool:
    return bool((np.asarray(layer.data[plane.slicer()]) == label).any())


def _candidate(mask: NDArray[np.bool_], row: Row, image: Image, plane: Plane) -> Candidate:
    """Return an object as it is now as a candidate; lazy image data are not computed for its picture."""
    data = full_resolution(image)
    view: Any = data[plane.slicer()] if isinstance(data, np.ndarray) else np.zeros(mask.shape, np.uint8)
    picture, outline = thumbnail(view, mask, intensity_limits(image))
    iou, stability = (float(row.get(name, np.nan)) for name in ("predicted_iou", "stability_score"))
    return Candidate(mask, iou, stability, np.zeros((0, 0), np.float32), picture, outline)
