"""Saving all layers with napari's own writers, as File > Save All Layers does."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.plugins._npe2 import file_extensions_string_for_layers

from napari_segany.widgets.preview_saving import is_preview, leave_previews_out

pytestmark = pytest.mark.usefixtures("known_to_napari")


@pytest.fixture
def worked(session, viewer):
    """A session with an accepted object and three masks on offer."""
    session.choose_image(viewer.add_image(np.zeros((40, 50), np.uint8), name="cells"))
    session.add_point((5, 6))
    session.accept()
    session.add_point((20, 25))
    assert {layer.name for layer in viewer.layers if is_preview(layer)} >= {"mask 1", "mask 2", "mask 3"}
    return session


def folder_writer(layers):
    """Return the writer behind "Save to Folder" in napari's dialog."""
    _, writers = file_extensions_string_for_layers(layers)
    return next(writer for writer in writers if writer.command == "napari.write_directory")


@pytest.mark.parametrize("by_dialog", [False, True])
def test_save_all_layers_leaves_masks_on_offer_out(worked, viewer, tmp_path, by_dialog):
    writer = folder_writer(viewer.layers) if by_dialog else None
    written = viewer.layers.save(str(tmp_path / "all"), _writer=writer)
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == ["cells.tif", "objects.tif", "prompt points.csv"], names
    assert len(written) == len(names)
    saved = tifffile.imread(tmp_path / "all" / "objects.tif")
    np.testing.assert_array_equal(saved, worked.objects.layer.data)
    assert "mask 1" in viewer.layers  # it stays in the viewer


def test_save_selected_layers_leaves_them_out_too(worked, viewer, tmp_path):
    viewer.layers.selection = {viewer.layers["mask 1"], viewer.layers["objects"], viewer.layers["cells"]}
    viewer.layers.save(str(tmp_path / "some"), selected=True)
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["cells.tif", "objects.tif"]


def test_masks_alone_are_refused_with_a_word(worked, viewer, tmp_path):
    viewer.layers.selection = {viewer.layers["mask 1"]}
    with pytest.warns(UserWarning, match=r"'mask 1' is a preview .* accept the mask \(key N\)"):
        assert viewer.layers.save(str(tmp_path / "mask.tif"), selected=True) == []
    assert not list(tmp_path.iterdir())


def test_without_previews_napari_saves_as_ever(worked, viewer, tmp_path):
    layers = viewer.layers
    for layer in [one for one in layers if is_preview(one)]:
        layers.remove(layer)
    layers.save(str(tmp_path / "all"))
    assert sorted(path.name for path in (tmp_path / "all").iterdir())[:2] == ["cells.tif", "objects.tif"]
    layers.selection.clear()
    with pytest.warns(UserWarning, match="No layers selected"):
        layers.save(str(tmp_path / "none"), selected=True)


def test_it_holds_no_viewer():
    viewer = ViewerModel()
    leave_previews_out(viewer.layers)
    known = weakref.ref(viewer.layers)
    del viewer
    gc.collect()
    assert known() is None
