"""Preferences put into a session, all of them or those that were changed. Knows no Qt."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from napari_segany.widgets.settings import Settings

if TYPE_CHECKING:
    from napari_segany.widgets.session import PromptSession


def put_settings(session: PromptSession, settings: Settings, names: Collection[str]) -> None:
    """Have these preferences in a session that is at work; names are those of the manifest.

    Folders and sizes of caches are left out: they are for the next session.
    """
    if "overlap_rule" in names:
        session.overlap = settings.overlap
    if "candidate_policy" in names:
        session.preview.policy = settings.policy
    if "preview" in names:
        session.preview.switch(settings.preview)
    if "mask_colours" in names or "preview_colour" in names:
        session.preview.paint(settings.mask_colours, settings.preview_colour)
    if "compute_ahead" in names:
        session.stack.ahead.enabled = session.windows.enabled = settings.compute_ahead
    if "device" in names:
        session.choose_device(settings.device)
    if "model" in names:
        session.choose_model(settings.model)
    session.choices_changed.emit()
