"""An image that is opened again is asked without being encoded: the widgets over the engine's cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from napari.components import ViewerModel

from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress
from napari_segany.model import SamConfig, ViTConfig, build_sam, save_sam
from napari_segany.widgets.catalogue import predictor_loader
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.settings import read_settings

IMAGE = np.random.default_rng(0).normal(500, 100, (3, 60, 90)).astype(np.float32)


@pytest.fixture
def opened(tmp_path):
    """A session of a new viewer that shows the image, as after a new start of napari."""
    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=4, global_attn_indexes=(1,))
    weights = tmp_path / "small.safetensors"
    save_sam(build_sam(SamConfig(image_size=128, encoder=encoder)), weights, dtype=None)

    def open_session(limits=(300, 700), **places) -> PromptSession:
        viewer = ViewerModel()
        load = predictor_loader(None, CachePlaces(**{"folder": tmp_path / "cache", **places}))
        session = PromptSession(viewer, SynchronousRunner(), load, model=str(weights), device="cpu")
        session.choose_image(viewer.add_image(IMAGE, contrast_limits=limits))
        return session

    return open_session


@pytest.fixture
def counted(monkeypatch):
    """How often an image was encoded."""
    calls: list[tuple[int, ...]] = []
    compute = Predictor.compute_steps

    def compute_steps(self, image, **options):
        calls.append(np.shape(image))
        return compute(self, image, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    return calls


def test_the_first_mask_comes_without_encoding(opened, counted, tmp_path):
    session = opened()
    session.add_point((20, 30))
    first = session.candidates
    assert len(first) == 3
    session.close()
    assert (len(counted), len(DiskCache(tmp_path / "cache"))) == (1, 1)
    again = opened()
    states: list[Progress] = []
    again.embedding_changed.connect(lambda state: states.append(state.progress))
    again.add_point((20, 30))
    assert len(counted) == 1
    for one, other in zip(first, again.candidates, strict=True):
        # the processor may round the last digits otherwise: memory is aligned as it comes
        assert (one.mask != other.mask).mean() < 1e-3
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-6)
    again.close()
    other = opened(limits=(300, 701))
    other.add_point((20, 30))
    assert len(counted) == 2, "the model sees other intensities"
    other.close()


def test_without_room_on_the_disk_nothing_is_kept(opened, counted, tmp_path):
    for _ in range(2):
        session = opened(limit=0)
        session.add_point((20, 30))
        assert len(session.candidates) == 3
        session.close()
    assert len(counted) == 2
    assert not (tmp_path / "cache").exists()


def test_the_preferences_say_where_and_how_much():
    from napari.settings import get_plugin_settings

    values = get_plugin_settings("napari-segany").segany
    values.disk_cache_gb, values.disk_cache_dir, values.prepared_dir = 0.5, " ~/cache ", "~/prepared"
    try:
        home = Path.home()
        assert read_settings().places == CachePlaces(home / "cache", 2**29, home / "prepared")
        values.disk_cache_gb = 0
        values.disk_cache_dir = values.prepared_dir = ""
        assert read_settings().places == CachePlaces(limit=0)
    finally:
        values.reset()
    assert read_settings().places == CachePlaces()
