"""Reviews in a viewer without a canvas: prompts that are shown, and keys that are taken and given back."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_segany.evaluation.review import read_ratings
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.widgets.review_keys import ReviewKeys
from napari_segany.widgets.review_session import ReviewSession


@pytest.fixture
def masks(tmp_path):
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10:25] = True
    Image.fromarray(np.full((60, 80), 90, np.uint8)).save(tmp_path / "sa_1.jpg")
    prompt = {"points": [[15, 18], [40, 40]], "labels": [1, 0], "box": [10, 10, 19, 24]}
    extra = {"provenance": [{"id": 1, "prompt": prompt}, {"id": 2, "prompt": {"points": 7}}]}
    records = [MaskRecord.from_mask(mask), MaskRecord.from_mask(~mask)]
    write_sa1b(tmp_path / "sa_1.json", records, file_name="sa_1.jpg", size=(60, 80), extra=extra)
    return tmp_path


def test_a_mask_whose_image_cannot_be_read_is_passed_over_and_not_rated_unseen(masks):
    mask = MaskRecord.from_mask(np.eye(60, 80, dtype=bool))
    write_sa1b(masks / "sa_2.json", [mask], file_name="sa_2.jpg", size=(60, 80))
    (masks / "sa_2.jpg").write_bytes(b"no image")
    viewer = ViewerModel()
    session = ReviewSession(viewer)
    session.open({"ours": masks}, masks / "ratings.csv")
    told = session.message
    while session.review.current is not None:
        shown = session.review.current
        assert shown.image == "sa_1"
        np.testing.assert_array_equal(viewer.layers[1].data, shown.record.mask)
        session.rate(5)
        told += session.message
    assert "sa_2 cannot be shown and is passed over: " in told
    assert "All masks that can be shown are rated." in session.message
    assert [row["image"] for row in read_ratings(masks / "ratings.csv")] == ["sa_1", "sa_1"]
    assert len(viewer.layers) == 0
    session.back()
    session.back()
    assert session.review.current.image == "sa_1"


def pressed(keymap, key):
    return next(action for name, action in keymap.items() if str(name) == key)


def test_prompts_are_shown_and_keys_are_given_back(masks):
    viewer, heard = ViewerModel(), []
    session = ReviewSession(viewer)
    keys = ReviewKeys(viewer, session)
    viewer.bind_key("3", lambda viewer: heard.append("theirs"))
    session.open({"ours": masks}, masks / "ratings.csv")
    if session.review.current.mask == 2:
        session.rate(1)
    assert viewer.layers["prompt"].data.tolist() == [[15, 18], [40, 40]]
    assert viewer.layers["prompt box"].data[0].min(axis=0).tolist() == [10, 10]
    session.choose_view("side by side")
    assert not viewer.layers["prompt"].visible
    keys.take()
    pressed(viewer.keymap, "V")(viewer)
    assert session.view == "whole"
    rated = session.review.rated
    pressed(viewer.layers["mask"].keymap, "3")(viewer.layers["mask"])
    assert session.review.rated == rated + 1
    viewer.bind_key("4", lambda viewer: heard.append("later"), overwrite=True)
    keys.give_back()
    assert not keys.are_taken
    assert sorted(str(key) for key in viewer.keymap) == ["3", "4"]
    for key in "34":
        pressed(viewer.keymap, key)(viewer)
    assert heard == ["theirs", "later"]
    session.close()
