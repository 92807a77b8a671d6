"""Stacks of squares, an oracle that notes what it is asked, and how to ask it."""

from __future__ import annotations

import numpy as np

from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation import correct_steps, propagate_steps
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import SlicePrompt
from napari_segany.evaluation.propagation_oracle import Oracle

SIDE = 64


class SpyOracle(Oracle):
    """Counts questions, and predicts what it is told to for single slices and objects."""

    def __init__(self, labels, parents=None, predicted=None):
        super().__init__(labels, parents)
        self.questions: list[tuple[int, int | None, bool]] = []
        self.asked_for: list[int] = []
        self.predicted = predicted or {}
        self.at = -1

    def embeddings(self, index):
        self.asked_for.append(index)
        embedding = yield from super().embeddings(index)
        self.at = index
        return embedding

    def answer(self, embedding, prompt, *, multimask=None):
        self.questions.append((self.at, prompt.batch_size, prompt.mask is not None))
        answer = super().answer(embedding, prompt, multimask=multimask)
        for place, mask in enumerate(answer.masks[:, 0]):
            number = int(self._labels[self.at][mask].max(initial=0))
            answer.predicted_iou[place] = self.predicted.get((number, self.at), answer.predicted_iou[place, 0])
        return answer


def squares(count, *objects):
    """Draw (number, top, left, side, slices) as squares on `count` slices."""
    labels = np.zeros((count, SIDE, SIDE), np.uint32)
    for number, top, left, side, slices in objects:
        for index in slices:
            labels[index, top : top + side, left : left + side] = number
    return labels


def point(number, index, row, col, label=1):
    prompt = Prompt.checked([(row, col)], [label], image_shape=(SIDE, SIDE))
    return SlicePrompt(number, index, prompt)


def run(oracle, prompts, **changes):
    count = len(oracle._labels)
    return drain(propagate_steps(oracle, oracle.embeddings, prompts, count, PropagationSettings(**changes)))


def correct(oracle, before, prompt, **changes):
    return drain(correct_steps(oracle, oracle.embeddings, before, prompt, PropagationSettings(**changes)))


def origins(found, number=1):
    return {mask.slice_index: mask.origin for mask in found.masks_of(number)}
