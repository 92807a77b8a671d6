"""What the status line advises to do next. Words only."""

from __future__ import annotations

from napari_segany.widgets.drafts import Prompts


def advice(has_image: bool, phase: str, prompts: Prompts, candidates: int, offer: str = "") -> str:
    """Return one sentence for the present state.

    Parameters
    ----------
    has_image : bool
        Whether an image is chosen.
    phase : str
        Phase of the image embedding: "none", "working", "ready" or "failed".
    prompts : Prompts
        Prompts of the object under work.
    candidates : int
        Masks on offer.
    offer : str
        The sentence that offers earlier work; it is for those who have not begun.
    """
    if not has_image:
        return "Open an image to begin."
    if candidates > 1:
        return f"{candidates} masks on offer: W shows the next, N accepts. Or click again to correct it."
    if candidates == 1:
        return "N accepts the mask. Or click where it is wrong: right click takes away."
    if prompts and phase != "ready":
        return "Your prompts are kept and answered as soon as the image embedding is ready."
    if prompts:
        return "Looking for the object ..."
    return offer or "Click on an object. Right click or Ctrl-click: background."
