"""The state of a session as a value to be saved, and such a value put back into the layers. Knows no Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_file import SavedMaskPrompt, SavedSession
from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.drafts import Draft, ObjectPrompt, Prompts, Recalled
from napari_segany.widgets.drafts_marks import Marks
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.history_recorder import Recorder
from napari_segany.widgets.object_changes import ObjectsChange
from napari_segany.widgets.object_table import counted, labels_of, rows_of
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.pixel_changes import PixelChange, changed_pixels, joined, no_change
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.provenance import Asked
from napari_segany.widgets.session_choices import recalled_mask
from napari_segany.widgets.whole_state import now


def present_state(
    conversation: Conversation, prompt_layers: PromptLayers, objects: ObjectsLayer | None
) -> SavedSession:
    """Return prompts and rows of objects as they are now; the rest is added when it is saved."""
    layer = None if objects is None else objects.layer
    marks = prompt_layers.marks
    return SavedSession(
        image={},
        model="",
        saved_at=now(),
        points=marks.points,
        labels=marks.labels,
        boxes=marks.boxes,
        mask_prompts=tuple(
            SavedMaskPrompt(plane.axes, plane.index, one.layer, one.label, RunLengths.from_mask(one.mask))
            for plane, one in conversation.mask_prompts.items()
        ),
        rows={} if layer is None else rows_of(layer.features, labels_of(layer.features)),
    )


def put_state_back(
    saved: SavedSession,
    recorder: Recorder,
    conversation: Conversation,
    prompt_layers: PromptLayers,
    objects: ObjectsLayer,
) -> None:
    """Have the prompts and objects of a saved session in place of the present ones, within a step of the recorder.

    The mask under work is asked for again as it was, if the model is the one that answered.

    Raises
    ------
    ValueError
        For damaged values; nothing is changed then.
    """
    mask = recalled_mask(saved) if saved.model == conversation.answerer.model else None
    for plane in set(conversation.mask_prompts) - {Plane(one.axes, one.index) for one in saved.mask_prompts}:
        recorder.draft_will_change(plane)
        conversation.put_draft(plane, Draft())
    for one in saved.mask_prompts:
        plane = Plane(one.axes, one.index)
        recorder.draft_will_change(plane)
        conversation.put_draft(plane, Draft(ObjectPrompt(one.mask.decode(), one.layer, one.label)))
    prompt_layers.put(Marks(saved.points, saved.labels, saved.boxes))
    if mask is not None:
        _recall(*mask, recorder, conversation, prompt_layers)
    if saved.objects or objects.find() is not None:
        change = _difference(np.asarray(objects.ready().data), saved)
        if change is not None:
            objects.write(change, saved.rows)
        _put_rows_back(saved, objects, () if change is None else change.labels)


def _recall(
    plane: Plane,
    asked: tuple[Asked, ...],
    chosen: int,
    recorder: Recorder,
    conversation: Conversation,
    prompt_layers: PromptLayers,
) -> None:
    """Have what was asked about a plane asked again in its order, and the same candidate shown."""
    draft, prompts = conversation.draft(plane), prompt_layers.read(plane)
    prompts = replace(prompts, mask=draft.mask_prompt)
    if asked:
        last = asked[-1].arguments
        points = tuple((float(row), float(col)) for row, col in last.get("points", ()))
        box = last.get("box")
        if prompts.mask is not None and not points and prompts.box is None:
            box = None  # that of the mask itself, without which it is not asked
        prompts = Prompts(points, tuple(last.get("labels", ())), box, prompts.mask)
    recorder.draft_will_change(plane)
    conversation.put_draft(plane, Draft(draft.mask_prompt, recalled=Recalled(asked, prompts, chosen)))


def _put_rows_back(saved: SavedSession, objects: ObjectsLayer, written: Collection[int]) -> None:
    """Have the saved rows of objects whose pixels were the same, and that were not written therefore."""
    areas: Counter[int] = Counter()
    for masks in saved.planes.values():
        areas.update({label: mask.area for label, mask in masks.items() if label not in written})
    layer = objects.ready()
    wanted = {label: counted(saved.rows[label], area) for label, area in areas.items() if label in saved.rows}
    present = rows_of(layer.features, wanted)
    rows = {label: row for label, row in wanted.items() if row != present[label]}
    if rows:
        change = ObjectsChange(layer, no_change(layer.data.shape), rows, len(layer.features))
        objects.changed.emit(objects.put_back(change))


def _difference(data: NDArray[np.integer], saved: SavedSession) -> PixelChange | None:
    size = data.shape[-2:]
    changes = []
    for index in np.ndindex(*data.shape[:-2]):
        masks = saved.planes.get(index, {})
        if not masks and not data[index].any():
            continue
        wanted = np.zeros(size, np.promote_types(data.dtype, np.min_scalar_type(max(masks, default=0))))
        for label, mask in masks.items():
            wanted[mask.decode()] = label
        thin = (1,) * len(index) + size
        everywhere = np.ones(thin, bool)
        changes.append(changed_pixels(data, (*index, 0, 0), everywhere, wanted.reshape(thin)))
    return joined([change for change in changes if change is not None])
