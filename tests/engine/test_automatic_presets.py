from __future__ import annotations

import pytest

from napari_segany.engine.automatic_presets import PRESETS, default_preset, preset
from napari_segany.engine.automatic_settings import AutomaticSettings


def test_presets_have_names_of_their_own_and_begin_with_the_published_settings():
    assert len({one.name for one in PRESETS}) == len({one.title for one in PRESETS}) == len(PRESETS) == 6
    assert PRESETS[0].settings == AutomaticSettings()
    assert PRESETS[0].changes == {}


@pytest.mark.parametrize("one", PRESETS[1:], ids=lambda one: one.name)
def test_every_other_preset_tells_what_it_changes(one):
    assert AutomaticSettings().replaced(**one.changes) == one.settings
    assert one.changes
    assert one.note.endswith(".")
    assert preset(one.name) is one


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="natural, cells, light, sparse, dense, fields"):
        preset("stars")


def test_light_begins_with_thresholds_of_its_own():
    assert default_preset("vit_b").settings == AutomaticSettings()
    assert default_preset("light").settings.pred_iou_thresh < AutomaticSettings().pred_iou_thresh
