"""Which windows come next before anybody clicks: those in view, as many as fit, and none that are there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import tile_plan
from napari_segany.engine.windows_ahead import windows_ahead, windows_around, windows_in_view
from napari_segany.formats.lazy_image import lazy_image

SHAPE = (1100, 900)
WINDOW = 128


@pytest.fixture
def image():
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[148:153, 148:153] = pixels[498:503, 398:403] = 200
    return lazy_image(pixels)


@pytest.fixture
def big(image) -> TiledEmbedding:
    return TiledEmbedding(image, tile_plan(SHAPE, WINDOW))


@pytest.fixture
def remembering(tiles):
    """A predictor whose embeddings are kept by their pixels, as on a disk."""

    class Remembering(tiles.ComponentPredictor):
        cache = "a folder"

        def known_steps(self, image, *, contrast_limits=None):
            yield Progress(0, 0, "looking")
            return self.kept.get(np.asarray(image).tobytes())

        def encode_steps(self, image, *, contrast_limits=None):
            known = self.kept.get(np.asarray(image).tobytes())
            if known is not None:
                return known
            return (yield from super().encode_steps(image, contrast_limits=contrast_limits))

    predictor = Remembering()
    predictor.kept = {}
    return predictor


def encode_all(big, predictor, view, most=1000) -> int:
    """Encode what comes next until nothing does; return how many windows that took."""
    for count in range(most):
        windows = windows_ahead(big, view)
        if not windows:
            return count
        drain(big.embedding_steps(predictor, windows[0]))
    raise AssertionError("it goes on for ever")


@given(
    st.tuples(st.floats(-300, 1200), st.floats(-300, 1000)), st.floats(1, 1500), st.floats(1, 1500), st.integers(0, 4)
)
def test_the_windows_in_view_are_those_that_answer_there(corner, height, width, level):
    plan, (top, left) = tile_plan(SHAPE, WINDOW), corner
    view = (top, left, top + height, left + width)
    found = plan.in_view(view, level)
    expected, distances = set(), {}
    for _, _, window in plan.windows(level):
        part = plan.answering_part(window)
        rows = range(max(part[0], int(np.floor(top))), min(part[2], int(np.ceil(top + height))))
        cols = range(max(part[1], int(np.floor(left))), min(part[3], int(np.ceil(left + width))))
        if rows and cols:
            expected.add(window)
        box = np.array(window.image_box, float).reshape(2, 2)
        distances[window] = np.hypot(*(box.mean(axis=0) - (top + height / 2, left + width / 2)))
    assert set(found) == expected
    assert [distances[window] for window in found] == sorted(distances[window] for window in found)


@pytest.mark.parametrize("view", [(300, 200, 420, 330), (0, 0, 500, 500), (-200, -100, 1300, 1000)])
def test_when_all_in_view_is_there_a_click_in_it_encodes_nothing(big, tiles, view):
    predictor = tiles.ComponentPredictor()
    level = big.plan.level_for_view(max(view[2] - view[0], view[3] - view[1]))
    count = encode_all(big, predictor, view)
    assert count == len(predictor.encoded) <= len(big.plan.in_view(view, level)) < 60
    for row in np.linspace(max(view[0], 0), min(view[2], SHAPE[0]) - 1, 12).astype(int):
        for col in np.linspace(max(view[1], 0), min(view[3], SHAPE[1]) - 1, 12).astype(int):
            assert big.window_for((row, col, row, col), level) in big.ready


def test_what_is_around_the_last_answer_comes_before_what_is_in_view(big, tiles):
    predictor = tiles.ComponentPredictor()
    drain(big.answer_steps(predictor, points=[(150, 150)]))
    view = (700, 600, 900, 800)  # elsewhere
    around, seen = windows_around(big, big.answered, view), windows_in_view(big, view)
    assert len(around) >= 4
    assert len(seen) >= 4
    assert windows_ahead(big, view) == [*around, *seen]
    assert windows_ahead(big, None) == around
    encode_all(big, predictor, view)
    assert set(around) | set(seen) < set(big.ready)


def test_a_view_that_needs_more_than_fits_is_done_around_its_middle_and_comes_to_an_end(image, tiles):
    memory = 10 * WINDOW * WINDOW  # ten windows of one byte a pixel
    big = TiledEmbedding(image, tile_plan(SHAPE, WINDOW), memory=memory)
    predictor = tiles.ComponentPredictor()
    for view in ((0, 0, 500, 500), (500, 300, 1000, 800), (0, 300, 500, 800)):
        assert len(big.plan.in_view(view, 0)) > 20
        assert encode_all(big, predictor, view, most=30) <= 10
        assert big.plan.in_view(view, 0)[:6] == [one for one in big.plan.in_view(view, 0) if one in big.ready][:6]
    assert big.room == 8
    assert sum(np.prod(window.shape) for window in big.ready) <= memory


def test_around_an_answer_windows_are_encoded_only_as_long_as_there_is_room(image, tiles):
    big = TiledEmbedding(image, tile_plan(SHAPE, WINDOW), memory=5 * WINDOW * WINDOW)
    predictor = tiles.ComponentPredictor()
    drain(big.answer_steps(predictor, points=[(500, 400)]))
    assert encode_all(big, predictor, None) == 3
    assert big.answered in big.ready


def test_a_huge_image_without_coarser_levels_is_not_read_as_a_whole_for_a_view_from_afar():
    shape = (100_000, 100_000)
    levels = [np.broadcast_to(np.uint8(7), tuple(side >> level for side in shape)) for level in range(6)]
    plan = tile_plan(shape, 1024)
    whole, near = (0, 0, *shape), (50_000, 50_000, 52_000, 52_000)
    flat = TiledEmbedding(lazy_image(levels[0]), plan)
    assert windows_in_view(flat, whole) == []
    assert 4 <= len(windows_in_view(flat, near)) <= 16
    pyramid = TiledEmbedding(lazy_image(levels), plan)
    assert 9 <= len(windows_in_view(pyramid, whole)) <= 36


def test_a_window_that_is_kept_on_the_disk_is_ready_without_being_encoded(big, remembering):
    wanted, other = big.plan.window(0, 2, 2), big.plan.window(1, 0, 0)
    opened = TiledEmbedding(lazy_image(np.arange(1100 * 900).reshape(SHAPE).astype(np.uint16)), big.plan, (0, 65535))
    pixels = opened.image.read(wanted.box)
    remembering.kept[pixels.tobytes()] = drain(remembering.encode_steps(pixels))
    remembering.encoded.clear()
    assert opened.may_be_kept(wanted)
    notes = [step.total for step in opened.known_steps(remembering, [other, wanted])]
    assert set(notes) == {2}
    assert opened.ready == (wanted,)
    assert not opened.may_be_kept(wanted)
    assert not opened.may_be_kept(other), "nobody looks twice"
    assert list(opened.known_steps(remembering, [other, wanted])) == []
    assert remembering.encoded == []
    drain(opened.embedding_steps(remembering, other))
    assert opened.ready == (wanted, other)
