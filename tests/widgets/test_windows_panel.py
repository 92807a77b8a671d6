"""What the part "Large image" says of prepared embeddings."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_segany.engine import tiling
from napari_segany.engine.batch.sources import BatchImage, FileSource
from napari_segany.engine.cache_manifest import read_manifest
from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.cache_precompute import embed_steps
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession
from napari_segany.widgets.windows_panel import WindowsPanel

TINY = SamConfig(
    image_size=128,
    encoder=ViTConfig(embed_dim=32, depth=1, num_heads=2, window_size=4, global_attn_indexes=()),
)
PIXELS = np.random.default_rng(0).integers(100, 4000, (300, 200)).astype(np.uint16)


@pytest.fixture
def places(tmp_path) -> CachePlaces:
    """Where a prepared folder is, and nothing is kept besides."""
    return CachePlaces(limit=0, prepared=tmp_path / "prepared")


@pytest.fixture
def predictor(tmp_path, places, monkeypatch):
    """A model and the folder in which the windows of a multiscale zarr were prepared for it."""
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    torch.manual_seed(0)
    sam = build_sam(TINY)
    path = tmp_path / "slide.zarr"
    group = zarr.open_group(path, mode="w")
    for number, level in enumerate((PIXELS, PIXELS[::2, ::2] // 2 + 1000)):
        group.create_array(str(number), data=level)
    image = BatchImage(FileSource(path, path.name), path.name, path.name)
    assert not drain(embed_steps([image], places.prepared, Predictor(sam, device="cpu"))).failed
    return Predictor(sam, device="cpu", cache=places.open())


@pytest.fixture
def image(viewer, tmp_path, predictor):
    """The layer of that zarr."""
    levels = [dask.array.from_zarr(tmp_path / "slide.zarr", component=name) for name in "01"]
    return viewer.add_image(levels, multiscale=True)


def test_that_nothing_prepared_fits_is_said_with_the_limits_of_what_is_there(
    viewer, image, predictor, places, qtbot, monkeypatch
):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    panel = WindowsPanel(session.windows, places)
    qtbot.addWidget(panel)
    session.choose_image(image)
    session.compute_embedding()
    limits = image.contrast_limits
    assert panel.note.text().startswith("6 windows are ready. "), "all that were prepared"
    error = max(record.relative_error for record in read_manifest(places.prepared))
    assert panel.note.text().endswith(
        f"Half precision, in which embeddings are kept, changes this one by {error:.1e}."
    )
    encoded = []
    compute = Predictor.compute_steps

    def compute_steps(self, pixels, **options):
        encoded.append(pixels.shape)
        return (yield from compute(self, pixels, **options))

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    session.add_point((100, 90))
    assert len(session.candidates) == 3
    assert encoded == [], "what was prepared is found"

    image.contrast_limits = (1200, 2000)
    session.compute_embedding()
    made = f"{limits[0]:g} to {limits[1]:g}"
    assert (
        "Nothing prepared fits the image as it is shown. The image was prepared with the contrast limits "
        f"{made}; here they are 1200 to 2000."
    ) in panel.note.text()
    assert "Half precision" not in panel.note.text(), "they were encoded here, and are kept nowhere"
    image.contrast_limits = limits
    session.compute_embedding()
    assert "prepared" not in panel.note.text()


def test_of_an_image_that_is_not_large_it_is_said_too(viewer, tmp_path, qtbot):
    torch.manual_seed(0)
    sam, places = build_sam(TINY), CachePlaces(limit=0, prepared=tmp_path / "prepared")
    tifffile.imwrite(tmp_path / "small.tif", PIXELS)
    image = BatchImage(FileSource(tmp_path / "small.tif", "small.tif"), "small", "small.tif")
    drain(embed_steps([image], places.prepared, Predictor(sam, device="cpu")))
    predictor = Predictor(sam, device="cpu", cache=places.open())
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    panel = WindowsPanel(session.windows, places)
    qtbot.addWidget(panel)
    layer = viewer.add_image(PIXELS)
    session.choose_image(layer)
    session.compute_embedding()
    (record,) = read_manifest(places.prepared)
    said = f"changes this one by {record.relative_error:.1e}."
    assert 0 < record.relative_error < 1e-3
    assert panel.note.text().endswith(said)
    assert "prepared" not in panel.note.text()
    low, high = layer.contrast_limits
    layer.contrast_limits = (1200, 2000)
    session.compute_embedding()
    assert panel.note.text().endswith(
        "Nothing prepared fits the image as it is shown. The image was prepared with the contrast limits "
        f"{low:g} to {high:g}; here they are 1200 to 2000."
    )
    layer.contrast_limits = (low, high)
    session.compute_embedding()
    assert panel.note.text().endswith(said)
