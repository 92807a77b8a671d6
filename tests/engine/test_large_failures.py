"""What costs one tile, and what ends the run: with a model that is loaded when the first tile needs it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.model_source import LoadedModel
from napari_segany.engine.large.job import ImageAtHand
from napari_segany.engine.large.run import large_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import lazy_image

SETTINGS = AutomaticSettings(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0)
PIXELS = np.random.default_rng(0).integers(0, 256, (100, 100), np.uint8)


def run(model, folder):
    image = ImageAtHand(lazy_image(PIXELS))
    return drain(large_steps(image, "big", folder, model, SETTINGS, tiling=TilingSettings(side=64)))


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError, MemoryError])
def test_what_the_model_says_of_one_tile_costs_that_tile(predictor, tmp_path, monkeypatch, error):
    compute, seen = Predictor.compute_steps, []

    def compute_steps(self, image, **options):
        seen.append(image)
        if len(seen) == 2:
            raise error("an error\nof torch")
        return (yield from compute(self, image, **options))

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    result = run(LoadedModel(predictor), tmp_path)
    (sentence,) = result.failed
    assert sentence.startswith("tile ")
    assert sentence.endswith(": an error of torch")
    assert len(seen) == result.tiles > 2
    mended = run(LoadedModel(predictor), tmp_path)
    assert mended.failed == ()
    assert mended.reused == mended.tiles - 1


class Unloadable(LoadedModel):
    """A model whose weights have gone since they were hashed."""

    def load(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(2, "No such file", "weights"), FileNotFoundError),
        (ValueError("the weights are damaged"), ValueError),
        (RuntimeError("no kernel image is available"), ValueError),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_run(predictor, tmp_path, error, expected):
    model = Unloadable(predictor)
    object.__setattr__(model, "error", error)
    with pytest.raises(expected, match=r"No such file|damaged|the model cannot be loaded: no kernel image"):
        run(model, tmp_path)
