"""Segmenting everything with the engine's own predictor and a small model of random weights: they fit together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.predictor import Predictor
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.progress_runner import SynchronousRunner

TINY = SamConfig(
    image_size=128,
    encoder=ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=4, global_attn_indexes=(1,)),
)
# The widget begins with a preset: what it and the generator differ in by themselves is set here too.
SETTINGS = {
    "points_per_side": 3,
    "crop_n_layers": 1,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 0.7,
    "min_mask_region_area": 0,
    "max_mask_area_fraction": 0.95,
}


@pytest.mark.parametrize("prepared", [True, False])
def test_the_objects_are_what_the_generator_finds(viewer, prepared):
    torch.manual_seed(0)
    predictor = Predictor(build_sam(TINY), device="cpu")
    image = np.random.default_rng(0).normal(500, 100, (2, 60, 90)).astype(np.float32)
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(viewer.add_image(image, contrast_limits=(300, 700)))
    session.change(**SETTINGS)
    if prepared:
        session.prepare()
        assert session.estimate().seconds > 0
    session.run()
    plane = image[session.plane.index[0]]
    expected = AutomaticMaskGenerator(predictor, **SETTINGS).generate(plane, contrast_limits=(300, 700))
    assert len(expected) > 0
    assert {record.rle for record in session.editor.records} == {record.rle for record in expected}
