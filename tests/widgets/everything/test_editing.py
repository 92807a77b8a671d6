"""Objects of everything selected, deleted, merged, picked and saved, with a viewer model and without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from tests.widgets.everything.scene import SHAPE, label_of

from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import read_sa1b, write_sa1b
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.kept_masks import MASKS_KEY, painted
from napari_segany.widgets.progress_runner import SynchronousRunner


def test_clicking_again_selects_the_object_around(found, discs):
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.editor.select_at((30, 30))
    assert found.editor.selection == (nucleus,)
    assert found.layer.selected_label == nucleus
    assert f"inside object {cell}" in found.status
    found.editor.select_at((30, 30))
    assert found.editor.selection == (cell,)
    found.editor.select_at((30, 30))
    assert found.editor.selection == (nucleus,)
    found.editor.select_at((70, 100), add=True)
    assert len(found.editor.selection) == 2
    found.editor.select_at((5, 5))
    assert found.editor.selection == ()


def test_the_outline_lies_on_the_selected_object(found, viewer, discs):
    label = label_of(found, discs, 2)
    found.editor.select((label,))
    outline = viewer.layers["selected objects"]
    drawn = np.zeros(SHAPE, bool)
    top, left = (int(value) for value in outline.translate)
    drawn[top : top + outline.data.shape[0], left : left + outline.data.shape[1]] = outline.data
    np.testing.assert_array_equal(drawn, found.objects[label].record.mask)
    found.editor.select(())
    assert not outline.visible


def test_deleted_objects_stay_away_and_undo_brings_them_back(found, discs):
    label = label_of(found, discs, 2)
    found.editor.select((label,))
    found.editor.delete()
    assert label not in found.objects
    assert not found.layer.data[70, 100]
    assert found.editor.selection == ()
    others = set(found.objects)
    found.change(pred_iou_thresh=0.4)
    assert set(found.objects) == others
    found.editor.undo()
    assert label_of(found, discs, 2) == label
    assert found.layer.data[70, 100] == label
    found.editor.undo()
    assert found.status == "There is nothing to take back."


def test_deleting_an_object_shows_what_lies_under_it(found, discs):
    cell, nucleus = label_of(found, discs, 0), label_of(found, discs, 1)
    found.editor.select((nucleus,))
    found.editor.delete()
    assert found.layer.data[30, 30] == cell


def test_merged_objects_are_one_whatever_the_thresholds(found, discs):
    first, second = sorted((label_of(found, discs, 2), label_of(found, discs, 3)))
    union = found.objects[first].record.mask | found.objects[second].record.mask
    found.editor.select((first, second))
    assert found.editor.merge() == first
    assert found.editor.selection == (first,)
    assert second not in found.objects
    np.testing.assert_array_equal(found.objects[first].record.mask, union)
    np.testing.assert_array_equal(found.layer.data == first, union)
    row = found.layer.features.loc[first]
    assert np.isnan(row["predicted_iou"])
    assert row["area"] == union.sum()
    found.change(pred_iou_thresh=0.99)
    assert set(found.objects) == {first}
    found.change(pred_iou_thresh=0.5)
    found.editor.undo()
    assert len(found.objects) == 4


def test_merging_needs_two(found):
    found.editor.select((1,))
    with pytest.raises(ValueError, match="two or more"):
        found.editor.merge()
    found.editor.attempt("merge")
    assert "two or more" in found.status
    found.editor.select(())
    assert found.editor.merge() is None
    assert "Nothing is selected" in found.status
    with pytest.raises(ValueError, match="no object 99"):
        found.editor.select((99,))


def test_picked_objects_go_into_the_layer_of_the_prompts(found, viewer, discs):
    nucleus, other = label_of(found, discs, 1), label_of(found, discs, 2)
    found.editor.select((nucleus, other))
    assert found.editor.pick() == [1, 2]
    objects = viewer.layers["objects"]
    np.testing.assert_array_equal(objects.data == 1, found.objects[nucleus].record.mask)
    assert objects.features.loc[1, "predicted_iou"] == pytest.approx(240 / 250)
    assert '"points"' in objects.features.loc[1, "prompts"]
    assert found.editor.pick() == [], "they are there already"
    assert "cover the whole mask" in found.status


def test_a_label_chosen_in_the_layer_is_selected(found, discs):
    label = label_of(found, discs, 3)
    found.layer.selected_label = label
    assert found.editor.selection == (label,)
    found.layer.selected_label = 77
    assert found.editor.selection == (label,)


def test_saved_and_opened_again_nothing_is_lost(found, viewer, finder, tmp_path):
    path = tmp_path / "flat.json"
    write_sa1b(path, found.editor.records, file_name="flat.png", size=SHAPE)
    before = {label: one.record.rle for label, one in found.objects.items()}
    again = EverythingSession(viewer, SynchronousRunner(), lambda model, device: finder)
    again.choose_image(viewer.layers["flat"])
    again.editor.open_records(read_sa1b(path).records)
    assert {label: one.record.rle for label, one in again.objects.items()} == before
    assert again.layer.features["parent"].max() > 0
    again.editor.select((2,))
    again.editor.delete()
    assert set(again.objects) == set(before) - {2}
    again.choose_image(viewer.add_image(np.zeros((20, 20))))
    with pytest.raises(ValueError, match="this one has"):
        again.editor.open_records(read_sa1b(path).records)


def test_of_equal_masks_the_one_on_top_is_the_same_in_files(flat):
    first, second = np.zeros((2, *SHAPE), bool)
    first[10:20, 10:20] = second[10:20, 15:25] = True
    records = [MaskRecord.from_mask(one) for one in (first, second)]
    flat.editor.open_records(records)
    flat.editor.open_records(records[::-1])  # the second one is numbered 2 as before, and drawn first
    kept = flat.layer.metadata[MASKS_KEY]
    assert flat.layer.data[12, 17] == 1
    np.testing.assert_array_equal(painted(kept.planes[()], SHAPE, kept.rule), flat.layer.data)


def test_an_edit_while_a_slider_is_being_filtered_is_not_lost(viewer, finder, image, by_hand):
    session = EverythingSession(viewer, by_hand, lambda model, device: finder)
    session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.choose_image(viewer.add_image(image))
    session.run()
    by_hand.finish_all()
    assert len(session.objects) == 4
    session.change(pred_iou_thresh=0.7)
    session.change(pred_iou_thresh=0.85)
    assert len(by_hand.running) == 1, "one filtering at a time, the newest wish is next"
    (label, other) = (label for label, one in session.objects.items() if one.record.predicted_iou > 0.9)
    session.editor.select((label,))
    session.editor.delete()
    assert label not in session.objects
    by_hand.finish_all()
    assert set(session.objects) == {other}
    assert set(np.unique(session.layer.data)) == {0, other}
