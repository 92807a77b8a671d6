"""The drawn stacks, the oracle, and the counting of errors, by hand."""

from __future__ import annotations

import dataclasses
import runpy
import sys

import numpy as np
import pytest
from scipy import ndimage

from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import Division, Propagation, SliceMask
from napari_segany.evaluation.propagation import measure_steps, outcome, prompts_for
from napari_segany.evaluation.propagation_oracle import Oracle
from napari_segany.evaluation.propagation_report import propagation_table
from napari_segany.evaluation.propagation_stack import KINDS, DrawnStack, draw_stack
from napari_segany.formats.record import MaskRecord


@pytest.fixture(scope="module")
def stack() -> DrawnStack:
    return draw_stack(3, slices=12, cells=3)


class TestDrawnStack:
    def test_it_is_what_it_says(self, stack):
        assert stack.image.shape == stack.labels.shape == (12, 192, 192)
        assert stack.image.dtype == np.uint8
        assert set(stack.kinds.values()) == set(KINDS)
        np.testing.assert_array_equal(draw_stack(3, slices=12, cells=3).image, stack.image)
        assert not np.array_equal(draw_stack(4, slices=12, cells=3).image, stack.image)

    def test_every_object_is_one_piece_and_brighter_than_its_ground(self, stack):
        for number in stack.kinds:
            slices = stack.slices_of(number)
            assert slices == tuple(range(slices[0], slices[-1] + 1))
            for index in slices:
                mask = stack.labels[index] == number
                assert ndimage.label(mask)[1] == 1
                around = ndimage.binary_dilation(mask, iterations=6) & (stack.labels[index] == 0)
                assert stack.image[index][mask].mean() > stack.image[index][around].mean() + 15

    def test_each_kind_does_what_it_is_called(self, stack):
        def centre(number, index):
            return np.array(ndimage.center_of_mass(stack.labels[index] == number))

        def area(number, index):
            return np.count_nonzero(stack.labels[index] == number)

        for number in stack.roots:
            kind, slices = stack.kinds[number], stack.slices_of(number)
            if kind == "moving":
                assert np.linalg.norm(centre(number, 11) - centre(number, 0)) > 20
            if kind == "growing":
                assert max(area(number, 0), area(number, 11)) > 4 * min(area(number, 0), area(number, 11))
            if kind == "vanishing":
                assert slices[-1] < 11
            if kind == "dividing":
                children = [child for child, parent in stack.parents.items() if parent == number]
                assert len(children) == 2
                for child in children:
                    assert stack.slices_of(child) == tuple(range(slices[-1] + 1, 12))
                apart = [stack.labels[slices[-1] + 1] == child for child in children]
                assert ndimage.distance_transform_edt(~apart[0])[apart[1]].min() > 3
            if kind == "touching":
                touched = ndimage.binary_dilation(stack.labels[5] == number) & (stack.labels[5] > 0)
                assert len(np.unique(stack.labels[5][touched])) == 2

    def test_too_small_a_stack_is_told(self):
        with pytest.raises(ValueError, match="8 slices"):
            draw_stack(0, slices=3)


def test_the_oracle_answers_with_the_object_that_fits():
    labels = np.zeros((1, 32, 48), np.uint16)
    labels[0, 4:12, 4:12], labels[0, 4:12, 20:28], labels[0, 20:28, 4:12] = 1, 2, 3
    oracle = Oracle(labels, {1: 9, 2: 9})
    embedding = drain(oracle.embeddings(0))

    def answer(**said):
        prompt = Prompt.checked(**said, image_shape=(32, 48), logits_shape=embedding.logits_shape)
        found = oracle.answer(embedding, prompt)
        return set(np.unique(labels[0][found.masks[0]]).tolist()), found

    assert answer(points=[(5, 5)])[0] == {1}
    assert answer(points=[(5, 5), (21, 5)], labels=[0, 1])[0] == {3}
    assert answer(points=[(15, 15)])[0] == set()
    assert answer(points=[(15, 15)])[1].predicted_iou == [0]
    assert answer(box=(18, 2, 30, 14))[0] == {3}
    assert answer(mask=labels[0] == 2)[0] == {2}
    assert answer(mask=labels[0] > 0)[0] == {1, 2}, "siblings, each 1/3 of what is shown"
    _, found = answer(points=[(5, 5)])
    np.testing.assert_array_equal(np.kron(found.logits[0] > 0, np.ones((4, 4))), found.masks[0])
    assert answer(mask=found.logits[0])[0] == {1}
    with pytest.raises(ValueError, match="multiples of 16"):
        Oracle(np.zeros((1, 30, 48), np.uint8))


@pytest.mark.parametrize("places", ["first", "middle", "ends"])
@pytest.mark.parametrize("form", ["point", "box"])
def test_perfect_answers_give_perfect_tracks(stack, form, places):
    oracle = Oracle(stack.labels, stack.parents)
    prompts = prompts_for(stack, form, places)
    assert {prompt.object_id for prompt in prompts} == set(stack.roots)
    found = drain(measure_steps(oracle, oracle.embeddings, stack, prompts, PropagationSettings(divisions=True)))
    assert len(found.objects) == len(stack.kinds)
    for single in found.objects:
        assert (single.iou, single.slice_iou) == (1, 1), single
        assert single.lost == single.switched == single.false == 0
    assert (found.divisions, found.divisions_found, found.divisions_false) == (2, 2, 0)


class TestCounting:
    """Eight slices of 16 x 32: object 1 on slices 0 to 5 at the left, object 2 on all at the right."""

    @pytest.fixture
    def truth(self) -> DrawnStack:
        labels = np.zeros((8, 16, 32), np.uint32)
        labels[:6, 2:10, 2:10] = 1
        labels[:, 2:10, 20:28] = 2
        return DrawnStack(np.zeros(labels.shape, np.uint8), labels, {1: "moving", 2: "growing"}, {})

    @staticmethod
    def found(truth, masks, divisions=()):
        """Make a propagation of {object: {slice: mask}}."""
        slices = {
            index: tuple(
                SliceMask(number, index, 0, MaskRecord.from_mask(own[index]))
                for number, own in sorted(masks.items())
                if index in own
            )
            for index in range(len(truth.labels))
        }
        return Propagation(truth.labels.shape, (), slices, divisions=divisions)

    def test_errors_of_identity(self, truth):
        left, right = truth.labels[0] == 1, truth.labels[0] == 2
        masks = {
            # slice 1 and 3 lost, 4 on the other object, 5 right, 6 false, 7 none
            1: {0: left, 2: left, 4: right, 5: left, 6: left},
            2: dict.fromkeys(range(8), right),
        }
        first, second = outcome(self.found(truth, masks), truth).objects
        assert (first.slices, first.lost, first.switched, first.false) == (6, 2, 1, 1)
        assert (first.losses, first.switches, first.continuations) == (2, 1, 1)
        assert first.slice_iou == pytest.approx(3 / 6)
        # 3 slices shared; 6 slices of truth, and 2 masks of the same size elsewhere
        assert first.iou == pytest.approx(3 / 8)
        assert (second.iou, second.lost, second.switched, second.false) == (1, 0, 0, 0)

    def test_nothing_found_is_everything_lost(self, truth):
        first, second = outcome(self.found(truth, {}), truth).objects
        assert (first.iou, first.lost, first.losses) == (0, 6, 1)
        assert (second.iou, second.lost, second.losses) == (0, 8, 1)

    def test_children_are_those_that_fit_best(self, truth):
        labels = truth.labels.copy()
        labels[4:] = 0
        labels[4:, :8, 2:8], labels[4:, 10:, 2:8] = 3, 4
        parting = dataclasses.replace(
            truth, labels=labels, kinds={1: "dividing", 3: "x", 4: "x"}, parents={3: 1, 4: 1}
        )
        upper, lower, whole = labels[4] == 3, labels[4] == 4, labels[0] == 1
        masks = {1: dict.fromkeys(range(4), whole), 7: dict.fromkeys(range(4, 8), lower), 8: {4: upper, 5: upper}}
        found = outcome(self.found(parting, masks, (Division(1, (7, 8), 4),)), parting)
        assert [(one.object_id, one.lost) for one in found.objects] == [(1, 0), (3, 2), (4, 0)]
        assert (found.divisions, found.divisions_found, found.divisions_false) == (1, 1, 0)
        missed = outcome(self.found(parting, {1: dict.fromkeys(range(8), whole)}), parting)
        assert [(one.object_id, one.lost, one.false) for one in missed.objects] == [(1, 0, 4), (3, 4, 0), (4, 4, 0)]
        assert (missed.divisions_found, missed.divisions_false) == (0, 0)
        invented = outcome(self.found(truth, {2: {0: lower}}, (Division(2, (7, 8), 4),)), truth)
        assert (invented.divisions, invented.divisions_found, invented.divisions_false) == (0, 0, 1)

    def test_the_table_sums_up(self, truth):
        left, right = truth.labels[0] == 1, truth.labels[0] == 2
        masks = {1: {0: left, 2: left, 4: right, 5: left, 6: left}, 2: dict.fromkeys(range(8), right)}
        found = outcome(self.found(truth, masks), truth)
        lines = propagation_table({"a": [found, found], "b": [found]}).splitlines()
        assert len(lines) == 2 + 3 + 3
        cells = [cell.strip() for cell in lines[4].split("|")[1:-1]]
        assert cells[:4] == ["a", "**all**", "4", "28"]
        assert cells[4].startswith(f"{(1 + 3 / 8) / 2:.3f} (")
        assert cells[5:] == ["4 (4)", "2 (2)", "2 (2)", "0 of 0, 0 false"]

    def test_another_stack_is_refused(self, truth):
        with pytest.raises(ValueError, match="shape"):
            outcome(Propagation((8, 16, 16), ()), truth)


def test_the_benchmark_runs(project, monkeypatch, capsys, tmp_path):
    out = tmp_path / "outcomes.json"
    arguments = ["oracle", "--stacks", "1", "--slices", "8", "--cells", "1", "--output", str(out)]
    monkeypatch.setattr(sys, "argv", ["propagation.py", *arguments])
    runpy.run_path(str(project / "benchmarks" / "propagation.py"), run_name="__main__")
    assert "| oracle, point on first | moving | 1 | 8 | 1.000" in capsys.readouterr().out
    assert out.is_file()
