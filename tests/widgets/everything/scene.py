"""What there is to find when everything is segmented: discs, and how to recognise them."""

from __future__ import annotations

import numpy as np

SHAPE = (96, 128)
# row, col, radius, level: a cell (150) with a nucleus (240) in it, and two cells apart (200 and 230)
DISCS = ((30, 30, 18, 150), (30, 30, 8, 240), (70, 100, 10, 200), (20, 100, 10, 230))

SIDE = 6
"""Points along each side that the sessions of these tests ask."""


def overlap(first, second) -> float:
    return (first & second).sum() / (first | second).sum()


def label_of(session, discs, number, shape=SHAPE) -> int:
    """The label of the object that is this disc, whole."""
    truth = discs.disc_mask(shape, *DISCS[number][:3])
    (label,) = [label for label, one in session.objects.items() if overlap(one.record.mask, truth) > 0.8]
    return label


def disc_like(shape):
    """Return (H, W) labels of one disc."""
    rows, cols = np.indices(shape)
    return (np.hypot(rows - 20, cols - 100) <= 20).astype(int)
