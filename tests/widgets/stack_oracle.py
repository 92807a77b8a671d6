"""A predictor that knows the truth because the image is the truth: every grey level is an object's number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import pixel_unshuffle

from napari_segany.engine.embedding import ImageEmbedding
from napari_segany.engine.progress import Progress
from napari_segany.engine.prompts import Prompt
from napari_segany.evaluation.propagation_oracle import Oracle

SIDE = 64


def squares(count, *objects, side=SIDE):
    """Draw (number, top, left, size, slices) as squares on `count` slices, uint8."""
    stack = np.zeros((count, side, side), np.uint8)
    for number, top, left, size, slices in objects:
        for index in slices:
            stack[index, top : top + size, left : left + size] = number
    return stack


@dataclass
class StackOracle:
    """What a session and the engine ask of a predictor; remembers what it encoded."""

    parents: dict[int, int] = field(default_factory=dict)
    name: str = "oracle"
    encoded: list[int] = field(default_factory=list)
    failure: Exception | None = None

    def __post_init__(self):
        self.oracle = Oracle(np.zeros((1, 16, 16), np.uint8), self.parents)

    def encode_steps(self, image, *, contrast_limits=None):
        image = np.asarray(image)
        yield Progress(1, 2, "Computing the image embedding")
        if self.failure is not None:
            raise self.failure
        yield Progress(2, 2, "Computing the image embedding")
        self.encoded.append(int(image.max()))
        truth = torch.from_numpy(image.astype(np.float32))[None, None]
        return ImageEmbedding(pixel_unshuffle(truth, 16), (), image.shape, image.shape, (0.0, 255.0), self.name)

    def answer(self, embedding, prompt, *, multimask=None):
        return self.oracle.answer(embedding, prompt, multimask=multimask)

    def predict(self, embedding, *, points=None, labels=None, box=None, mask=None):
        prompt = Prompt.checked(
            points, labels, box, mask, image_shape=embedding.image_shape, logits_shape=embedding.logits_shape
        )
        return self.answer(embedding, prompt)
