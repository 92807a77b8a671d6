"""What the status line of segmenting everything says. Words only."""

from __future__ import annotations

from napari_segany.widgets.everything_results import EverythingResults

RUNNING = "Running. Cancel stops it at once; slices that are finished stay."


def idle_text(has_image: bool, has_objects: bool, needs_run: bool, *, is_large: bool = False) -> str:
    """Return what to do next while nothing runs."""
    if not has_image:
        return "Open an image to begin."
    if not has_objects and is_large:
        return (
            "This image is large, and here all of it is looked at once, much reduced: small objects are not found. "
            "The dock Segment a folder works tile by tile, at full resolution."
        )
    if not has_objects:
        return "Choose a preset and press Run. Thresholds can be changed afterwards, without asking again."
    if needs_run:
        return "These settings ask the model something else: press Run. Until then the objects stay."
    return "Click on an object to select it, once more for the object around it; Shift-click selects several."


def found_text(count: int, results: EverythingResults) -> str:
    """Return what was found, as the number of objects and their results."""
    waiting, unfilterable = results.waiting, results.unfilterable
    candidates = None if results.shown_plane is None else results.on(results.shown_plane).candidates
    if waiting:
        return f"{count:,} objects; filtering, {waiting} {'slice' if waiting == 1 else 'slices'} to go."
    if count == 0 and candidates is not None and candidates.items:
        return (
            f"No mask passes: of {len(candidates.items):,} answers the best predicted IoU is "
            f"{candidates.predicted_iou.max():.2f} and the best stability {candidates.stability_score.max():.2f}. "
            "Lower these two thresholds."
        )
    text = f"{count:,} {'object' if count == 1 else 'objects'}. Click on one to select it, on its place again for "
    text += "the one around it."
    if unfilterable and candidates is not None:
        text += f" {unfilterable} slices keep theirs: their answers were let go to save memory."
    return text
