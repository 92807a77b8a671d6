"""Words as a filter of masks: the arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.engine.text_query import TextQuery
from napari_segany.engine.text_ranking import found_by_text, mask_crops, text_scores
from napari_segany.formats.record import MaskRecord


def record(rows, cols):
    mask = np.zeros((40, 60), bool)
    mask[rows, cols] = True
    return MaskRecord.from_mask(mask)


BRIGHT, DARK = record(slice(5, 15), slice(5, 15)), record(slice(20, 30), slice(30, 40))


class Brightness:
    """A CLIP whose only meaning is brightness: the words bright and white are one direction, all others the other."""

    temperature = 2.0

    def words(self, texts):
        return np.array([[1, 0] if text in ("bright", "white") else [0, 1] for text in texts], np.float32)

    def pictures(self, pictures):
        return np.array([[1, 0] if one.max() > 128 else [0, 1] for one in pictures], np.float32)


def image():
    pixels = np.full((40, 60), 10, np.uint8)
    pixels[5:15, 5:15] = 250
    return pixels


def test_probabilities_by_hand():
    query = TextQuery(("bright", "white"), background=("background",))
    scores = drain(text_scores(Brightness(), image(), [DARK, BRIGHT], query))
    high, low = np.exp(2), np.exp(0)
    np.testing.assert_allclose(scores, [2 * low / (2 * low + high), 2 * high / (2 * high + low)])
    assert drain(found_by_text(Brightness(), image(), [DARK, BRIGHT], query)) == [BRIGHT]
    anything = TextQuery(("bright",), threshold=0)
    assert drain(found_by_text(Brightness(), image(), [DARK, BRIGHT], anything)) == [BRIGHT, DARK]
    assert drain(found_by_text(Brightness(), image(), [], query)) == []


def test_crops_are_squares_around_the_mask():
    pixels = np.repeat(image()[..., None], 3, axis=-1)
    whole, alone = mask_crops(pixels, BRIGHT)
    assert whole.shape == alone.shape == (15, 15, 3)
    assert (whole[0, 0, 0], whole[7, 7, 0], alone[0, 0, 0], alone[7, 7, 0]) == (10, 250, 0, 250)
    corner = record(slice(0, 4), slice(56, 60))
    assert mask_crops(pixels, corner)[0].shape == (6, 6, 3)


def test_what_cannot_be_asked_is_told():
    with pytest.raises(ValueError, match="no words"):
        TextQuery((" ",))
    with pytest.raises(ValueError, match="the threshold is 2"):
        TextQuery(("a",), threshold=2)
