"""Tracks: positions, order, and what napari itself makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.propagation_tracks import track_table, tracks_of
from napari_segany.engine.propagation_values import Division, Propagation, SliceMask
from napari_segany.formats.record import MaskRecord


@pytest.fixture
def propagation() -> Propagation:
    """Object 1 moves by a column per time point and divides; the mask of child 5 is nowhere."""

    def mask(number, index, top, left, predicted=0.5):
        pixels = np.zeros((20, 30), bool)
        pixels[top : top + 3, left : left + 4] = True
        return SliceMask(number, index, 0, MaskRecord.from_mask(pixels, predicted_iou=predicted))

    slices = {
        0: (mask(1, 0, 2, 2, None), mask(9, 0, 10, 10)),
        1: (mask(1, 1, 2, 3),),
        2: (mask(3, 2, 0, 0), mask(4, 2, 5, 5), mask(9, 2, 10, 12)),
    }
    return Propagation((3, 20, 30), (), slices, divisions=(Division(1, (3, 4), 2), Division(4, (5, 6), 2)))


def test_by_hand(propagation):
    tracks = tracks_of(propagation)
    np.testing.assert_allclose(
        tracks.data,
        [(1, 0, 3, 3.5), (1, 1, 3, 4.5), (3, 2, 1, 1.5), (4, 2, 6, 6.5), (9, 0, 11, 11.5), (9, 2, 11, 13.5)],
    )
    assert tracks.graph == {3: [1], 4: [1]}
    assert tracks.features["area"].tolist() == [12] * 6
    np.testing.assert_array_equal(tracks.features["predicted_iou"], [np.nan, 0.5, 0.5, 0.5, 0.5, 0.5])
    table = track_table(tracks)
    assert table["track_id"].tolist() == [1, 1, 3, 4, 9, 9]
    assert table["parent"].tolist() == [0, 0, 1, 1, 0, 0]
    assert tracks_of(Propagation((3, 20, 30), ())).data.shape == (0, 4)


def test_napari_takes_them(propagation):
    from napari.layers import Tracks

    tracks = tracks_of(propagation)
    layer = Tracks(tracks.data, graph=tracks.graph, features=tracks.features)
    np.testing.assert_array_equal(layer.data, tracks.data)
    assert layer.graph == tracks.graph
    assert layer.features["area"].tolist() == [12] * 6
