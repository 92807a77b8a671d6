"""Two objects in a stack, clicks on its slices, and a propagation that stands still on its way."""

from __future__ import annotations

import numpy as np
from tests.widgets.stack_oracle import squares

from napari_segany.widgets.layers import show_plane

TWO = squares(8, (1, 8, 8, 12, range(8)), (2, 40, 40, 12, range(2, 6)))


def click(session, place, position, label=1):
    """Go to a slice and click."""
    show_plane(session.viewer, session.image, session.stack.choices.line.plane(place))
    session.add_point(position, label)


def labels_of(session):
    """Return the labels, or None while there are none."""
    layer = session.objects.layer
    return None if layer is None else np.asarray(layer.data)


def begun(session, by_hand, slices):
    """Carry the first object from a click on slice 3; return the task, which stands still when so many have it."""
    by_hand.finish_all()
    click(session, 3, (12, 12))
    by_hand.finish_all()
    session.stack.propagate()
    task = by_hand.running[-1]
    while labels_of(session) is None or np.count_nonzero(labels_of(session).any(axis=(1, 2))) < slices:
        task.step()
    return task
