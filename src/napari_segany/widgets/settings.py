"""What people set for this plugin in napari's preferences, with defaults where it is not installed as a plugin."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings

from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.mask_policy import MASK_POLICIES, MaskPolicy
from napari_segany.engine.object_overlap import OVERLAP_RULES, OverlapRule
from napari_segany.engine.precision_names import AUTO, PRECISIONS
from napari_segany.widgets.candidate_layers import CANDIDATE_COLOURS
from napari_segany.widgets.preview_layer import PREVIEW_COLOUR
from napari_segany.widgets.viewer_events import EventLinks

PLUGIN = "napari-segany"
_BYTES_PER_GB = 1024**3
_TYPING_MS = 600

_remembering: ContextVar[bool] = ContextVar("napari_segany_remembering", default=False)
"""Whether a dock is writing down what was chosen in it."""


@dataclass(frozen=True)
class Settings:
    """The preferences.

    Attributes
    ----------
    model : str
        Name of the model that a new widget begins with.
    device : str
        "auto", "cuda", "mps" or "cpu".
    precision : str
        Of the image encoder: "auto", "float32" or "bfloat16", see `engine.predictor.Predictor`.
    weights_folder : Path, optional
        Where downloaded weights are; None for the default folder.
    cache_bytes : int
        Bytes of image embeddings to keep in memory.
    places : CachePlaces
        Where embeddings are kept on the disk, and where prepared ones are.
    compute_ahead : bool
        Whether the slices around the shown one are made ready while nothing else is to do.
    policy : str
        Which of three masks is shown first, see `MaskPolicy`.
    preview : bool
        Whether the mask under the mouse is outlined.
    overlap : str
        What becomes of pixels of other objects, see `OverlapRule`.
    mask_colours : tuple of str
        Of the first, second and third mask on offer, as "#rrggbb".
    preview_colour : str
        Of the outline under the mouse.
    all_tools : bool
        Whether all parts of the dock are shown.
    """

    model: str = "light"
    device: str = "auto"
    precision: str = AUTO
    weights_folder: Path | None = None
    cache_bytes: int = 2 * _BYTES_PER_GB
    places: CachePlaces = field(default_factory=CachePlaces)
    compute_ahead: bool = True
    policy: MaskPolicy = "best"
    preview: bool = True
    overlap: OverlapRule = "keep"
    mask_colours: tuple[str, ...] = CANDIDATE_COLOURS
    preview_colour: str = PREVIEW_COLOUR
    all_tools: bool = True


def read_settings() -> Settings:
    """Return the preferences as they are now."""
    try:
        values: Any = get_plugin_settings(PLUGIN).segany
    except KeyError:  # the plugin's manifest is not registered
        return Settings()
    return Settings(
        model=str(values.model),
        device=str(values.device),
        precision=next((one for one in PRECISIONS if one == str(values.precision)), AUTO),
        weights_folder=_folder(values.weights_dir),
        cache_bytes=int(values.cache_gb * _BYTES_PER_GB),
        places=CachePlaces(
            folder=_folder(values.disk_cache_dir),
            limit=int(values.disk_cache_gb * _BYTES_PER_GB),
            prepared=_folder(values.prepared_dir),
        ),
        compute_ahead=bool(values.compute_ahead),
        policy=next((one for one in MASK_POLICIES if one == str(values.candidate_policy)), "best"),
        preview=bool(values.preview),
        overlap=next((one for one in OVERLAP_RULES if one == str(values.overlap_rule)), "keep"),
        mask_colours=_colours(values.mask_colours, CANDIDATE_COLOURS),
        preview_colour=_colours(values.preview_colour, (PREVIEW_COLOUR,))[0],
        all_tools=bool(values.all_tools),
    )


def remember(name: str, value: object) -> None:
    """Keep a preference by its name in the manifest; nowhere where the plugin is not installed.

    It is what the next dock begins with: docks that are open keep what was chosen in them.
    """
    try:
        values: Any = get_plugin_settings(PLUGIN).segany
    except KeyError:
        return
    if getattr(values, name) != value:
        token = _remembering.set(True)
        try:
            setattr(values, name, value)
        finally:
            _remembering.reset(token)


class SettingsWatch:
    """Tells what people change on this plugin's page of napari's preferences, not what docks remember there.

    Napari's emitters hold it weakly; whoever made it ends it with `close`.

    Parameters
    ----------
    changed : callable
        Receives the preferences and the names, as in the manifest, of those that were changed.
    later : callable
        Calls back after some milliseconds: names and colours are typed letter by letter.
    """

    def __init__(
        self, changed: Callable[[Settings, frozenset[str]], None], later: Callable[[Callable[[], None], int], None]
    ) -> None:
        self._changed, self._later = changed, later
        self._due: set[str] = set()
        self._links = EventLinks()
        try:
            values: Any = get_plugin_settings(PLUGIN).segany
        except KeyError:  # the plugin's manifest is not registered
            return
        for name in type(values).model_fields:
            self._links.add(getattr(values.events, name), self._note)

    def close(self) -> None:
        """Listen no longer."""
        self._links.clear()
        self._due.clear()

    def _note(self, event: Any) -> None:
        if not _remembering.get():
            self._due.add(event.type)
            self._later(self._tell, _TYPING_MS)

    def _tell(self) -> None:
        names, self._due = frozenset(self._due), set()
        if names:
            self._changed(read_settings(), names)


def _colours(text: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Return colours "#rrggbb" of a line; the usual one in the place of each that is none."""
    given = re.split(r"[\s,;]+", str(text).strip().lower())
    wanted = [*given[: len(usual)], *usual[len(given) :]]
    return tuple(
        one if re.fullmatch(r"#[0-9a-f]{6}", one) else known for one, known in zip(wanted, usual, strict=True)
    )


def _folder(text: str) -> Path | None:
    """Return the folder that a line of the preferences names; None for an empty one."""
    folder = str(text).strip()
    return Path(folder).expanduser() if folder else None
