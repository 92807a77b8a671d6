"""One propagation under way: fronts that go from slice to slice, many objects in one question per slice.

A front stands on the last slice that an object has reached in one direction. Forwards and backwards take turns, so
that slices near the prompts come first; the front furthest behind goes first, so that fronts come together and are
asked about at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, zip_longest
from types import MappingProxyType

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.propagation_asking import Answer, Answerer, ask, given, mask_iou, next_prompt
from napari_segany.engine.propagation_division import DOUBT, division_prompts, is_division, separate_parts
from napari_segany.engine.propagation_plan import Leg, Plan
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import (
    Division,
    Propagation,
    PropagationEnd,
    PropagationProgress,
    Reason,
    SliceMask,
    SlicePrompt,
)

EmbeddingProvider = Callable[[int], Steps[ImageEmbedding]]
"""Returns the embedding of a slice, with its progress: from a cache, computed in advance, or computed now."""

_AHEAD = 8  # slices in each direction that are announced


@dataclass(eq=False)
class _Front:
    """How far an object has got on one leg."""

    leg: Leg
    at: int
    last: int
    answer: Answer
    highest: float = 0.0
    stopped: bool = False

    def __post_init__(self) -> None:
        self.take(self.answer)

    def take(self, answer: Answer) -> None:
        self.answer = answer
        self.highest = max(self.highest, _predicted(answer))

    @property
    def next(self) -> int:
        return self.at + self.leg.step

    @property
    def remaining(self) -> int:
        return 0 if self.stopped else (self.last - self.at) * self.leg.step


@dataclass(frozen=True, eq=False)
class _Step:
    """What a front was answered on the next slice."""

    front: _Front
    answer: Answer
    overlap: float


class Run:
    """The state of one propagation, which `steps` goes through once.

    Parameters
    ----------
    predictor : Answerer
        The model.
    embeddings : EmbeddingProvider
        The slices.
    plan : Plan
        What is asked, where to go, and what stays.
    settings : PropagationSettings
        When to stop.
    new_ids_from : int
        Least number of an object that comes about by division.
    """

    def __init__(
        self,
        predictor: Answerer,
        embeddings: EmbeddingProvider,
        plan: Plan,
        settings: PropagationSettings,
        new_ids_from: int = 1,
    ) -> None:
        self._predictor = predictor
        self._embeddings = embeddings
        self._plan = plan
        self._settings = settings
        kept = plan.kept
        self._masks = {index: {mask.object_id: mask for mask in masks} for index, masks in kept.slices.items()}
        self._ends, self._divisions = list(kept.ends), list(kept.divisions)
        self._fronts: list[_Front] = []
        self._step = 1  # whose turn it is
        self._unasked = list(plan.asked)
        self._total = len(plan.asked) + sum(leg.length for leg in plan.legs)
        used = chain((prompt.object_id for prompt in kept.prompts), kept.object_ids)
        self._next_id = max(new_ids_from, max(used, default=0) + 1)

    def steps(self) -> Steps[Propagation]:
        """Answer the prompts, then go from slice to slice; closing stops before the next question."""
        yield self._progress("Propagating")
        answers: dict[tuple[int, int], Answer] = {}
        for index, group in groupby(self._plan.asked, key=lambda prompt: prompt.slice_index):
            prompts = list(group)
            embedding = yield from self._embedding(index)
            answers |= self._answer_prompts(embedding, prompts)
            self._unasked = self._unasked[len(prompts) :]
            yield self._progress(f"Slice {index}: prompts", changed=index)
        self._set_out(answers)
        while (upcoming := self._next_slice()) is not None:
            index, step = upcoming
            embedding = yield from self._embedding(index)
            self._advance(embedding, index, step)
            self._step = -step
            yield self._progress(f"Slice {index}", changed=index)
        return self._so_far()

    def _embedding(self, index: int) -> Steps[ImageEmbedding]:
        def label(progress: Progress) -> Progress:
            within = f" {progress.done}/{progress.total}" if progress.total else ""
            note = progress.note[:1].lower() + progress.note[1:]
            return replace(state, note=f"Slice {index}: {note}{within}")

        state = self._progress("")
        embedding = yield from relabelled(self._embeddings(index), label)
        shape = self._plan.kept.shape[1:]
        if embedding.image_shape != shape:
            raise ValueError(
                f"the embedding of slice {index} is of an image of {embedding.image_shape} pixels and the stack has "
                f"slices of {shape}; give the embeddings of this stack"
            )
        return embedding

    def _answer_prompts(
        self, embedding: ImageEmbedding, prompts: Sequence[SlicePrompt]
    ) -> dict[tuple[int, int], Answer]:
        """Ask what the user asked on one slice, and keep the masks."""
        asked = [(one, one.prompt) for one in prompts if one.accepted is None and one.prompt is not None]
        found = ask(self._predictor, embedding, [prompt for _, prompt in asked], keep_prompts=True)
        answers = {one.key: answer for (one, _), answer in zip(asked, found, strict=True)}
        answers |= {one.key: given(embedding, one.accepted) for one in prompts if one.accepted is not None}
        for object_id, index in answers:
            record = answers[object_id, index].record
            self._drop_end(object_id, index)
            if record.area >= self._settings.min_area:
                self._masks.setdefault(index, {})[object_id] = SliceMask(object_id, index, index, record)
            else:
                self._ends.append(PropagationEnd(object_id, index, 0, "vanished"))
        return answers

    def _set_out(self, answers: dict[tuple[int, int], Answer]) -> None:
        """Put a front on the origin of every leg; where nothing was found, the one that comes to meet it goes on."""
        self._fronts = [
            _Front(leg, leg.origin, leg.last, answers[leg.object_id, leg.origin]) for leg in self._plan.legs
        ]
        for front in self._fronts:
            if front.answer.record.area < self._settings.min_area:
                self._stop(front)

    def _next_slice(self) -> tuple[int, int] | None:
        """Return the next slice and direction: whose turn it is, and there that of the front furthest behind."""
        for step in (self._step, -self._step):
            waiting = [front.next for front in self._fronts if front.leg.step == step and front.remaining > 0]
            if waiting:
                return (min(waiting) if step == 1 else max(waiting)), step
        return None

    def _advance(self, embedding: ImageEmbedding, index: int, step: int) -> None:
        """Take all fronts that wait at a slice onto it, or stop them."""
        settings = self._settings
        fronts = [f for f in self._fronts if f.leg.step == step and f.remaining > 0 and f.next == index]
        answers = ask(
            self._predictor, embedding, [next_prompt(front.answer, settings) for front in fronts], multimask=False
        )
        steps = [
            _Step(front, answer, mask_iou(front.answer.record, answer.record))
            for front, answer in zip(fronts, answers, strict=True)
        ]
        divided = self._divided(embedding, steps)
        # The most faithful first: of two objects that have run into one, the other one has gone astray.
        for taken in sorted(steps, key=lambda taken: -taken.overlap):
            if taken.front in divided:
                self._divide(taken.front, divided[taken.front], index)
            elif (reason := self._reason(taken, index)) is not None:
                self._stop(taken.front, reason)
            else:
                self._move(taken, index)

    def _reason(self, step: _Step, index: int) -> Reason | None:
        """Return why a front does not go onto a slice, or None where it does."""
        record, settings = step.answer.record, self._settings
        if record.area < settings.min_area:
            return "vanished"
        if step.overlap < settings.min_overlap:
            return "overlap"
        least = max(settings.min_predicted_iou, settings.min_predicted_share * step.front.highest)
        if _predicted(step.answer) < least:
            return "predicted_iou"
        return "taken" if self._is_taken(step, index) else None

    def _is_taken(self, step: _Step, index: int) -> bool:
        """Tell whether another object has this mask; not where the two were alike on the slice before, too."""
        front, limit = step.front, self._settings.max_shared
        if limit == 1:
            return False
        for other_id, other in self._masks.get(index, {}).items():
            if other_id == front.leg.object_id or mask_iou(other.record, step.answer.record) < limit:
                continue
            before = self._masks.get(front.at, {}).get(other_id)
            if before is None or mask_iou(before.record, front.answer.record) < limit:
                return True
        return False

    def _divided(self, embedding: ImageEmbedding, steps: Sequence[_Step]) -> dict[_Front, list[Answer]]:
        """Return the fronts whose object has just divided, with the answers to its two parts."""
        if not self._settings.divisions:
            return {}
        suspects = [
            (step.front, step.answer.record if step.answer.record.area else step.front.answer.record)
            for step in steps
            if step.front.leg.step == 1 and self._is_suspicious(step)
        ]
        asked = [
            (*suspect, prompts) for suspect in suspects if (prompts := division_prompts(suspect[1], self._settings))
        ]
        answers = ask(self._predictor, embedding, [one for *_, prompts in asked for one in prompts], multimask=False)
        pairs = [answers[start : start + 2] for start in range(0, len(answers), 2)]
        return {
            front: pair
            for (front, whole, _), pair in zip(asked, pairs, strict=True)
            if is_division(whole, pair, self._settings)
        }

    def _is_suspicious(self, step: _Step) -> bool:
        """Tell whether a mask has just come apart, or is doubted by the model."""
        if _predicted(step.answer) < DOUBT * step.front.highest:
            return True
        gap, share = self._settings.division_gap, self._settings.division_share
        before, now = (separate_parts(answer.record, gap, share) for answer in (step.front.answer, step.answer))
        return now is not None and before is None

    def _divide(self, front: _Front, answers: Sequence[Answer], index: int) -> None:
        """End an object and begin with its two children on the slice."""
        children = (self._next_id, self._next_id + 1)
        self._next_id += 2
        left = (front.last - index) * front.leg.step
        self._total += left  # two go on where one did
        self._divisions.append(Division(front.leg.object_id, children, index))
        for child, answer in zip(children, answers, strict=True):
            self._masks.setdefault(index, {})[child] = SliceMask(child, index, index, answer.record)
            self._fronts.append(_Front(Leg(child, index, 1, front.last), index, front.last, answer))
        self._stop(front, "divided")

    def _move(self, step: _Step, index: int) -> None:
        """Put a front onto a slice and keep its mask, unless one from the other side is better."""
        front, record = step.front, step.answer.record
        object_id = front.leg.object_id
        front.take(step.answer)
        front.at = index
        masks = self._masks.setdefault(index, {})
        rival = masks.get(object_id)
        if rival is None or (rival.record.predicted_iou or 0.0) < _predicted(step.answer):
            masks[object_id] = SliceMask(object_id, index, front.leg.origin, record, step.overlap)
        self._drop_end(object_id, index)
        self._check_seam(front)

    def _stop(self, front: _Front, reason: Reason | None = None) -> None:
        """Stop a front before its next slice and let the one that comes to meet it go on as far as here."""
        front.stopped = True
        facing = self._facing(front)
        object_id = front.leg.object_id
        if reason is not None and object_id not in self._masks.get(front.next, {}):
            self._ends.append(PropagationEnd(object_id, front.next, front.leg.step, reason))
        if facing is not None and not facing.stopped:
            facing.last = front.next

    def _facing(self, front: _Front) -> _Front | None:
        """Return the front that comes to meet this one."""
        for other in self._fronts:
            same = other.leg.object_id == front.leg.object_id
            if same and (other.leg.origin, other.leg.meets) == (front.leg.meets, front.leg.origin):
                return other
        return None

    def _check_seam(self, front: _Front) -> None:
        """Say so where two fronts have met and their masks do not fit together."""
        facing = self._facing(front)
        if facing is None or front.next != facing.at or not facing.answer.record.area:
            return
        if mask_iou(front.answer.record, facing.answer.record) < self._settings.min_overlap:
            self._ends.append(PropagationEnd(front.leg.object_id, min(front.at, facing.at), 1, "seam"))

    def _drop_end(self, object_id: int, index: int) -> None:
        """Forget that an object stopped before a slice that it has reached after all."""
        self._ends = [
            end
            for end in self._ends
            if end.reason == "seam" or (end.object_id, end.slice_index) != (object_id, index)
        ]

    def _progress(self, note: str, changed: int | None = None) -> PropagationProgress:
        remaining = len(self._unasked) + sum(front.remaining for front in self._fronts)
        if not self._fronts:
            remaining += sum(leg.length for leg in self._plan.legs)
        return PropagationProgress(
            self._total - remaining, self._total, note, changed, self._upcoming(), self._so_far()
        )

    def _upcoming(self) -> tuple[int, ...]:
        """Return the slices that will be asked about next: prompts first, then both directions in turn."""
        asked = dict.fromkeys(prompt.slice_index for prompt in self._unasked)
        ways = {1: set[int](), -1: set[int]()}
        if self._fronts:
            tracks = [(front.leg.step, front.at, front.last) for front in self._fronts if front.remaining > 0]
        else:
            tracks = [(leg.step, leg.origin, leg.last) for leg in self._plan.legs]
        for step, at, last in tracks:
            ways[step].update(range(at + step, last + step, step)[:_AHEAD])
        first, second = sorted(ways[1]), sorted(ways[-1], reverse=True)
        both = zip_longest(first, second) if self._step == 1 else zip_longest(second, first)
        later = (index for pair in both for index in pair if index is not None)
        return tuple(dict.fromkeys(chain(asked, later)))

    def _so_far(self) -> Propagation:
        slices = {
            index: tuple(masks[number] for number in sorted(masks))
            for index, masks in sorted(self._masks.items())
            if masks
        }
        return replace(
            self._plan.kept, slices=MappingProxyType(slices), ends=tuple(self._ends), divisions=tuple(self._divisions)
        )


def _predicted(answer: Answer) -> float:
    """Return the predicted IoU; 0 for a mask that no model made."""
    return answer.record.predicted_iou or 0.0
