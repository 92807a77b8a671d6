"""What is found, how it is filtered and drawn, in images of all kinds, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image
from tests.widgets.everything.scene import SHAPE, SIDE, label_of

from napari_segany.widgets.kept_masks import MASKS_KEY


def test_every_disc_is_found_once_and_nested_ones_are_whole(found, discs):
    assert len(found.objects) == 4
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    assert found.objects[nucleus].parent == cell
    assert found.objects[cell].parent == 0
    data = found.layer.data
    assert data[30, 30] == nucleus
    assert data[30, 16] == cell
    assert data[5, 5] == 0
    assert "4 objects" in found.status


def test_the_table_is_dense_and_tells_what_is_known(found, discs):
    table = found.layer.features
    assert list(table["index"]) == [0, 1, 2, 3, 4]
    assert table.iloc[0, 1:].isna().all()
    nucleus = label_of(found, discs, 1)
    record = found.objects[nucleus].record
    row = table.loc[nucleus]
    assert row["predicted_iou"] == pytest.approx(240 / 250)
    assert row["stability_score"] == pytest.approx(record.stability_score)
    assert row["area"] == record.area == pytest.approx(discs.disc_mask(SHAPE, 30, 30, 8).sum(), rel=0.15)
    assert tuple(row[["bbox_row_min", "bbox_col_min", "bbox_row_max", "bbox_col_max"]]) == record.bbox
    assert row["parent"] == label_of(found, discs, 0)
    assert not any(name.startswith("slice") for name in table)
    pd.testing.assert_frame_equal(table, found.editor.table)


def test_thresholds_filter_without_the_model_and_colours_stay(found, discs, finder):
    calls = finder.calls
    numbers = {number: label_of(found, discs, number) for number in range(4)}
    found.change(pred_iou_thresh=0.85)  # 212 and more: the nucleus and the bright cell
    assert set(found.objects) == {numbers[1], numbers[3]}
    assert set(np.unique(found.layer.data)) == {0, numbers[1], numbers[3]}
    table = found.layer.features
    assert len(table) == max(numbers[1], numbers[3]) + 1
    gone = [label for label in range(1, len(table)) if label not in found.objects]
    assert table.loc[gone, "area"].isna().all()
    assert list(table["index"]) == list(range(len(table)))
    found.change(pred_iou_thresh=0.5)
    assert label_of(found, discs, 1) == numbers[1]
    assert label_of(found, discs, 3) == numbers[3]
    assert sorted(found.objects) == [1, 2, 3, 4]
    assert finder.calls == calls


def test_other_questions_need_a_run_and_until_then_the_objects_stay(found, finder):
    calls = finder.calls
    found.change(points_per_side=SIDE + 1)
    assert found.needs_run
    assert "press Run" in found.status
    assert len(found.objects) == 4
    found.change(pred_iou_thresh=0.9)  # thresholds still work on what was asked
    assert len(found.objects) == 2
    assert finder.calls == calls
    found.run()
    assert not found.needs_run
    assert finder.calls > calls


def test_the_painting_rule_can_be_changed_afterwards(found, discs, finder):
    calls = finder.calls
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.choose_painting("larger")
    assert found.layer.data[30, 30] == cell
    assert nucleus not in found.layer.data
    assert found.layer.features.loc[nucleus, "area"] > 0, "a covered object is still there"
    found.choose_painting("better")
    assert found.layer.data[30, 30] == nucleus
    found.choose_painting("separate")  # the better nucleus is a fifth of the cell: the cell is left out
    assert cell not in found.layer.data
    found.choose_painting("smaller")
    assert {cell, nucleus} <= set(np.unique(found.layer.data))
    assert finder.calls == calls
    with pytest.raises(ValueError, match="smaller, larger, better, separate"):
        found.choose_painting("top")


def test_the_masks_are_kept_with_the_layer_for_files(found, discs):
    kept = found.layer.metadata[MASKS_KEY]
    assert kept.rule == "smaller"
    assert {mask.label: mask.record.rle for mask in kept.planes[()]} == {
        label: one.record.rle for label, one in found.objects.items()
    }


@pytest.mark.parametrize("kind", ["rgb", "uint16", "float", "multiscale"])
def test_images_of_other_kinds(session, viewer, image, finder, kind):
    if kind == "rgb":
        layer = viewer.add_image(np.repeat(image[..., None], 3, axis=2), rgb=True)
    elif kind == "multiscale":
        layer = viewer.add_image([image, image[::2, ::2]], multiscale=True, contrast_limits=(0, 255))
    else:
        layer = viewer.add_image(image.astype(kind), contrast_limits=(0, 255))
    session.choose_image(layer)
    session.run()
    assert len(session.objects) == 4
    assert session.layer.data.shape == SHAPE
    assert finder.limits[-1] == (None if kind == "rgb" else (0, 255))


def test_the_layer_lies_where_the_image_lies(session, viewer, image):
    layer = viewer.add_image(image, scale=(0.5, 2), translate=(10, -3), units=("um", "um"))
    session.choose_image(layer)
    session.run()
    np.testing.assert_allclose(session.layer.extent.world, layer.extent.world)
    assert session.layer.units == layer.units
    layer.translate = (0, 0)
    np.testing.assert_allclose(session.layer.extent.world, layer.extent.world)


def test_without_masks_it_says_which_thresholds_are_in_the_way(flat):
    flat.change(pred_iou_thresh=0.99)
    flat.run()
    assert len(flat.objects) == 0
    assert "best predicted IoU is 0.96" in flat.status
    assert "Lower" in flat.status


def test_images_only(session, viewer):
    assert isinstance(viewer.add_image(np.zeros((9, 9))), Image)
    session.choose_image(None)
    assert session.status == "Open an image to begin."
