"""What is chosen about a stack: which axis leads through it, in which direction, within which limits. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, get_args

from napari.layers import Image
from psygnal import Signal

from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import spatial_shape
from napari_segany.widgets.stack_line import StackLine, default_axis

Direction = Literal["both", "forwards", "backwards", "between"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


class StackChoices:
    """The choices of one session; they emit `changed`.

    Attributes
    ----------
    direction : str
        Where to go from the prompted slices: "both" ways, "forwards", "backwards", or only "between" them.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.direction: Direction = "both"
        self._settings = PropagationSettings()
        self._axis: int | None = None
        self._is_time: bool | None = None
        self._image: Image | None = None
        self._plane: Plane | None = None

    def turn_to(self, image: Image | None, plane: Plane | None) -> None:
        """Take note of the shown plane; another image has its own axes."""
        if image is not self._image:
            self._axis = self._is_time = None
        self._image, self._plane = image, plane
        self.changed.emit()

    # ------------------------------------------------------------------- the axis

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes that lead from slice to slice: those that are not displayed and are longer than 1."""
        if self._image is None or self._plane is None:
            return ()
        shape = spatial_shape(self._image)
        return tuple(axis for axis in self._plane.hidden if shape[axis] > 1)

    @property
    def axis(self) -> int | None:
        """The axis that is gone along; None where there is no stack."""
        axes = self.axes
        if self._axis in axes:
            return self._axis
        default = None if self._plane is None else default_axis(self._plane)
        return default if default in axes else next(iter(axes[::-1]), None)

    @axis.setter
    def axis(self, axis: int) -> None:
        if axis not in self.axes:
            allowed = ", ".join(map(str, self.axes)) or "none: the image is no stack"
            raise ValueError(f"axis {axis} does not lead from slice to slice here; allowed: {allowed}")
        self._axis, self._is_time = axis, None
        self.changed.emit()

    def axis_name(self, axis: int) -> str:
        """Return what people call an axis."""
        label = "" if self._image is None else str(self._image.axis_labels[axis])
        return f"axis {axis}" if not label or label.lstrip("-").isdigit() else f"axis {axis}: {label}"

    @property
    def line(self) -> StackLine | None:
        """The slices before and behind the shown one."""
        axis = self.axis
        if axis is None or self._image is None or self._plane is None:
            return None
        return StackLine.through(self._plane, axis, spatial_shape(self._image))

    # ---------------------------------------------------------------- how to carry

    @property
    def is_time(self) -> bool:
        """Whether the slices are time points: objects may divide, and a Tracks layer shows their ways.

        Where it was not set, the name and the unit of the axis tell.
        """
        return self._axis_is_time() if self._is_time is None else self._is_time

    @is_time.setter
    def is_time(self, on: bool) -> None:
        self._is_time = bool(on)
        self.changed.emit()

    def _axis_is_time(self) -> bool:
        axis = self.axis
        if axis is None or self._image is None:
            return False
        name = str(self._image.axis_labels[axis]).lower()
        return name in ("t", "time", "frame", "frames") or "[time]" in self._image.units[axis].dimensionality

    @property
    def settings(self) -> PropagationSettings:
        """Limits and all else that the engine takes; `direction` and `is_time` are put in by themselves."""
        return self._settings

    @settings.setter
    def settings(self, settings: PropagationSettings) -> None:
        self._settings = settings
        self.changed.emit()

    # ---------------------------------------------------------------- kept in sessions

    def saved(self) -> dict[str, Any]:
        """Return what was chosen as plain values."""
        return {
            "direction": self.direction,
            "axis": self._axis,
            "is_time": self._is_time,
            "settings": asdict(self._settings),
        }

    @staticmethod
    def checked_settings(saved: Mapping[str, Any]) -> PropagationSettings | None:
        """Return the limits that `saved` returned; None where there are none.

        Raises
        ------
        ValueError
            For limits that are none.
        """
        settings = saved.get("settings")
        if not isinstance(settings, Mapping):
            return None
        try:
            return PropagationSettings(**settings)
        except TypeError:
            raise ValueError(f"the limits of the stack are others than are known: {dict(settings)}") from None

    def put_back(self, saved: Mapping[str, Any]) -> None:
        """Choose what was chosen, as far as it is known here; what is not, stays as it is.

        Raises
        ------
        ValueError
            For limits that are none.
        """
        self._settings = self.checked_settings(saved) or self._settings
        self.direction = next((one for one in DIRECTIONS if one == saved.get("direction")), self.direction)
        axis, is_time = saved.get("axis"), saved.get("is_time")
        self._axis = axis if isinstance(axis, int) else self._axis
        self._is_time = is_time if isinstance(is_time, bool) else self._is_time
        self.changed.emit()
