"""Channels of an OME-Zarr that `segany embed --plane` prepared are found by the layers that napari makes of them."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import tifffile
import torch
import zarr
from napari_builtins.io import imread, read_zarr_dataset

from napari_segany.cli.main import main
from napari_segany.engine import tiling
from napari_segany.engine.cache_places import CachePlaces
from napari_segany.engine.predictor import Predictor
from napari_segany.model import SamConfig, ViTConfig, build_sam, save_sam
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SHAPE = (150, 130)
CHANNELS = np.random.default_rng(0).integers(0, 1000, (3, 2, *SHAPE)).astype(np.uint16)
CHANNELS += np.array([0, 3000, 500], np.uint16)[:, None, None, None]  # each has a range of its own
CHANNELS[:, 1] += 100  # and so has each slice
WINDOWS = [{"start": 5, "end": 800}, {"start": 3100, "end": 3900}, {}]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_sam(build_sam(SamConfig(image_size=64, encoder=encoder)), path, dtype=None)
    return path


def ome_zarr(path, data, axes, windows=None):
    """Write two levels, the coarser one of means, as people do."""
    group = zarr.open_group(path, mode="w")
    for level, pixels in enumerate((data, data.reshape(*data.shape[:-2], 75, 2, 65, 2).mean((-3, -1)))):
        group.create_array(str(level), data=pixels.astype(data.dtype))
    datasets = [{"path": "0"}, {"path": "1"}]
    group.attrs["ome"] = {"multiscales": [{"axes": [{"name": name} for name in axes], "datasets": datasets}]}
    if windows is not None:
        channels = [{"window": window} for window in windows]
        group.attrs["ome"] = {**group.attrs["ome"], "omero": {"channels": channels}}
    return path


def opened(viewer, path, axes, channel):
    """Return the layer of a channel as readers for OME-Zarr make it: split along c, with the window of the file."""
    windows = zarr.open_group(path, mode="r").attrs["ome"].get("omero", {"channels": [{"window": {}}] * 3})
    window = windows["channels"][channel]["window"]
    limits = [window["start"], window["end"]] if window else None
    levels = [dask.array.from_zarr(path, component=level) for level in "01"]
    data = [dask.array.take(level, channel, axis=axes.index("c")) for level in levels]
    return viewer.add_image(data, multiscale=True, contrast_limits=limits)


def encoded_in(viewer, image, checkpoint, folder, monkeypatch):
    """Return what the prompt widget's session encodes of what it shows, where a folder of prepared embeddings is."""
    encoded, compute = [], Predictor.compute_steps

    def compute_steps(self, pixels, **options):
        encoded.append(pixels.shape)
        return compute(self, pixels, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    cache = CachePlaces(limit=0, prepared=folder).open()
    predictor = Predictor(checkpoint, device="cpu", cache=cache)
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(image)
    session.add_point((70, 60))
    assert len(session.candidates) == 3, session.status
    return encoded


def embed(path, folder, checkpoint, *options):
    line = ("embed", path, "-o", folder, "--model", checkpoint, "--precision", "float32", *options)
    assert main([str(word) for word in line]) == 0


@pytest.mark.parametrize(
    ("windows", "channel"),
    [(None, 1), (WINDOWS, 1), (WINDOWS, 2)],
    ids=["by its values", "as the file says", "of which the file says nothing"],
)
def test_a_layer_of_each_channel(viewer, checkpoint, tmp_path, monkeypatch, windows, channel):
    path = ome_zarr(tmp_path / "a.ome.zarr", CHANNELS[:, 0], "cyx", windows)
    embed(path, tmp_path / "prepared", checkpoint, "--plane", f"c={channel}")
    image = opened(viewer, path, "cyx", channel)
    assert encoded_in(viewer, image, checkpoint, tmp_path / "prepared", monkeypatch) == []


def test_colours_are_not_what_napari_shows(viewer, checkpoint, tmp_path, monkeypatch):
    path = ome_zarr(tmp_path / "a.ome.zarr", CHANNELS[:, 0], "cyx")
    embed(path, tmp_path / "prepared", checkpoint)
    assert encoded_in(viewer, opened(viewer, path, "cyx", 1), checkpoint, tmp_path / "prepared", monkeypatch)


def test_slices_of_a_channel(viewer, checkpoint, tmp_path, monkeypatch):
    path = ome_zarr(tmp_path / "a.ome.zarr", CHANNELS, "czyx")
    embed(path, tmp_path / "prepared", checkpoint, "--plane", "c=1")
    image = opened(viewer, path, "czyx", 1)
    viewer.dims.set_point(0, 1)
    assert encoded_in(viewer, image, checkpoint, tmp_path / "prepared", monkeypatch) == []


def test_windows_of_a_large_channel(viewer, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tiling, "LARGE_SIDE", 100)
    path = ome_zarr(tmp_path / "a.ome.zarr", CHANNELS[:, 0], "cyx")
    embed(path, tmp_path / "prepared", checkpoint, "--plane", "c=1")
    image = opened(viewer, path, "cyx", 1)
    assert encoded_in(viewer, image, checkpoint, tmp_path / "prepared", monkeypatch) == []


def test_one_layer_of_all_channels(viewer, checkpoint, tmp_path, monkeypatch):
    """Napari's own reader has a slider for the channels, and one pair of contrast limits."""
    path = ome_zarr(tmp_path / "a.ome.zarr", CHANNELS[:, 0], "cyx", WINDOWS)
    options = ("--plane", "c=2", "--contrast-limits", "stack")
    embed(path, tmp_path / "prepared", checkpoint, *options)
    image = viewer.add_image(read_zarr_dataset(str(path))[0], multiscale=True)
    viewer.dims.set_point(0, 2)
    assert encoded_in(viewer, image, checkpoint, tmp_path / "prepared", monkeypatch) == []


def test_a_plane_of_a_tiff(viewer, checkpoint, tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.ome.tif", CHANNELS, metadata={"axes": "CZYX"}, ome=True)
    embed(tmp_path / "a.ome.tif", tmp_path / "prepared", checkpoint, "--plane", "c=1,z=1")
    image = viewer.add_image(imread(str(tmp_path / "a.ome.tif")))
    viewer.dims.set_point([0, 1], [1, 1])
    assert encoded_in(viewer, image, checkpoint, tmp_path / "prepared", monkeypatch) == []
