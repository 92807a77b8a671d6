"""Sessions with `light` on crops of real coins, in a file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers._source import layer_source
from skimage.data import coins

from napari_segany.widgets.catalogue import predictor_loader
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


@pytest.fixture(scope="module")
def light():
    return predictor_loader(None)("light", "cpu")


@pytest.fixture
def image_file(tmp_path):
    """Three crops of real coins as a stack, in a file."""
    picture = coins()
    crops = [picture[:140, :160], picture[40:180, 30:190], picture[:140, 100:260]]
    tifffile.imwrite(tmp_path / "coins.tif", np.stack(crops), photometric="minisblack")
    return tmp_path / "coins.tif"


@pytest.fixture
def begin(light, image_file):
    """Begin a session; `layer` makes the image's layer, by default from the file."""

    def begin(*, with_image=True, model=light, layer=None):
        viewer = ViewerModel()
        session = PromptSession(viewer, SynchronousRunner(), lambda name, device: model, device="cpu")
        if layer is not None:
            session.choose_image(viewer.add_layer(layer))
        elif with_image:
            with layer_source(path=str(image_file)):
                session.choose_image(viewer.add_image(tifffile.imread(image_file), name="coins"))
        return session

    return begin
