"""Objects through stacks, from one prompt and between several, with an oracle that answers from the truth."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.propagation_scene import SIDE, SpyOracle, origins, point, run, squares

from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation import propagate_steps
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import PropagationEnd, SlicePrompt
from napari_segany.evaluation.propagation_oracle import Oracle
from napari_segany.formats.rle import RunLengths


class TestFromOnePrompt:
    def test_both_ways_to_the_ends_and_where_the_object_is_gone(self, still):
        oracle = SpyOracle(still)
        found = run(oracle, [point(1, 4, 14, 14), point(2, 4, 46, 46)])
        np.testing.assert_array_equal(found.labels(), still)
        assert found.labels().dtype == np.uint32
        assert found.object_ids == (1, 2)
        assert set(found.ends) == {PropagationEnd(2, 8, 1, "vanished"), PropagationEnd(2, 1, -1, "vanished")}
        prompted = found.mask(1, 4)
        assert prompted.overlap is None
        assert prompted.record.prompt["points"] == [[14, 14]]
        assert found.mask(1, 5).overlap == 1
        assert found.mask(2, 9) is None

    def test_all_objects_of_a_slice_are_one_question(self, still):
        oracle = SpyOracle(still)
        run(oracle, [point(1, 4, 14, 14), point(2, 4, 46, 46)])
        assert oracle.questions[0] == (4, 2, False)
        assert oracle.questions[1:5] == [(5, 2, True), (3, 2, True), (6, 2, True), (2, 2, True)], "nearest first"
        assert len(oracle.questions) == 1 + 9
        assert oracle.asked_for == [index for index, *_ in oracle.questions]

    def test_objects_of_different_slices_come_together(self, still):
        oracle = SpyOracle(still)
        run(oracle, [point(1, 0, 14, 14), point(2, 3, 46, 46)], direction="forwards")
        assert [question for question in oracle.questions if question[2]] == [
            (1, 1, True), (2, 1, True), (3, 1, True), *((index, 2, True) for index in range(4, 9)), (9, 1, True),
        ]  # fmt: skip

    @pytest.mark.parametrize(("direction", "expected"), [("forwards", range(4, 10)), ("backwards", range(5))])
    def test_one_way(self, still, direction, expected):
        found = run(SpyOracle(still), [point(1, 4, 14, 14)], direction=direction)
        assert list(found.slices) == list(expected)

    def test_a_jump_and_a_doubt_stop_it(self, still):
        jumping = still.copy()
        jumping[7:] = np.roll(jumping[7:], 9, axis=2)  # 3 of 12 columns are shared: IoU 3 / 21
        found = run(SpyOracle(jumping), [point(1, 4, 14, 14)])
        assert list(found.slices) == list(range(7))
        assert found.ends == (PropagationEnd(1, 7, 1, "overlap"),)
        assert list(run(SpyOracle(jumping), [point(1, 4, 14, 14)], min_overlap=0.1).slices) == list(range(10))

        doubted = SpyOracle(still, predicted={(1, 6): 0.4, (1, 2): 0.75})
        found = run(doubted, [point(1, 4, 14, 14)])
        assert list(found.slices) == [3, 4, 5], "0.75 is less than 0.8 of 0.95"
        assert {end.reason for end in found.ends} == {"predicted_iou"}
        found = run(doubted, [point(1, 4, 14, 14)], min_predicted_share=0.7)
        assert list(found.slices) == [0, 1, 2, 3, 4, 5]
        found = run(doubted, [point(1, 4, 14, 14)], min_predicted_share=0, min_predicted_iou=0.3)
        assert list(found.slices) == list(range(10))

    def test_a_prompt_on_nothing_is_told(self, still):
        found = run(SpyOracle(still), [point(1, 4, 30, 2), point(2, 4, 46, 46)])
        assert found.object_ids == (2,)
        assert PropagationEnd(1, 4, 0, "vanished") in found.ends

    def test_an_accepted_mask_is_not_asked_for(self, still):
        oracle = SpyOracle(still)
        half = still[4] == 1
        half[:, :12] = False
        found = run(oracle, [SlicePrompt(1, 4, accepted=RunLengths.from_mask(half))])
        np.testing.assert_array_equal(found.slice_labels(4), half)
        np.testing.assert_array_equal(found.slice_labels(5), still[5] == 1)
        assert found.mask(1, 4).record.predicted_iou is None
        assert oracle.questions[0][0] == 5


class TestBetweenPrompts:
    def test_they_meet_in_the_middle(self, still):
        found = run(SpyOracle(still), [point(1, 2, 14, 14), point(1, 7, 14, 14)])
        assert origins(found) == {**dict.fromkeys(range(5), 2), **dict.fromkeys(range(5, 10), 7)}
        assert found.ends == ()

    def test_where_one_stops_the_other_goes_on(self, still):
        hidden = still.copy()
        hidden[3][hidden[3] == 1] = 0
        found = run(SpyOracle(hidden), [point(1, 2, 14, 14), point(1, 8, 14, 14)])
        assert origins(found) == {0: 2, 1: 2, 2: 2, **dict.fromkeys(range(4, 10), 8)}
        assert set(found.ends) == {PropagationEnd(1, 3, 1, "vanished"), PropagationEnd(1, 3, -1, "vanished")}

    def test_the_better_of_both_ways_is_kept_slice_by_slice(self, still):
        class Tiring(SpyOracle):
            """Predicts less with every slice."""

            def answer(self, embedding, prompt, *, multimask=None):
                answer = super().answer(embedding, prompt, multimask=multimask)
                if prompt.mask is not None:
                    answer.predicted_iou[:] = 0.9 - 0.01 * len(self.questions)
                return answer

        prompts = [point(1, 2, 14, 14), point(1, 7, 14, 14)]
        found = run(Tiring(still), prompts, between="best")
        assert origins(found) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 5: 7, 6: 7, 7: 7, 8: 7, 9: 7}
        oracle = SpyOracle(still, predicted={(1, 4): 0.9})
        run(oracle, prompts, between="best")
        assert sorted(index for index, _, by_mask in oracle.questions if by_mask and 2 < index < 7) == [
            3, 3, 4, 4, 5, 5, 6, 6,
        ]  # fmt: skip

    def test_fronts_that_do_not_fit_together_are_told(self):
        labels = squares(8, (1, 8, 8, 12, range(4)), (2, 40, 40, 12, range(4, 8)))
        found = run(SpyOracle(labels), [point(1, 1, 14, 14), point(1, 6, 46, 46)])
        np.testing.assert_array_equal(found.labels(), labels > 0)
        assert found.ends == (PropagationEnd(1, 3, 1, "seam"),)

    def test_nothing_passes_a_background_point(self, still):
        found = run(SpyOracle(still), [point(1, 2, 14, 14), point(1, 5, 14, 14, label=0), point(1, 8, 14, 14)])
        assert origins(found) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 6: 8, 7: 8, 8: 8, 9: 8}
        assert found.ends == ()


class TestOtherObjects:
    def test_two_that_run_into_one_are_told_apart(self):
        # Object 2 ends on slice 3; on slice 4 object 1, which goes on, has moved into its place.
        labels = squares(7, (2, 20, 28, 12, range(4)))
        for index in range(7):
            left = 16 if index < 4 else 20
            labels[index, 20:32, left : left + 12] = np.where(labels[index, 20:32, left : left + 12] == 2, 2, 1)
        found = run(SpyOracle(labels), [point(1, 0, 26, 18), point(2, 0, 26, 38)], min_overlap=0.15)
        np.testing.assert_array_equal(found.slice_labels(5), labels[5])
        assert found.ends == (PropagationEnd(2, 4, 1, "taken"),)
        both = run(SpyOracle(labels), [point(1, 0, 26, 18), point(2, 0, 26, 38)], min_overlap=0.15, max_shared=1)
        assert {mask.object_id for mask in both.slices[5]} == {1, 2}

    def test_two_that_are_alike_from_the_start_both_go_on(self, still):
        found = run(SpyOracle(still), [point(1, 4, 14, 14), point(3, 4, 15, 15)])
        assert len(list(found.masks_of(1))) == len(list(found.masks_of(3))) == 10


class TestRefusals:
    @pytest.mark.parametrize(
        ("prompts", "message"),
        [
            ([], "no prompt"),
            ([point(1, 10, 1, 1)], "slice 10; the stack has 10, from 0 to 9"),
            ([point(1, 1, 1, 1), point(1, 1, 2, 2)], "two prompts on slice 1"),
            (
                [point(1, 1, 1, 1), SlicePrompt(2, 1, Prompt.checked([(1, 1)], image_shape=(32, 32)))],
                r"\(32, 32\).*\(64, 64\)",
            ),
        ],
    )
    def test_prompts_that_do_not_fit(self, still, prompts, message):
        with pytest.raises(ValueError, match=message):
            run(SpyOracle(still), prompts)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"object_id": 0}, "number is 0"),
            ({"slice_index": -1}, "slices count from 0"),
            ({"prompt": None}, "neither a prompt nor a mask"),
            ({"prompt": Prompt.checked([[(1, 1)]], image_shape=(8, 8))}, "a batch of 1"),
            ({"accepted": RunLengths.from_mask(np.zeros((4, 4), bool))}, "is empty"),
        ],
    )
    def test_what_is_no_prompt_of_a_slice(self, values, message):
        whole = {"object_id": 1, "slice_index": 0, "prompt": Prompt.checked([(1, 1)], image_shape=(8, 8))}
        with pytest.raises(ValueError, match=message):
            SlicePrompt(**(whole | values))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"direction": "up"}, "forwards"),
            ({"between": "half"}, "meet"),
            ({"min_overlap": 1.5}, "0 to 1"),
            ({"min_overlap": float("nan")}, "nan"),
            ({"min_area": 0}, "from 1"),
            ({"min_area": 1.5}, "whole number"),
            ({"use_box": False, "use_mask": False}, "both off"),
        ],
    )
    def test_settings_out_of_range(self, changes, message):
        with pytest.raises(ValueError, match=message):
            PropagationSettings(**changes)

    def test_embeddings_of_another_stack(self, still):
        other = Oracle(still[:, :32, :32])
        steps = propagate_steps(SpyOracle(still), other.embeddings, [point(1, 4, 14, 14)], 10)
        with pytest.raises(ValueError, match=r"\(32, 32\).*\(64, 64\)"):
            drain(steps)

    def test_labels_go_into_an_array_of_the_right_shape_only(self, still):
        found = run(SpyOracle(still), [point(1, 4, 14, 14)])
        target = np.full((10, SIDE, SIDE), 7, np.uint32)
        assert found.labels(target) is target
        np.testing.assert_array_equal(target, still == 1)
        with pytest.raises(ValueError, match="shape"):
            found.labels(np.zeros((9, SIDE, SIDE), np.uint32))
