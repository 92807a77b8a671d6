from __future__ import annotations

import numpy as np
import pytest

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks
from napari_segany.widgets.similar_masks import layer_of_masks, masks_of, objects_on, taken_pixels

LABELS = np.zeros((3, 6, 8), np.uint8)
LABELS[1, 1:3, 1:4], LABELS[1, 4, 5:], LABELS[2, 0, 0] = 1, 2, 3
SECOND = Plane((1, 2), (1,))


@pytest.fixture
def image(viewer):
    return viewer.add_image(np.zeros(LABELS.shape))


@pytest.fixture
def found(viewer, image):
    """A layer with the masks of the second slice behind it."""
    masks = tuple(KeptMask(label, MaskRecord.from_mask(LABELS[1] == label)) for label in (1, 2))
    kept = KeptMasks({(1,): masks}, "smaller", "image")
    return viewer.add_labels(LABELS.copy(), metadata={MASKS_KEY: kept})


def test_objects_and_pixels_are_those_of_the_plane(found, image):
    chosen = objects_on(found, (1, 3), SECOND)
    assert len(chosen) == 1, "the other one is on another slice"
    np.testing.assert_array_equal(chosen[0].mask, LABELS[1] == 1)
    np.testing.assert_array_equal(taken_pixels(found, image, SECOND), LABELS[1] > 0)
    assert taken_pixels(None, image, SECOND).shape == (6, 8)
    assert not taken_pixels(None, image, SECOND).any()


def test_the_layer_of_masks_fits_the_image_and_has_some_on_the_plane(found, image, viewer):
    assert layer_of_masks(viewer, image, SECOND) is found
    assert layer_of_masks(viewer, image, Plane((1, 2), (2,))) is None
    assert layer_of_masks(viewer, image, Plane((0, 1), (1,))) is None, "they are of slices along the first axis"
    above = viewer.add_labels(LABELS.copy(), metadata=found.metadata)
    assert layer_of_masks(viewer, image, SECOND) is above
    above.translate = (0, 5, 0)
    assert layer_of_masks(viewer, image, SECOND) is found


def test_masks_that_were_erased_from_the_layer_are_not_compared(found):
    read, about = masks_of(found, SECOND)
    assert masks_of(found, SECOND)[1] == about
    assert [record.area for record in read()] == [6, 3]
    found.data[1][LABELS[1] == 2] = 0
    assert len(read()) == 2, "it was read before"
    read, others = masks_of(found, SECOND)
    assert [record.area for record in read()] == [6]
    assert others != about, "what is known of the masks of before does not serve"
