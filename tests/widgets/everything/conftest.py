"""Sessions that segment everything on drawn discs."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.everything.scene import DISCS, SHAPE, SIDE

from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.progress_runner import SynchronousRunner


@pytest.fixture
def finder(discs):
    return discs.DiscFinder()


@pytest.fixture
def image(discs):
    return discs.disc_image(SHAPE, DISCS)


@pytest.fixture
def session(viewer, finder) -> EverythingSession:
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder)
    session.change(points_per_side=SIDE, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    return session


@pytest.fixture
def flat(session, viewer, image):
    session.choose_image(viewer.add_image(image, name="flat"))
    return session


@pytest.fixture
def found(flat):
    flat.run()
    return flat


@pytest.fixture
def stack(session, viewer, discs):
    planes = [
        discs.disc_image(SHAPE, DISCS[:2]),
        np.zeros(SHAPE, np.uint8),
        discs.disc_image(SHAPE, DISCS[2:]),
    ]
    viewer.add_image(np.stack(planes), name="stack", contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 2)
    session.choose_image(viewer.layers[0])
    return session
