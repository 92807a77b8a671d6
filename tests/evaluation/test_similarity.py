"""The protocol for finding similar objects: what counts as found, what the rankings get, and going on with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_segany.engine.mask_embedding import MaskEmbeddings
from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.ranking import average_precision
from napari_segany.evaluation.report import to_csv, to_text
from napari_segany.evaluation.similarity import (
    SimilarityProtocol,
    by_area,
    describer,
    image_score,
    relevance,
    similarity,
)
from napari_segany.evaluation.similarity_report import columns, dataset_rows
from napari_segany.evaluation.similarity_scores import SimilarityScore, SimilarityScoreFile, read_similarity_scores
from napari_segany.formats.record import MaskRecord

RUN = {"model": "squares", "chosen": 3}


@pytest.fixture
def six_squares() -> np.ndarray:
    """Four squares of 6 x 6 pixels, numbered from 1; grey levels 5 and 6 are of no object."""
    pixels = np.zeros((40, 60), np.uint8)
    for number in (1, 2, 3, 4):
        pixels[5:11, 12 * number : 12 * number + 6] = number
    pixels[20:26, 12:18] = 5
    pixels[30:32, 12:14] = 6
    return pixels


@pytest.fixture
def samples(write_dataset, six_squares):
    write_dataset("cells", {"a": six_squares, "b": six_squares})
    folder = write_dataset("few", {"c": np.where(six_squares == 1, six_squares, 0).astype(np.uint8)})
    found = find_samples(folder)
    for sample in found:
        labels = sample.read_labels()
        Image.fromarray(np.where(labels > 4, 0, labels).astype(np.uint8)).save(sample.label_path)
    return found


class Squares:
    """Takes the image for a label image: a mask of every grey level, and a second, smaller one of the first."""

    def __init__(self) -> None:
        self.images = 0
        self.closed = 0

    def run(self, image):
        try:
            yield Progress(0, 1, "asking")
            self.images += 1
            levels = [level for level in np.unique(image) if level]
            masks = [image == level for level in levels]
            masks.append(masks[0].copy())
            masks[-1][:6] = False  # five of six rows
            return [MaskRecord.from_mask(mask, predicted_iou=0.5 + 0.01 * level) for level, mask in enumerate(masks)]
        finally:
            self.closed += 1


def describe(image, records):
    """Objects look alike; level 5 looks somewhat like them; level 6 does not."""
    yield Progress(0, 1, "looking")
    looks = {5: (0.8, 0.6), 6: (0.0, 1.0)}
    vectors = [looks.get(int(image[record.mask].max()), (1.0, 0.0)) for record in records]
    areas = np.array([record.area for record in records])
    return {"similar": MaskEmbeddings(np.array(vectors, np.float32), areas, "image", "squares")}


# --- average precision ----------------------------------------------------------------------------


def test_average_precision_by_hand():
    assert average_precision([1, 0, 1, 0], [4, 3, 2, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([0, 1], [2, 1]) == pytest.approx(0.5)
    assert average_precision([1, 1], [1, 2]) == 1
    # Both relevant ones are tied with one that is not: precision 2/3 for both.
    assert average_precision([1, 0, 1, 0], [3, 3, 3, 1]) == pytest.approx(2 / 3)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=12), st.randoms())
def test_average_precision_is_the_area_of_steps_and_knows_no_order(items, random):
    if not any(relevant for relevant, _ in items):
        with pytest.raises(ValueError, match="no item is relevant"):
            average_precision(*zip(*items, strict=True))
        return
    expected, before = 0.0, 0
    wanted = sum(relevant for relevant, _ in items)
    for threshold in sorted({score for _, score in items}, reverse=True):
        taken = [relevant for relevant, score in items if score >= threshold]
        expected += (sum(taken) - before) / wanted * sum(taken) / len(taken)
        before = sum(taken)
    shuffled = random.sample(items, len(items))
    assert average_precision(*zip(*shuffled, strict=True)) == pytest.approx(expected)


def test_rankings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="both must be"):
        average_precision([True], [1, 2])
    with pytest.raises(ValueError, match="NaN"):
        average_precision([True, False], [1, math.nan])


# --- what counts ----------------------------------------------------------------------------------


def test_each_object_is_found_once_and_its_second_masks_are_left_out():
    iou = np.array([[0.9, 0.0], [0.6, 0.0], [0.0, 0.5], [0.49, 0.0], [0.0, 0.0]])
    relevant, others = relevance(iou)
    assert relevant.tolist() == [True, False, True, False, False]
    assert others.tolist() == [False, False, False, True, True]
    for empty in (np.zeros((2, 0)), np.zeros((0, 2))):
        relevant, others = relevance(empty)
        assert not relevant.any()
        assert len(others) == len(empty)
        assert others.all()


def test_area_ranks_by_the_ratio_to_the_chosen_ones():
    found = by_area(np.array([10, 1000, 100, 200, 50]), np.array([0, 1]))
    # The geometric mean of the chosen ones is 100: what matters is how many times larger or smaller a mask is.
    np.testing.assert_allclose(found, [-math.log(10), -math.log(10), 0, -math.log(2), -math.log(2)], atol=1e-12)


def test_the_numbers_of_an_image_by_hand(samples):
    # Three of the four objects are chosen. The fourth competes with level 5, of its area, and level 6, a ninth of it.
    (score, *_) = drain(similarity(samples[:1], Squares(), describe, SimilarityProtocol())).scores
    assert (score.objects, score.masks, score.relevant, score.others) == (4, 7, 4, 2)
    assert score.similar == 1
    assert score.similar_size == 1
    assert score.area == pytest.approx(1 / 2), "tied with level 5"
    assert score.chance == pytest.approx(1 / 3)
    assert score.predicted_iou == pytest.approx(1 / 3), "levels 5 and 6 have the higher ones"
    assert math.isnan(score.crops)


def test_choices_are_random_and_repeatable(samples):
    # Objects of four looks in two pairs: which are chosen decides what the others get.
    iou = np.vstack([np.eye(4), np.zeros((2, 4))])
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0.6, 0.8], [0.6, 0.8]], np.float32)
    embeddings = {"similar": MaskEmbeddings(vectors, np.arange(1, 7), "image", "by hand")}

    def scored(**values):
        return image_score(samples[0], "x", iou, np.ones(6), embeddings, SimilarityProtocol(chosen=1, **values))

    assert scored() == scored()
    assert len({scored(seed=seed, draws=1).area for seed in range(8)}) > 1
    # Whatever is chosen, its like comes first, then both others, then the two of the other pair last or in between.
    assert 1 / 3 < scored().similar < 1


@pytest.mark.parametrize("chosen", [4, 5])
def test_images_with_nothing_to_rank_are_told_apart(samples, chosen):
    result = drain(similarity(samples, Squares(), _never, SimilarityProtocol(chosen=chosen)))
    assert [score.is_measured for score in result.scores] == [False] * 3
    assert result.scores[0].relevant == 4


def _never(image, records):
    raise AssertionError("what is not ranked need not be described")


@pytest.mark.parametrize("values", [{"chosen": 0}, {"draws": 0}, {"seed": -1}])
def test_protocols_that_cannot_be_are_told(values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} is"):
        SimilarityProtocol(**values)


# --- the run --------------------------------------------------------------------------------------


def test_progress_counts_images_and_tells_what_is_done(samples):
    seen = []
    drain(similarity(samples, Squares(), describe, SimilarityProtocol()), seen.append)
    assert {progress.total for progress in seen} == {3}
    assert [progress.note for progress in seen[:3]] == ["cells/a", "cells/a: asking", "cells/a: looking"]
    assert seen[-1].done == 3


def test_closing_closes_the_generator_of_masks(samples):
    generator = Squares()
    steps = similarity(samples, generator, describe, SimilarityProtocol())
    next(steps)
    next(steps)
    steps.close()
    assert (generator.closed, generator.images) == (1, 0)


def test_known_scores_are_taken_over_unless_the_files_changed(samples, tmp_path):
    protocol = SimilarityProtocol()
    with SimilarityScoreFile(tmp_path, RUN) as file:
        first = drain(similarity(samples, Squares(), describe, protocol, receive=file.write)).scores
    samples[1].label_path.write_bytes(samples[2].label_path.read_bytes())
    generator = Squares()
    with SimilarityScoreFile(tmp_path, RUN) as file:
        again = drain(similarity(samples, generator, describe, protocol, known=file.known, receive=file.write)).scores
    assert generator.images == 1
    assert repr(again[0]) == repr(first[0])  # NaN is not equal to itself
    assert again[1].objects == 1
    assert len(read_similarity_scores(tmp_path / "images.csv")) == 3
    assert len((tmp_path / "images.csv").read_text().splitlines()) == 1 + 3 + 1, "no line is written twice"
    with pytest.raises(ValueError, match="another run"):
        SimilarityScoreFile(tmp_path, {**RUN, "chosen": 1})


def test_scores_survive_the_file_to_the_last_digit(tmp_path):
    score = SimilarityScore("d", "i", "x", 4, 5, 2, 1, similar=1 / 3, similar_size=0.1, area=2 / 3, chance=1e-9)
    with SimilarityScoreFile(tmp_path, RUN) as file:
        file.write(score)
    (read,) = read_similarity_scores(tmp_path / "images.csv")
    assert repr(read) == repr(score)  # NaN is not equal to itself


def test_images_that_cannot_be_read_are_told_and_the_rest_goes_on(samples):
    samples[0].label_path.write_text("no picture")
    result = drain(similarity(samples, Squares(), describe, SimilarityProtocol()))
    assert [score.image for score in result.scores] == ["b", "c"]
    assert result.skipped[0].startswith("cells/a: ")


def test_the_table_has_the_gain_of_each_image():
    values = [("a", 0.9, 0.4), ("a", 0.5, 0.6), ("b", 1.0, 0.5)]
    scores = [
        SimilarityScore(dataset, str(number), "x", 10, 20, 8, 4, similar, similar, area=area, chance=0.1)
        for number, (dataset, similar, area) in enumerate(values)
    ]
    scores.append(SimilarityScore("b", "idle", "x", 2, 3, 2, 1))
    rows = dataset_rows(scores)
    assert [(row.name, row.images, row.objects) for row in rows] == [
        ("a", 2, 20),
        ("b", 1, 10),
        ("mean over data sets", 3, 30),
    ]
    first, _, total = rows
    assert first.cells["gain"].mean == pytest.approx((0.5 - 0.1) / 2)
    assert (first.cells["gain"].low, first.cells["gain"].high) == pytest.approx((-0.1, 0.5))
    assert total.cells["similar"].mean == pytest.approx((0.7 + 1) / 2)
    assert first.cells["found"].mean == pytest.approx(0.8)
    shown = columns(scores)
    assert "crops" not in {column.key for column in shown}
    assert "gain" in to_text(rows, shown).split("\n")[0]
    assert to_csv(rows, shown).count("\n") == 1 + 3 * len(shown)


def test_a_real_model_describes_by_image_and_crops():
    import torch

    from napari_segany.engine.predictor import Predictor
    from napari_segany.model import PyramidConfig, SamConfig, build_sam

    torch.manual_seed(0)
    encoder = PyramidConfig(widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), fine_channels=(4, 6))
    predictor = Predictor(build_sam(SamConfig(image_size=64, encoder=encoder)), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8)
    records = [MaskRecord.from_mask(image > 100), MaskRecord.from_mask(image > 250)]
    assert set(drain(describer(predictor)(image, records))) == {"similar"}
    found = drain(describer(predictor, crops=True)(image, records))
    assert {name: (one.view, len(one)) for name, one in found.items()} == {
        "similar": ("image", 2),
        "crops": ("crop", 2),
    }
