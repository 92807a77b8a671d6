"""Corrections from a slice on, divisions, and propagation as work that is closed, with an oracle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.propagation_scene import SpyOracle, correct, origins, point, run, squares

from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation import propagate_steps
from napari_segany.engine.propagation_embeddings import StackEmbeddings
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import PropagationEnd, PropagationProgress, SlicePrompt
from napari_segany.formats.rle import RunLengths


class TestDivision:
    @pytest.fixture
    def dividing(self):
        """Object 1 becomes 2 and 3 on slice 4."""
        labels = squares(8, (2, 8, 24, 10, range(4, 8)), (3, 24, 24, 10, range(4, 8)))
        labels[:4, 8:34, 24:34] = 1
        return labels, {2: 1, 3: 1}

    def test_the_parts_go_on_as_children(self, dividing):
        labels, parents = dividing
        found = run(SpyOracle(labels, parents), [point(1, 0, 20, 28)], divisions=True)
        np.testing.assert_array_equal(found.labels(), labels)
        (division,) = found.divisions
        assert (division.parent, division.children, division.slice_index) == (1, (2, 3), 4)
        assert found.ends == (PropagationEnd(1, 4, 1, "divided"),)

    def test_new_numbers_are_above_all_others(self, dividing):
        labels, parents = dividing
        oracle = SpyOracle(labels, parents)
        prompts = [point(7, 0, 20, 28)]
        steps = propagate_steps(
            oracle, oracle.embeddings, prompts, 8, PropagationSettings(divisions=True), new_ids_from=50
        )
        assert drain(steps).divisions[0].children == (50, 51)
        assert run(oracle, prompts, divisions=True).divisions[0].children == (8, 9)

    def test_in_a_volume_the_parts_stay_one_object(self, dividing):
        labels, parents = dividing
        found = run(SpyOracle(labels, parents), [point(1, 0, 20, 28)])
        np.testing.assert_array_equal(found.labels(), labels > 0)
        assert found.divisions == ()

    def test_an_object_of_two_parts_from_the_start_has_not_divided(self, dividing):
        labels = np.repeat(dividing[0][4:5], 6, axis=0)
        both = labels[0] > 0
        prompt = SlicePrompt(1, 0, accepted=RunLengths.from_mask(both))
        found = run(SpyOracle(labels, dividing[1]), [prompt], divisions=True)
        np.testing.assert_array_equal(found.labels(), labels > 0)

    def test_a_doubt_is_settled_by_asking(self, dividing):
        """The oracle answers with one mask over both; only the questions for the parts show that they are two."""
        labels, parents = dividing
        labels = labels.copy()

        class Bridging(SpyOracle):
            def answer(self, embedding, prompt, *, multimask=None):
                answer = super().answer(embedding, prompt, multimask=multimask)
                for mask in answer.masks[:, 0] if prompt.points is None else ():
                    mask[8:34, 24:34] = True  # what it was shown
                return answer

        oracle = Bridging(labels, parents, predicted={(3, 4): 0.4})
        assert run(oracle, [point(1, 0, 20, 28)], divisions=True).divisions == (), "the parts are doubted as well"
        sure = Bridging(labels, parents, predicted={(3, 4): 0.84})
        np.testing.assert_array_equal(run(sure, [point(1, 0, 20, 28)], divisions=True).slice_labels(4), labels[4])

    def test_a_correction_before_it_undoes_it(self, dividing):
        labels, parents = dividing
        oracle = SpyOracle(labels, parents)
        before = run(oracle, [point(1, 0, 20, 28)], divisions=True)
        stopped = correct(oracle, before, point(1, 2, 20, 28, label=0), divisions=True)
        assert stopped.object_ids == (1,)
        assert list(stopped.slices) == [0, 1]
        assert stopped.divisions == ()
        again = correct(oracle, stopped, point(1, 2, 20, 28), divisions=True)
        assert [mask.origin for mask in again.masks_of(1)] == [0, 0, 2, 2]
        np.testing.assert_array_equal(again.labels() > 0, labels > 0)

    def test_a_child_is_corrected_alone_and_not_before_its_birth(self, dividing):
        labels, parents = dividing
        oracle = SpyOracle(labels, parents)
        before = run(oracle, [point(1, 0, 20, 28)], divisions=True)
        after = correct(oracle, before, point(2, 6, 12, 28, label=0), divisions=True)
        assert [mask.slice_index for mask in after.masks_of(2)] == [4, 5]
        assert [mask.slice_index for mask in after.masks_of(3)] == [4, 5, 6, 7]
        back = correct(oracle, after, point(2, 6, 12, 28), divisions=True)
        np.testing.assert_array_equal(back.labels(), labels)


class TestCorrection:
    def test_from_there_on_and_no_further(self, still):
        oracle = SpyOracle(still)
        before = run(oracle, [point(1, 2, 14, 14), point(2, 4, 46, 46)])
        oracle.asked_for.clear()
        after = correct(oracle, before, point(1, 5, 14, 14))
        assert origins(after) == {**dict.fromkeys(range(5), 2), **dict.fromkeys(range(5, 10), 5)}
        assert oracle.asked_for == [5, 6, 7, 8, 9]
        for index in range(5):
            assert after.mask(1, index) is before.mask(1, index), "earlier slices stay"
        for index in range(2, 8):
            assert after.mask(2, index) is before.mask(2, index), "other objects stay"
        assert len(after.prompts) == 3

    def test_on_the_way_backwards_it_goes_backwards(self, still):
        oracle = SpyOracle(still)
        before = run(oracle, [point(1, 6, 14, 14)])
        after = correct(oracle, before, point(1, 3, 14, 14))
        assert origins(after) == {**dict.fromkeys(range(4), 3), **dict.fromkeys(range(4, 10), 6)}

    def test_up_to_the_next_prompt(self, still):
        oracle = SpyOracle(still)
        before = run(oracle, [point(1, 0, 14, 14), point(1, 8, 14, 14)])  # meet after 4
        after = correct(oracle, before, point(1, 2, 14, 14))  # came from 0; then 2 and 8 meet after 5
        assert origins(after) == {0: 0, 1: 0, 2: 2, 3: 2, 4: 2, 5: 2, 6: 8, 7: 8, 8: 8, 9: 8}

    def test_a_lost_object_is_taken_up_and_the_gap_filled(self, still):
        doubted = {(1, 5): 0.1}
        oracle = SpyOracle(still, predicted=doubted)
        before = run(oracle, [point(1, 2, 14, 14)])
        assert list(before.slices) == [0, 1, 2, 3, 4]
        doubted.clear()
        oracle.predicted.clear()
        after = correct(oracle, before, point(1, 7, 14, 14))
        assert origins(after) == {**dict.fromkeys(range(5), 2), **dict.fromkeys(range(5, 10), 7)}
        assert after.ends == (), "it reaches the slice that it stopped before"

    def test_a_background_point_ends_it_there(self, still):
        oracle = SpyOracle(still)
        before = run(oracle, [point(1, 2, 14, 14)])
        oracle.questions.clear()
        after = correct(oracle, before, point(1, 6, 14, 14, label=0))
        assert origins(after) == dict.fromkeys(range(6), 2)
        assert oracle.questions == []

    def test_the_same_slice_again_replaces_the_prompt(self, still):
        oracle = SpyOracle(still)
        before = run(oracle, [point(1, 4, 30, 2)])  # a click on nothing
        after = correct(oracle, before, point(1, 4, 14, 14))
        np.testing.assert_array_equal(after.labels(), still == 1)
        assert len(after.prompts) == 1
        assert after.ends == ()

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=1, max_size=5))
    def test_any_clicks_in_any_order(self, clicks):
        """What a click leaves of a still object: all slices up to the next background point on either side."""
        labels = squares(8, (1, 8, 8, 12, range(8)))
        oracle = SpyOracle(labels)
        first, *others = clicks
        found = run(oracle, [point(1, first[0], 14, 14, int(first[1]))])
        said = dict([first])
        for index, positive in others:
            found = correct(oracle, found, point(1, index, 14, 14, int(positive)))
            said[index] = positive
            assert found.mask(1, index) is None or positive
        filled = {mask.slice_index for mask in found.masks_of(1)}
        assert {index for index, positive in said.items() if positive} <= filled
        assert not filled & {index for index, positive in said.items() if not positive}
        for mask in found.masks_of(1):
            assert said.get(mask.origin), "a mask comes from a prompt that still says so"
        assert {prompt.slice_index for prompt in found.prompts} == set(said)


class TestAsWork:
    def test_it_can_be_closed_after_any_slice_and_gone_on_with(self, still):
        oracle = SpyOracle(still)
        steps = propagate_steps(oracle, oracle.embeddings, [point(1, 2, 14, 14)], 10)
        for progress in steps:
            assert isinstance(progress, PropagationProgress)
            if progress.changed == 5:
                steps.close()
        asked = len(oracle.questions)
        assert origins(progress.so_far) == dict.fromkeys([0, 1, 2, 3, 4, 5], 2)
        with pytest.raises(TypeError):
            progress.so_far.slices[0] = ()
        after = correct(oracle, progress.so_far, point(1, 5, 14, 14))
        np.testing.assert_array_equal(after.labels(), still == 1)
        assert len(oracle.questions) == asked + 1 + 4

    def test_it_tells_how_far_it_is_and_what_comes_next(self, still):
        oracle = SpyOracle(still)
        prompts = [point(1, 4, 14, 14), point(2, 4, 46, 46)]
        seen = list(propagate_steps(oracle, oracle.embeddings, prompts, 10))
        assert seen[0].upcoming[:5] == (4, 5, 3, 6, 2)
        done = [progress.done for progress in seen]
        assert done == sorted(done)
        assert done[0] == 0
        assert (seen[-1].done, seen[-1].total) == (20, 20)
        assert [progress.changed for progress in seen if progress.changed is not None] == oracle.asked_for
        for before, after in pairwise(seen):
            if after.changed is not None:
                assert after.changed == before.upcoming[0]

    def test_a_real_model_from_end_to_end(self, predictor: Predictor):
        stack = np.random.default_rng(0).integers(0, 4096, (5, 60, 100)).astype(np.uint16)
        embeddings = StackEmbeddings(predictor, stack)
        prompts = [
            SlicePrompt(1, 0, Prompt.checked([(20, 30)], image_shape=(60, 100))),
            SlicePrompt(2, 0, Prompt.checked(box=(5, 5, 40, 60), image_shape=(60, 100))),
            SlicePrompt(3, 4, Prompt.checked([(20, 30), (1, 1)], [1, 0], image_shape=(60, 100))),
        ]
        loose = PropagationSettings(min_overlap=0, min_predicted_iou=-10, min_predicted_share=0, max_shared=1)
        found = drain(propagate_steps(predictor, embeddings, prompts, 5, loose))
        assert found.labels().shape == (5, 60, 100)
        embedding = drain(embeddings(0))
        expected = predictor.predict(embedding, points=[(20, 30)])
        np.testing.assert_array_equal(found.mask(1, 0).record.mask, expected.masks[0])
        following = predictor.predict(
            drain(embeddings(1)),
            box=_box(expected.masks[0], 0.1),
            mask=expected.logits[0],
        )
        np.testing.assert_array_equal(found.mask(1, 1).record.mask, following.masks[0])


def _box(mask, margin):
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    reach = [max(0.5, margin * len(range(side[0], side[-1] + 1))) for side in (rows, cols)]
    low = [max(-0.5, side[0] - by) for side, by in zip((rows, cols), reach, strict=True)]
    high = [min(size - 0.5, side[-1] + by) for side, by, size in zip((rows, cols), reach, mask.shape, strict=True)]
    return (*low, *high)
