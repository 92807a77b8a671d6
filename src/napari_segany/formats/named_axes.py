"""The axes of an image by their names, and what is cut out of it: one plane, or a stack. Knows numpy, no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.plane_choice import PlaneChoice

Limits = tuple[float, float]
Place = tuple[int | slice, ...]

ROW, COLUMN, CHANNEL = "y", "x", "c"


@dataclass(frozen=True, eq=False)
class NamedAxes:
    """Arrays whose axes have names. Three or four channels are colours unless one of them is chosen.

    Attributes
    ----------
    levels : tuple of array
        Full resolution first; sliced like numpy arrays.
    names : tuple of str
        Of their axes, "y", "x", "c", ...
    windows : tuple of ((float, float) or None)
        The intensities between which the file wants each channel shown, as far as it says so.
    """

    levels: tuple[Any, ...]
    names: tuple[str, ...]
    windows: tuple[Limits | None, ...] = ()

    @classmethod
    def of(cls, levels: Sequence[Any], names: Sequence[str] | None = None) -> NamedAxes:
        """Return arrays whose axes may have no names: the last ones are rows, columns and perhaps colours then."""
        if names is None:
            shape = levels[0].shape
            has_colours = len(shape) > 2 and shape[-1] in (3, 4)
            names = [f"axis{axis}" for axis in range(len(shape))]
            names[-3 if has_colours else -2 :] = [ROW, COLUMN, CHANNEL] if has_colours else [ROW, COLUMN]
        return cls(tuple(levels), tuple(names))

    @property
    def others(self) -> dict[str, int]:
        """The lengths of all axes but rows and columns."""
        shape = self.levels[0].shape
        return {name: side for name, side in zip(self.names, shape, strict=True) if name not in (ROW, COLUMN)}

    def plane(self, choice: PlaneChoice | None = None) -> LazyImage:
        """Return one plane, whose pixels are read later; axes of length 1 need no choice.

        Raises
        ------
        ValueError
            For a stack without a choice on each axis, or a plane that is not there.
        """
        places = self._places(choice)
        if left := self._left(places):
            axes, example = _shown(left), ",".join(f"{name}=0" for name in left)
            in_segment = " and `segany segment --slice 0` do" if len(left) == 1 else " does"
            raise ValueError(
                f"it is a stack along {axes}; choose one plane, as `segany everything --plane {example}`{in_segment}"
            )
        place = self._place(places)
        colours = self._colours(places)
        if colours is None or colours == len(self.names) - 1:
            whole = all(isinstance(part, slice) for part in place)
            return LazyImage(self.levels, () if whole else place)
        return LazyImage(tuple(ChannelsLast(array, place, colours) for array in self.levels))

    def planes(self, choice: PlaneChoice | None = None) -> Iterator[PlaneChoice]:
        """Return the choices of all planes that a choice leaves open, in their order.

        Raises
        ------
        ValueError
            For a plane that is not there.
        """
        places = self._places(choice)
        left = self._left(places)
        ordered = [name for name in self.names if name in places or name in left]
        for numbers in product(*(range(side) for side in left.values())):
            whole = {**places, **dict(zip(left, numbers, strict=True))}
            yield PlaneChoice(tuple((name, whole[name]) for name in ordered))

    def stack(self, choice: PlaneChoice | None = None) -> NDArray[np.generic]:
        """Read the planes along the one axis that a choice leaves open: (Z, H, W), or (Z, H, W, 3 or 4) of colours.

        Raises
        ------
        ValueError
            Where no axis is left, or more than one; for a plane that is not there.
        """
        places = self._places(choice)
        left = self._left(places)
        if len(left) != 1:
            what = f"{_shown(left)} are left" if left else f"none is left of {_shown(self.others)}"
            raise ValueError(
                f"a stack goes along one axis, and {what}; choose a place on all but one, as in --plane c=1"
            )
        (along,) = left
        place = self._place({name: at for name, at in places.items() if name != along}, along)
        kept = [name for name, part in zip(self.names, place, strict=True) if isinstance(part, slice)]
        order = [along, ROW, COLUMN, *([CHANNEL] if self._colours(places) is not None else [])]
        pixels = np.asarray(self.levels[0][place])
        return pixels.transpose([kept.index(name) for name in order])

    def at_first(self, choice: PlaneChoice, kept: str | None = None) -> PlaneChoice:
        """Return the first plane of the stack that a plane lies in; on the kept axis it is that of the choice."""
        places = self._places(choice)
        return PlaneChoice(tuple((name, at if name == kept else 0) for name, at in places.items()))

    def window(self, choice: PlaneChoice) -> Limits | None:
        """Return the intensities between which the file wants the channel of a plane shown, where it says so."""
        channel = self._places(choice).get(CHANNEL, len(self.windows))
        return self.windows[channel] if channel < len(self.windows) else None

    def with_windows(self, windows: Sequence[Limits | None]) -> NamedAxes:
        """Return the same with the intensities between which the channels are to be shown."""
        return replace(self, windows=tuple(windows))

    def _places(self, choice: PlaneChoice | None) -> dict[str, int]:
        """Return the position on each axis that a choice names."""
        if choice is None:
            return {}
        is_unnamed = any(name == "" for name, _ in choice.places)
        return choice.along(self._slices if is_unnamed else self.others)

    @property
    def _slices(self) -> dict[str, int]:
        """The axes that count planes where no channel is chosen."""
        return {name: side for name, side in self.others.items() if name != CHANNEL or not self._has_colours}

    @property
    def _has_colours(self) -> bool:
        return self.others.get(CHANNEL) in (3, 4)

    def _left(self, places: dict[str, int]) -> dict[str, int]:
        """Return the axes that are longer than 1 and on which no position is chosen."""
        return {name: side for name, side in self._slices.items() if side > 1 and name not in places}

    def _colours(self, places: dict[str, int]) -> int | None:
        """Return which axis holds colours."""
        return self.names.index(CHANNEL) if self._has_colours and CHANNEL not in places else None

    def _place(self, places: dict[str, int], along: str | None = None) -> Place:
        """Return what cuts a plane, or the stack along an axis, out of each level."""
        kept = {self.names.index(ROW), self.names.index(COLUMN), self._colours(places)}
        return tuple(
            slice(None) if axis in kept or name == along else places.get(name, 0)
            for axis, name in enumerate(self.names)
        )


class ChannelsLast:
    """An array (3 or 4, H, W) that is sliced as (H, W, 3 or 4)."""

    def __init__(self, data: Any, place: tuple[int | slice, ...], channels: int) -> None:
        self._data, self._place, self._channels = data, place, channels
        spatial = [side for side, part in zip(data.shape, place, strict=True) if isinstance(part, slice)]
        kept = [side for axis, side in enumerate(spatial) if axis != self._axis]
        self.shape = (*kept, data.shape[channels])
        self.dtype = np.dtype(data.dtype)
        self.ndim = 3

    @property
    def _axis(self) -> int:
        """Which of the kept axes holds the channels."""
        return sum(isinstance(part, slice) for part in self._place[: self._channels])

    def __getitem__(self, window: tuple[Any, ...]) -> NDArray[np.generic]:
        """Return a window, channels last."""
        parts = iter((*window, slice(None), slice(None))[:2])
        place = tuple(
            slice(None) if axis == self._channels else next(parts) if isinstance(part, slice) else part
            for axis, part in enumerate(self._place)
        )
        pixels = np.moveaxis(np.asarray(self._data[place]), self._axis, -1)
        return pixels[(slice(None), slice(None), *window[2:])]


def _shown(lengths: dict[str, int]) -> str:
    return ", ".join(f"{name} ({side})" for name, side in lengths.items()) or "a single plane"
