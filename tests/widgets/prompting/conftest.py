"""Sessions with an image to prompt on."""

from __future__ import annotations

import pytest
from tests.widgets.prompting.scene import FLAT, STACK


@pytest.fixture
def flat(session, viewer):
    session.choose_image(viewer.add_image(FLAT, name="flat"))
    return session


@pytest.fixture
def stack(session, viewer):
    viewer.add_image(STACK, name="stack", contrast_limits=(0, 5))
    viewer.dims.set_current_step(0, 2)
    session.choose_image(viewer.layers[0])
    return session
