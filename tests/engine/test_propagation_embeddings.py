"""Embeddings of a stack: one grey scale, kept once computed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.image import default_limits
from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.propagation_embeddings import StackEmbeddings, check_stack, stack_limits


class Encoder:
    def __init__(self):
        self.calls = []

    def encode_steps(self, image, *, contrast_limits=None):
        yield Progress(0, 1)
        self.calls.append((float(image.mean()), contrast_limits))
        return np.full(10, image.mean())


def test_slices_share_their_limits_and_are_kept_as_memory_allows():
    stack = np.stack([np.full((4, 5), 100 * index, np.uint16) for index in range(4)])
    encoder = Encoder()
    embeddings = StackEmbeddings(encoder, stack, memory=170)  # two of 80 bytes
    for index in (0, 1, 0, 2, 0, 1):
        assert drain(embeddings(index))[0] == 100 * index
    assert [mean for mean, _ in encoder.calls] == [0, 100, 200, 100]
    assert {limits for _, limits in encoder.calls} == {default_limits(stack.reshape(16, 5))}
    drain(StackEmbeddings(encoder, stack, (5, 10))(3))
    assert encoder.calls[-1] == (300, (5, 10))


def test_colours_and_bytes():
    assert check_stack(np.zeros((6, 4, 5, 3))) == (6, 4, 5)
    assert stack_limits(np.zeros((6, 4, 5, 3), np.uint8)) == (0, 255)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (2, 3, 4, 5), (0, 4, 5), (2, 2, 4, 5, 3)])
def test_what_is_no_stack_is_told(shape):
    with pytest.raises(ValueError, match="allowed are"):
        StackEmbeddings(Encoder(), np.zeros(shape))
