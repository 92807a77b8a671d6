"""When and how objects go on from slice to slice: every knob of propagation, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

Direction = Literal["both", "forwards", "backwards"]
Between = Literal["meet", "best"]

DIRECTIONS: tuple[str, ...] = get_args(Direction)
BETWEEN: tuple[str, ...] = get_args(Between)


@dataclass(frozen=True)
class PropagationSettings:
    """Settings of propagation.

    Attributes
    ----------
    direction : str
        "both", "forwards" (to higher slices) or "backwards" from each prompted slice.
    between : str
        What happens between two prompted slices of an object. "meet": each goes half of the way; where one stops, the
        other one goes on. "best": both go all the way, and on each slice the mask of higher predicted IoU is kept.
    min_overlap : float
        Least IoU of a mask with that of the slice before, 0 to 1; under it the object stops there.
    min_predicted_iou : float
        Least predicted IoU; under it the object stops.
    min_predicted_share : float
        Least predicted IoU as a part of the highest that the object has had on its way, 0 to 1. Models differ in how
        high they predict; where the object is gone they predict less than before, and answer all the same.
    min_area : int
        Least pixels of a mask; under it the object has vanished.
    max_shared : float
        IoU with the mask of another object from which both are taken for the same thing: the one that has gone
        astray stops. 1 lets all go on.
    use_box, use_mask : bool
        What of a mask becomes the prompt of the next slice: its box, its low-resolution logits, or both. Not every
        model answers logits alone; `light` does not.
    box_margin : float
        How far the box reaches beyond the mask, as a part of its sides: how far an object may move or grow.
    divisions : bool
        Whether objects may divide on the way forwards (time); the two parts go on as objects of their own. In a
        volume (z) the parts of a branching object belong together: leave it off.
    division_gap : float
        Least distance of the two things that an object has divided into, in pixels.
    division_share : float
        Least size of each of the two, as a part of the pixels of the undivided mask.

    Raises
    ------
    ValueError
        For a value out of its range.
    """

    direction: Direction = "both"
    between: Between = "meet"
    min_overlap: float = 0.5
    min_predicted_iou: float = 0.5
    min_predicted_share: float = 0.8
    min_area: int = 1
    max_shared: float = 0.6
    use_box: bool = True
    use_mask: bool = True
    box_margin: float = 0.1
    divisions: bool = False
    division_gap: float = 2.0
    division_share: float = 0.2

    def __post_init__(self) -> None:
        """Check every value."""
        self._check_choice("direction", DIRECTIONS)
        self._check_choice("between", BETWEEN)
        for name, low, high in (
            ("min_overlap", 0.0, 1.0),
            ("min_predicted_iou", -math.inf, math.inf),
            ("min_predicted_share", 0.0, 1.0),
            ("min_area", 1.0, math.inf),
            ("max_shared", 0.0, 1.0),
            ("box_margin", 0.0, 10.0),
            ("division_gap", 1.0, math.inf),
            ("division_share", 0.0, 0.5),
        ):
            self._check_number(name, low, high)
        if not (self.use_box or self.use_mask):
            raise ValueError("use_box and use_mask are both off; the next slice needs one of them as its prompt")

    def _check_choice(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}")

    def _check_number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        kinds = {field.name: field.type for field in fields(self)}
        if kinds[name] == "int" and value != int(value):
            raise ValueError(f"{name} is {value!r}; give a whole number")
        if not low <= value <= high:
            raise ValueError(f"{name} is {value!r}; give a number from {low:g} to {high:g}")
