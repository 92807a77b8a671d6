"""Layers, folders and files as inputs of a batch, and what becomes of its results, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from tests.widgets.batch.scene import ONE, SHAPE, TWO

from napari_segany.formats.pixel_size import PixelSize
from napari_segany.widgets.batch_inputs import pixel_size_of
from napari_segany.widgets.batch_results import MOST_RESULTS
from napari_segany.widgets.kept_masks import MASKS_KEY


def test_a_folder_becomes_files_and_layers(session, viewer, folder, discs):
    session.use_folder(folder)
    session.run()
    assert session.status == "2 images, 3 masks."
    labels = tifffile.imread(session.output / "labels/two.tif")
    for row, col, radius, _ in TWO:
        truth = discs.disc_mask(SHAPE, row, col, radius)
        assert ((labels == labels[row, col]) & truth).sum() / truth.sum() > 0.85

    session.open_results()
    assert [layer.name for layer in viewer.layers] == ["one", "one masks", "two", "two masks"]
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False]
    assert session.status == "2 results opened."
    layer = viewer.layers["two masks"]
    np.testing.assert_array_equal(layer.data, labels)
    kept = layer.metadata[MASKS_KEY]
    assert (kept.file_name, [mask.label for mask in kept.planes[()]]) == ("two.png", [1, 2])
    assert layer.features.loc[2, "area"] == kept.planes[()][1].record.area
    np.testing.assert_array_equal(viewer.layers["two"].data, discs.disc_image(SHAPE, TWO))

    session.open_results()  # the images are there now
    assert len(viewer.layers) == 6


def test_all_open_layers_of_any_kind_are_taken(session, viewer, discs, finder):
    import dask.array

    grey = discs.disc_image(SHAPE, TWO)
    viewer.add_image(grey, name="grey")
    viewer.add_image(np.stack([grey] * 3, axis=-1), name="colours", rgb=True)
    viewer.add_image([grey, grey[::2, ::2]], name="pyramid", multiscale=True, contrast_limits=(0, 255))
    viewer.add_image(dask.array.from_array(np.stack([grey] * 2)), name="lazy", contrast_limits=(0, 255))
    viewer.add_labels(grey, name="labels")
    viewer.layers["pyramid"].visible = False
    session.run()
    assert session.status == "4 images, 10 masks."
    assert finder.encoded == [SHAPE, (*SHAPE, 3), SHAPE, SHAPE, SHAPE]
    session.open_results()
    assert viewer.layers["lazy masks"].data.shape == (2, *SHAPE)
    assert viewer.layers["grey masks"].visible
    assert not viewer.layers["pyramid masks"].visible
    labels = [viewer.layers[f"{name} masks"].data for name in ("grey", "colours", "pyramid")]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])


def test_chosen_outputs_are_written_and_no_others(session, folder):
    session.use_folder(folder)
    session.choose_outputs(["overlay", "coco"])
    assert session.outputs == ("coco", "overlay")
    session.run()
    names = {path.name for path in session.output.iterdir()} - {".segany"}
    assert names == {"coco.json", "overlays", "report.csv"}
    session.open_results()
    assert session.viewer.layers["two masks"].data.max() == 2
    with pytest.raises(ValueError, match="no output pdf; known are labels"):
        session.choose_outputs(["pdf"])


def test_results_of_a_layer_that_is_gone_lie_where_it_lay(session, viewer, discs):
    image = viewer.add_image(discs.disc_image(SHAPE, ONE), name="gone", scale=(2, 3), translate=(5, 6))
    session.run()
    viewer.layers.remove(image)
    session.open_results()
    (layer,) = viewer.layers
    np.testing.assert_array_equal(layer.scale, (2, 3))
    np.testing.assert_array_equal(layer.translate, (5, 6))


def test_files_keep_their_pixel_size_and_colours(session, viewer, discs, tmp_path):
    grey = discs.disc_image(SHAPE, TWO)
    tifffile.imwrite(tmp_path / "um.ome.tif", grey, metadata={"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5})
    Picture.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "colours.png")
    session.use_files([tmp_path / "um.ome.tif", tmp_path / "colours.png"])
    session.run()
    session.open_results()
    for name in ("um", "um masks"):
        np.testing.assert_allclose(viewer.layers[name].scale, (0.5, 0.25))
        assert [f"{unit:~}" for unit in viewer.layers[name].units] == ["µm", "µm"]
    assert viewer.layers["colours"].rgb
    assert viewer.layers["colours masks"].data.max() == 2


def test_only_the_first_of_many_are_opened(session, viewer, folder):
    for number in range(MOST_RESULTS):
        (folder / f"more{number:02d}.png").write_bytes((folder / "one.png").read_bytes())
    session.use_folder(folder)
    session.change(points_per_side=1)
    session.run()
    session.open_results()
    assert len(viewer.layers) == 2 * MOST_RESULTS
    assert session.status == f"The first 20 of 22 results are opened; all are in {session.output}."


def test_layers_that_come_and_go_are_listed(session, viewer, discs):
    told = []
    session.inputs_changed.connect(lambda: told.append(session.layer_names))
    layer = viewer.add_image(discs.disc_image(SHAPE, ONE), name="first")
    layer.name = "second"
    viewer.layers.remove(layer)
    assert told == [["first"], ["second"], []]
    session.close()
    viewer.add_image(discs.disc_image(SHAPE, ONE))
    assert len(told) == 3


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((2, 0.5, 0.25), ("s", "nm", "nm"), PixelSize(0.5, 0.25, "nm")),
        ((2, 0.5, 0.25), ("micrometer",) * 3, PixelSize(0.5, 0.25, "um")),
        ((1, 1, 1), ("km", "km", "m"), None),
        ((1, 1, 1), ("pixel",) * 3, None),
    ],
)
def test_the_pixel_size_of_a_layer(viewer, scale, units, expected):
    layer = viewer.add_image(np.zeros((2, 4, 4)), scale=scale, units=units)
    assert pixel_size_of(layer) == expected
