"""What was chosen in a session besides its prompts, as plain values for its file, and put back. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.engine.object_overlap import OVERLAP_RULES
from napari_segany.widgets.class_values import class_values

if TYPE_CHECKING:
    from napari_segany.widgets.conversation import Conversation
    from napari_segany.widgets.session import PromptSession


def present_choices(session: PromptSession, conversation: Conversation) -> dict[str, Any]:
    """Return the choices as they are: device, polarity, overlap, clean-up, classes, shown plane and candidate."""
    plane, answerer = session.plane, conversation.answerer
    return {
        "device": session.device,
        "polarity": session.polarity,
        "overlap": session.overlap,
        "cleaning": asdict(session.editor.cleaning),
        "clean_accepted": session.editor.clean_accepted,
        **class_values(session.classes.classes, session.classes.current),
        "plane": None if plane is None else {"axes": list(plane.axes), "index": list(plane.index)},
        "candidate": session.selected if session.candidates else None,
        "questions": [one.saved().to_dict() for one in conversation.asked],
        "rounded": answerer.rounded,
        "precision": answerer.precision,
    }


def put_choices_back(session: PromptSession, choices: Mapping[str, Any]) -> None:
    """Choose what was chosen, as far as it is known here; what is not, stays as it is.

    Classes come back with the objects that have them, in one step of the history: see `SessionObjects.put_back`.

    Raises
    ------
    ValueError
        For a clean-up with parameters that are none.
    """
    overlap = next((rule for rule in OVERLAP_RULES if rule == choices.get("overlap")), None)
    if overlap is not None:
        session.overlap = overlap
    cleaning = choices.get("cleaning")
    if isinstance(cleaning, Mapping):
        try:
            session.editor.cleaning = CleanUp(**cleaning)
        except TypeError:
            raise ValueError(
                f"the clean-up of the session has other parameters than are known: {dict(cleaning)}"
            ) from None
        session.editor.clean_accepted = bool(choices.get("clean_accepted", False))
    if choices.get("polarity") not in (None, session.polarity):
        session.toggle_polarity()
