"""The state of a session as its file holds it: with its objects, its log, the versions and the time. Knows no Qt."""

from __future__ import annotations

import platform
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.labels import run_lengths_by_label
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_file import PlaneIndex, SavedSession
from napari_segany.widgets.work_log import WorkLog

Planes = dict[PlaneIndex, dict[int, RunLengths]]


def whole_state_steps(
    state: SavedSession,
    objects: Any,
    log: WorkLog,
    planes: Planes | None = None,
    dirty: Collection[PlaneIndex] | None = None,
) -> Steps[SavedSession]:
    """Encode what has changed; return a session with its objects, its log and the versions.

    Parameters
    ----------
    state : SavedSession
        The session, but for its objects and log.
    objects : array, optional
        The labels.
    log : WorkLog
        How the objects came about.
    planes : dict, optional
        Objects that are encoded already, by plane; brought up to date.
    dirty : set, optional
        Which planes have changed; all of them where not given.
    """
    planes = {} if planes is None else planes
    if objects is not None:
        wanted = sorted(np.ndindex(*objects.shape[:-2]) if dirty is None else dirty)
        for number, index in enumerate(wanted):
            yield Progress(number, len(wanted), "Saving the session")
            planes[index] = run_lengths_by_label(np.asarray(objects[index]))
    yield Progress(1, 1, "Saving the session")
    kept = {index: masks for index, masks in planes.items() if masks}
    return replace(state, planes=kept, log=(yield from log.saved_steps()), versions=versions())


def versions() -> dict[str, str]:
    """Return the versions of what decides the masks, by name."""
    names = ("napari-segany", "torch", "numpy", "pillow", "napari")
    found = {"python": platform.python_version()}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def now() -> str:
    """Return the local time, ISO 8601 to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
