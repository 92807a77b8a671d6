"""How the objects of a session came about: all steps in their order, as JSON. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_segany.formats.json_fields import objects
from napari_segany.formats.session_derived import SavedCarried, SavedSimilar
from napari_segany.formats.session_steps import (
    PlaneMasks,
    SavedAnswer,
    SavedAsking,
    SavedEach,
    SavedPixels,
    planes_from_list,
    planes_to_list,
)

SavedStep = SavedAnswer | SavedEach | SavedCarried | SavedSimilar | SavedPixels


@dataclass(frozen=True)
class SavedLog:
    """All steps, in their order.

    Attributes
    ----------
    start : Mapping
        The objects that were there before the first step, as in `SavedPixels`.
    steps : tuple
        The steps.
    """

    start: PlaneMasks = field(default_factory=dict)
    steps: tuple[SavedStep, ...] = ()

    @property
    def answers(self) -> tuple[SavedAsking, ...]:
        """The steps that a model is asked for again."""
        return tuple(step for step in self.steps if not isinstance(step, SavedPixels) and step.asks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"start": planes_to_list(self.start), "steps": [step.to_dict() for step in self.steps]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SavedLog:
        """Read what `to_dict` returned.

        Raises
        ------
        ValueError, KeyError, TypeError
            For other values.
        """
        kinds: dict[Any, Any] = {
            "answer": SavedAnswer.from_dict,
            "each": SavedEach.from_dict,
            "carried": SavedCarried.from_dict,
            "similar": SavedSimilar.from_dict,
            "pixels": SavedPixels.from_dict,
        }
        steps = objects(values, "steps")
        unknown = [step.get("kind") for step in steps if step.get("kind") not in kinds]
        if unknown:
            raise ValueError(f"a step is of the kind {unknown[0]!r}; known are {', '.join(kinds)}")
        return cls(planes_from_list(values, "start"), tuple(kinds[step["kind"]](step) for step in steps))
