from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.engine.tiling import SHOWN_SIDE, TilePlan, TilingSettings, is_large, shown_window, tile_plan


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([64, 100, 256]), st.floats(0.1, 0.5))
def test_windows_cover_the_image_and_hold_what_is_smaller_than_their_overlap(height, width, side, overlap):
    plan = tile_plan((height, width), side, TilingSettings(overlap=overlap))
    for level in plan.levels:
        shape = plan.reduced_shape(level)
        grid = plan.grid_shape(level)
        for axis in range(2):
            windows = [plan.window(level, *((place, 0) if axis == 0 else (0, place))) for place in range(grid[axis])]
            spans = [(one.box[axis], one.box[axis + 2]) for one in windows]
            assert spans[0][0] == 0
            assert spans[-1][1] == shape[axis]
            for (start, stop), (following, _) in pairwise(spans):
                assert start < following
                assert stop - following >= plan.overlap
            assert all(stop - start <= side for start, stop in spans)
    assert plan.grid_shape(plan.last_level) == (1, 1)


def test_object_size_leaves_out_levels_that_are_not_needed():
    assert tile_plan((20000, 20000), 1024).levels == range(6)
    large = tile_plan((20000, 20000), 1024, TilingSettings(object_size=1000))
    assert large.first_level == 2  # a window sees eight objects or four along its side
    small = tile_plan((20000, 20000), 1024, TilingSettings(object_size=40))
    assert (small.side, small.first_level) == (512, 0)
    assert tile_plan((1000, 800), 1024).levels == range(1)


def test_levels_follow_the_prompt_and_the_view():
    plan = tile_plan((10000, 10000), 1024)
    assert [plan.level_for(size) for size in (10, 512, 600, 3000, 90000)] == [0, 0, 1, 3, 4]
    assert [plan.level_for_view(size) for size in (500, 2048, 4096, 10000)] == [0, 0, 1, 2]


def test_a_centred_window_stays_in_the_image_and_is_found_again_nearby():
    plan = tile_plan((10000, 9000), 1024)
    assert plan.centred(0, (5, 5, 5, 5)).box == (0, 0, 1024, 1024)
    assert plan.centred(0, (9999, 8999, 9999, 8999)).box == (8976, 7976, 10000, 9000)
    first, second = plan.centred(1, (5000, 5000, 5000, 5000)), plan.centred(1, (5030, 5030, 5030, 5030))
    assert first == second
    assert plan.margin(first, (5000, 5000, 5000, 5000)) > 0.4 * 1024


def test_positions_in_a_window_are_those_of_pixel_centres():
    plan = TilePlan((4000, 4000), 512, 128)
    window = plan.window(2, 1, 1)
    assert window.origin == (384 * 4, 384 * 4)
    assert window.to_window(384 * 4 + 1.5, 384 * 4 + 5.5) == (0.0, 1.0)  # the middle of a block of four


@pytest.mark.parametrize("bad", [{"side": 10}, {"overlap": 0.9}, {"overlap": float("nan")}, {"object_size": -1.0}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match="give"):
        TilingSettings(**bad)


def test_what_is_large():
    assert not is_large((4096, 100))
    assert is_large((100, 4097))
    assert np.prod((4096, 4096)) < 2**32


@given(st.integers(0, 49_000), st.integers(0, 29_000), st.integers(0, 40_000), st.integers(0, 40_000))
def test_an_object_is_shown_whole_with_its_surroundings_and_few_pixels(top, left, height, width):
    shape = (50_000, 30_000)
    box = (top, left, min(top + height, shape[0]), min(left + width, shape[1]))
    shown = shown_window(box, shape)
    side = max(box[2] - box[0], box[3] - box[1])
    assert max(shown.shape) <= SHOWN_SIDE
    assert max(shown.shape) > SHOWN_SIDE / 2 - 2 or shown.level == 0
    found = shown.image_box
    margin = max(12, side // 2)
    for axis in range(2):
        assert found[axis] <= max(0, box[axis] - margin)
        assert found[axis + 2] >= min(shape[axis], box[axis + 2] + margin)
        assert 0 <= shown.box[axis] < shown.box[axis + 2] <= -(-shape[axis] // shown.factor)


def test_a_small_object_is_shown_at_full_resolution():
    assert shown_window((100, 200, 140, 260), (5000, 5000)).box == (70, 170, 170, 290)
    assert shown_window((2000, 2000, 3000, 3000), (5000, 5000)).level == 3
