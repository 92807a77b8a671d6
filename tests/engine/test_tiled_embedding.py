from dataclasses import replace

import numpy as np
import pytest

from napari_segany.engine.progress import drain
from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiled_prediction import Refinement
from napari_segany.engine.tiling import Window, tile_plan
from napari_segany.formats.lazy_image import lazy_image
from napari_segany.formats.window_mask import WindowMask

SHAPE = (1100, 900)
DISCS = {"small": (500, 400, 12), "at an edge": (96, 96, 15), "large": (700, 500, 170)}


@pytest.fixture(scope="module")
def image(discs) -> np.ndarray:
    pixels = np.zeros(SHAPE, np.uint8)
    for number, disc in enumerate(DISCS.values()):
        pixels[discs.disc_mask(SHAPE, *disc)] = 100 + 60 * number
    return pixels


@pytest.fixture
def big(image, tiles) -> TiledEmbedding:
    return TiledEmbedding(lazy_image(tiles.CountingArray(image)), tile_plan(SHAPE, 128))


def iou(mask: WindowMask, truth: np.ndarray) -> float:
    full = mask.full()
    return (full & truth).sum() / (full | truth).sum()


def test_a_click_encodes_one_window_and_reads_nothing_else(big, image, discs, tiles):
    predictor = tiles.ComponentPredictor()
    found = drain(big.answer_steps(predictor, points=[(500, 400)]))
    assert iou(found.masks[0], discs.disc_mask(SHAPE, *DISCS["small"])) == 1
    assert predictor.encoded == [(128, 128)]
    assert predictor.limits == [(0.0, 255.0)]
    assert max(np.prod(shape) for shape in big.image.levels[0].read) <= 128 * 128
    assert not found.is_cut
    drain(big.answer_steps(predictor, points=[(503, 402)]))
    assert len(predictor.encoded) == 1  # the window is there


def test_a_click_near_the_edge_of_a_tile_is_answered_from_a_window_around_it(big, discs, tiles):
    grid = [window for _, _, window in big.plan.windows(0)]
    predictor = tiles.ComponentPredictor()
    found = drain(big.answer_steps(predictor, points=[(96, 96)]))  # tiles end and begin here
    assert found.window not in grid
    assert big.plan.margin(found.window, (96, 96, 96, 96)) >= 32
    assert iou(found.masks[0], discs.disc_mask(SHAPE, *DISCS["at an edge"])) == 1


def test_a_click_in_the_answering_part_of_a_ready_window_is_answered_from_it(big, tiles):
    predictor = tiles.ComponentPredictor()
    ready = big.plan.window(0, 3, 3)
    drain(big.embedding_steps(predictor, ready))
    top, left, bottom, right = big.plan.answering_part(ready)
    for row, col in ((top, left), (bottom - 1, right - 1), (top, right - 1), ((top + bottom) // 2, left)):
        assert big.window_for((row, col, row, col), 0) == ready
    assert big.window_for((top - 2, left, top - 2, left), 0) != ready
    covered = np.zeros(big.image_shape, bool)
    for _, _, window in big.plan.windows(0):
        top, left, bottom, right = big.plan.answering_part(window)
        covered[top:bottom, left:right] = True
    assert covered.all(), "when all windows are ready, every click is answered at once"


def test_an_object_larger_than_a_window_comes_whole_from_a_coarser_level(big, discs, tiles):
    predictor = tiles.ComponentPredictor()
    found = drain(big.answer_steps(predictor, points=[(700, 500)]))
    assert found.window.level == 2
    assert not found.is_cut
    assert iou(found.masks[0], discs.disc_mask(SHAPE, *DISCS["large"])) > 0.97
    assert set(predictor.encoded) == {(128, 128)}


def test_a_mask_that_is_cut_on_the_other_side_of_each_next_window_comes_to_an_end(big, tiles):
    class Wavering(tiles.ComponentPredictor):
        def predict(self, embedding, *, points, **others):
            found = super().predict(embedding, points=points, **others)
            assert len(self.asked) < 30, "asked for ever"
            row, col = (round(place) for place in points[0])
            masks = np.zeros_like(found.masks)
            masks[0, row, slice(None, col + 1) if len(self.asked) % 2 else slice(col, None)] = True
            return replace(found, masks=masks)

    found = drain(big.answer_steps(Wavering(), points=[(500, 400)]))
    assert not found.is_cut


def test_the_view_and_the_size_of_a_box_choose_the_level(big, discs, tiles):
    predictor = tiles.ComponentPredictor()
    far = drain(big.answer_steps(predictor, points=[(700, 500)], level=big.plan.level_for_view(1100)))
    assert len(predictor.encoded) == 1
    assert far.window.level == 2
    boxed = drain(big.answer_steps(predictor, box=(520, 320, 880, 680)))
    assert boxed.window.level == 3
    assert iou(boxed.masks[0], discs.disc_mask(SHAPE, *DISCS["large"])) > 0.93


def test_further_clicks_refine_in_the_same_window_and_not_in_another(big, tiles):
    predictor = tiles.ComponentPredictor()
    first = drain(big.answer_steps(predictor, points=[(500, 400)]))
    refine = Refinement(first.window, first.logits[0])
    drain(big.answer_steps(predictor, points=[(500, 400), (520, 410)], labels=[1, 0], refine=refine))
    np.testing.assert_array_equal(predictor.asked[-1]["mask"], first.logits[0])
    assert len(predictor.encoded) == 1
    drain(big.answer_steps(predictor, points=[(500, 400), (900, 410)], labels=[1, 0], refine=refine))
    assert predictor.asked[-1]["mask"] is None


def test_a_refined_answer_that_is_cut_is_asked_anew_and_says_so(big, discs, tiles):
    class Growing(tiles.ComponentPredictor):
        def predict(self, embedding, *, mask=None, **others):
            found = super().predict(embedding, mask=mask, **others)
            return found if mask is None else replace(found, masks=np.ones_like(found.masks))

    predictor = Growing()
    first = drain(big.answer_steps(predictor, points=[(500, 400)]))
    refine = Refinement(first.window, first.logits[0])
    found = drain(big.answer_steps(predictor, points=[(500, 400), (503, 402)], refine=refine))
    assert [one["mask"] is None for one in predictor.asked[:3]] == [True, False, True]
    assert not found.is_refined
    assert iou(found.masks[0], discs.disc_mask(SHAPE, *DISCS["small"])) == 1


def test_an_answer_is_found_again_in_its_window(big, tiles):
    predictor = tiles.ComponentPredictor()
    first = drain(big.answer_steps(predictor, points=[(700, 500)]))
    refine = Refinement(first.window, first.logits[0])
    second = drain(big.answer_steps(predictor, points=[(700, 500), (705, 500)], refine=refine))
    assert (first.is_refined, second.is_refined) == (False, True)
    again = TiledEmbedding(big.image, big.plan)
    found = drain(again.answer_in_steps(predictor, first.window, points=[(700, 500)]))
    logits = found.logits[0]
    both = drain(again.answer_in_steps(predictor, first.window, points=[(700, 500), (705, 500)], logits=logits))
    for one, other in ((found, first), (both, second)):
        np.testing.assert_array_equal(one.masks[0].full(), other.masks[0].full())
        assert (one.window, one.is_refined) == (other.window, other.is_refined)
    assert again.ready == (first.window,), "nothing is looked for elsewhere"
    for window in (Window(0, (0, 850, 128, 978)), Window(1, (0, 0, 256, 256)), Window(9, (0, 0, 1, 1))):
        with pytest.raises(ValueError, match="no window of an image of"):
            drain(again.answer_in_steps(predictor, window, points=[(700, 500)]))


def test_a_mask_as_prompt_is_cut_to_the_window(big, discs, tiles):
    predictor = tiles.ComponentPredictor()
    mask = WindowMask(np.ones((10, 10), bool), (495, 395), SHAPE)
    found = drain(big.answer_steps(predictor, mask=mask))
    asked = predictor.asked[-1]
    assert asked["mask"].sum() == 100
    assert asked["mask"].shape == found.window.shape
    assert iou(found.masks[0], discs.disc_mask(SHAPE, *DISCS["small"])) == 1


def test_a_mask_of_a_coarser_window_is_reduced_at_the_edge_of_an_odd_image(tiles):
    shape = (301, 299)
    big = TiledEmbedding(lazy_image(np.full(shape, 9, np.uint8)), tile_plan(shape, 64))
    mask = WindowMask(np.ones((200, 200), bool), (101, 99), shape)
    found = drain(big.answer_steps(tiles.ComponentPredictor(), mask=mask))
    assert found.masks[0].area == 301 * 299


def test_all_windows_have_the_intensities_of_the_whole_image(tiles):
    image = np.tile(np.arange(800, dtype=np.uint16) * 10, (800, 1))
    big = TiledEmbedding(lazy_image(image), tile_plan((800, 800), 128))
    predictor = tiles.ComponentPredictor()
    for position in ((50, 50), (700, 700)):
        drain(big.answer_steps(predictor, points=[position]))
    assert len(set(predictor.limits)) == 1
    low, high = predictor.limits[0]
    assert low < 100
    assert high > 7800


def test_closing_stops_before_the_encoder_and_nothing_is_kept(big, tiles):
    predictor = tiles.ComponentPredictor()
    steps = big.answer_steps(predictor, points=[(500, 400)])
    next(steps)
    next(steps)
    steps.close()
    assert predictor.encoded == []
    assert big.ready == ()


def test_windows_not_used_for_long_are_dropped(image, tiles):
    big = TiledEmbedding(lazy_image(image), tile_plan(SHAPE, 128), memory=3 * 128 * 128)
    predictor = tiles.ComponentPredictor()
    for col in (100, 300, 500, 700):
        drain(big.answer_steps(predictor, points=[(300, col)], level=3))
        drain(big.embedding_steps(predictor, big.plan.window(0, 2, col // 100)))
    assert len(big.ready) <= 3


@pytest.mark.parametrize("bad", [{"points": [(2000, 0)]}, {}, {"points": np.zeros((2, 1, 2)), "labels": [[1], [1]]}])
def test_prompts_that_do_not_fit_are_refused(big, bad, tiles):
    with pytest.raises(ValueError, match=r"give|asked one prompt"):
        drain(big.answer_steps(tiles.ComponentPredictor(), **bad))


def test_nothing_is_ready_before_something_was_encoded_and_asking_for_it_encodes_nothing(big):
    assert big.ready_window((500, 400, 500, 400)) is None
    assert big.ready == ()
    assert big.image.levels[0].read == []


@pytest.mark.parametrize(("name", "level"), [("small", None), ("at an edge", None), ("large", None), ("large", 2)])
def test_a_prompt_is_ready_in_the_window_that_was_asked_first_and_not_in_a_later_one(big, image, tiles, name, level):
    row, col, _ = DISCS[name]
    extent = (row, col, row, col)
    predictor = tiles.ComponentPredictor()
    drain(big.answer_steps(predictor, points=[(row, col)], level=level))
    first, count = (
        big.ready[0],
        len(predictor.encoded),
    )  # the large disc needs coarser ones after it, unless seen whole
    found = big.ready_window(extent, level=level)
    assert found.window == first
    assert found.logits is None
    assert len(predictor.encoded) == count
    top, left, bottom, right = (side * first.factor for side in first.box)
    seen = image[top:bottom, left:right][:: first.factor, :: first.factor]
    near = np.abs(found.embedding.pixels.astype(int) - seen) < 60
    assert near.mean() > 0.95, "the embedding is that of the window"


def test_a_window_of_another_level_does_not_serve(big, tiles):
    drain(big.answer_steps(tiles.ComponentPredictor(), points=[(500, 400)]))
    assert big.ready_window((500, 400, 500, 400), level=2) is None
    assert big.ready_window((300, 200, 700, 600)) is None  # a box of this size is asked at a coarser level
    assert big.ready_window((495, 395, 505, 405)) is not None


def test_a_prompt_that_adds_to_an_answer_is_ready_where_that_was_given(big, tiles):
    found = drain(big.answer_steps(tiles.ComponentPredictor(), points=[(700, 500)]))
    refine = Refinement(found.window, found.logits[0])
    here = big.ready_window((700, 500, 705, 510), level=0, refine=refine)
    assert here.window == found.window != big.ready[0]
    assert here.logits is refine.logits
    away = (100, 100, 700, 500)  # leaves the window of the answer
    assert big.plan.margin(found.window, away) < 0
    assert big.ready_window(away, refine=refine) is None


def test_a_prompt_is_not_ready_where_the_window_of_its_answer_was_dropped(image, tiles):
    big = TiledEmbedding(lazy_image(image), tile_plan(SHAPE, 128), memory=128 * 128)
    predictor = tiles.ComponentPredictor()
    found = drain(big.answer_steps(predictor, points=[(500, 400)]))
    refine = Refinement(found.window, found.logits[0])
    assert big.ready_window((500, 400, 500, 400), refine=refine) is not None
    drain(big.answer_steps(predictor, points=[(900, 800)]))
    assert big.ready_window((500, 400, 500, 400), refine=refine) is None
