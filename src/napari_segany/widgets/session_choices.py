"""What was chosen in a session besides its prompts, as plain values for its file, and put back. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.mask_policy import MASK_POLICIES
from napari_segany.engine.object_overlap import OVERLAP_RULES
from napari_segany.formats.session_file import SavedSession
from napari_segany.formats.session_steps import SavedQuestion
from napari_segany.widgets.class_values import class_values, saved_classes
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.provenance import Asked
from napari_segany.widgets.stack_choices import StackChoices

if TYPE_CHECKING:
    from napari_segany.widgets.conversation import Conversation
    from napari_segany.widgets.session import PromptSession

LASTING_CHOICES = ("device", "polarity", "overlap", "cleaning", "clean_accepted", "policy", "stack", "similar")
"""Those of `present_choices` that are not about the mask under work, and that no step of the history tells of."""


def present_choices(session: PromptSession, conversation: Conversation) -> dict[str, Any]:
    """Return the choices as they are, from the device to the mask under work."""
    plane, recalled, answerer = session.plane, conversation.recalled, conversation.answerer
    asked, candidate = conversation.asked, session.selected if session.candidates else None
    if recalled is not None:  # an opened session that is not answered yet
        asked, candidate = recalled.asked, recalled.chosen
    return {
        "device": session.device,
        "polarity": session.polarity,
        "overlap": session.overlap,
        "cleaning": asdict(session.editor.cleaning),
        "clean_accepted": session.editor.clean_accepted,
        **class_values(session.classes.classes, session.classes.current),
        "plane": None if plane is None else {"axes": list(plane.axes), "index": list(plane.index)},
        "candidate": candidate,
        "questions": [one.saved().to_dict() for one in asked],
        "rounded": answerer.rounded,
        "precision": answerer.precision,
        "policy": session.preview.policy,
        "stack": session.stack.choices.saved(),
        "similar": {"threshold": session.similar.threshold, "least_iou": session.similar.least_iou},
    }


def put_choices_back(session: PromptSession, choices: Mapping[str, Any]) -> None:
    """Choose what was chosen, as far as it is known here; what is not, stays as it is.

    Classes come back with the objects that have them, in one step of the history: see `SessionObjects.put_back`.

    Raises
    ------
    ValueError
        For a clean-up with parameters that are none.
    """
    cleaning = _cleaning(choices)
    overlap = next((rule for rule in OVERLAP_RULES if rule == choices.get("overlap")), None)
    if overlap is not None:
        session.overlap = overlap
    if cleaning is not None:
        session.editor.cleaning = cleaning
        session.editor.clean_accepted = bool(choices.get("clean_accepted", False))
    if choices.get("polarity") not in (None, session.polarity):
        session.toggle_polarity()
    _put_policies_back(session, choices)
    session.choices_changed.emit()


def check_choices(saved: SavedSession) -> None:
    """Refuse a session with damaged choices before anything of it is put back.

    Raises
    ------
    ValueError
        For a mask under work, a list of classes, a clean-up or limits of a stack that are none.
    """
    recalled_mask(saved)
    saved_classes(saved.choices)
    _cleaning(saved.choices)
    stack = saved.choices.get("stack")
    if isinstance(stack, Mapping):
        StackChoices.checked_settings(stack)


def with_device_of_here(saved: SavedSession, chosen: str) -> SavedSession:
    """Return a session without its device where this computer has none of the name: the chosen one stays then."""
    device = saved.choices.get("device")
    if device in ("auto", chosen):
        return saved
    from napari_segany.engine.device import available_devices  # brings torch

    known = device in available_devices()
    return saved if known else replace(saved, choices={**saved.choices, "device": None})


def _cleaning(choices: Mapping[str, Any]) -> CleanUp | None:
    cleaning = choices.get("cleaning")
    if not isinstance(cleaning, Mapping):
        return None
    try:
        return CleanUp(**cleaning)
    except TypeError:
        raise ValueError(
            f"the clean-up of the session has other parameters than are known: {dict(cleaning)}"
        ) from None


def _put_policies_back(session: PromptSession, choices: Mapping[str, Any]) -> None:
    """Choose device, first mask, and the limits of stacks and of similar objects as they were chosen."""
    policy = next((one for one in MASK_POLICIES if one == choices.get("policy")), None)
    if policy is not None:
        session.preview.policy = policy
    stack, similar = choices.get("stack"), choices.get("similar")
    if isinstance(stack, Mapping):
        session.stack.choices.put_back(stack)
    if isinstance(similar, Mapping):
        for name in ("threshold", "least_iou"):
            value = similar.get(name)
            if isinstance(value, int | float) and 0 <= value <= 1:
                setattr(session.similar, name, float(value))
    device = choices.get("device")
    if isinstance(device, str) and device:
        session.choose_device(device)


def recalled_mask(saved: SavedSession) -> tuple[Plane, tuple[Asked, ...], int] | None:
    """Return the mask under work of a saved session: its plane, what was asked for it, and which candidate was shown.

    Raises
    ------
    ValueError
        For damaged values.
    """
    choices = saved.choices
    if choices.get("candidate") is None or choices.get("plane") is None:
        return None
    try:
        (first, second), index = choices["plane"]["axes"], choices["plane"]["index"]
        plane = Plane((int(first), int(second)), tuple(int(place) for place in index))
        asked = tuple(Asked.of(SavedQuestion.from_dict(one)) for one in choices.get("questions") or ())
        return plane, asked, max(int(choices["candidate"]), 0)
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(f"the mask under work is damaged in the session ({error})") from None
