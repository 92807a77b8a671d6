"""The protocol for segmenting everything: what is counted, kept, and gone on with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.data import find_samples
from napari_segany.evaluation.everything import everything
from napari_segany.evaluation.image_scores import ImageScore, ImageScoreFile, read_image_scores
from napari_segany.formats.record import MaskRecord

RUN = {"model": "squares", "settings": {"points_per_side": 4, "point_grids": ((0, 1),)}}


class HalfGenerator:
    """Takes the image for a label image: all of the first object, half of the second, and one mask of nothing."""

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.closed = 0

    def run(self, image):
        try:
            yield Progress(0, 5, "asking")
            yield Progress(3, 5, "asking")
            self.images.append(image)
            masks = [image == 1, image == 2, np.zeros(image.shape, bool)]
            masks[1][:, 25:] = False
            masks[2][0, -3:] = True
            scores = (0.9, 0.8, 0.99)
            return [MaskRecord.from_mask(mask, predicted_iou=iou) for mask, iou in zip(masks, scores, strict=True)]
        finally:
            self.closed += 1


@pytest.fixture
def samples(write_dataset, two_squares):
    write_dataset("cells", {"a": two_squares, "b": two_squares})
    return find_samples(write_dataset("empty", {"none": np.zeros((30, 40), np.uint8)}))


def test_counts_by_hand(samples):
    result = drain(everything(samples, HalfGenerator()))
    first, _, none = result.scores
    assert (first.dataset, first.image, first.objects, first.masks) == ("cells", "a", 2, 3)
    assert first.matched_50 == 2  # the second at exactly 0.5
    assert first.matched_75 == 1
    assert first.recalled_100 == first.recalled_1000 == 10 + 1
    assert (none.objects, none.masks, none.matched_50) == (0, 3, 0)
    assert result.skipped == ()


def test_progress_counts_images_and_tells_what_is_done(samples):
    seen = []
    drain(everything(samples, HalfGenerator()), seen.append)
    assert {progress.total for progress in seen} == {3}
    assert [progress.done for progress in seen] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert seen[1].note == "cells/a: asking"


def test_closing_closes_the_generator_of_masks(samples):
    generator = HalfGenerator()
    steps = everything(samples, generator)
    next(steps)
    next(steps)
    steps.close()
    assert generator.closed == 1
    assert generator.images == []


def test_images_that_cannot_be_read_are_told_and_the_rest_goes_on(samples):
    samples[0].label_path.write_text("no picture")
    result = drain(everything(samples, HalfGenerator()))
    assert [score.image for score in result.scores] == ["b", "none"]
    (reason,) = result.skipped
    assert reason.startswith("cells/a: ")


def test_known_scores_are_taken_over_unless_the_files_changed(samples, two_squares):
    known = {(score.dataset, score.image): score for score in drain(everything(samples, HalfGenerator())).scores}
    generator, received = HalfGenerator(), []
    samples[1].label_path.write_bytes(samples[2].label_path.read_bytes())
    result = drain(everything(samples, generator, known=known, receive=received.append))
    assert len(generator.images) == 1
    assert result.scores[0] is known["cells", "a"]
    assert result.scores[1].objects == 0
    assert tuple(received) == result.scores


def test_a_file_of_scores_goes_on_after_a_cut_off_line(tmp_path, samples):
    first, second, _ = drain(everything(samples, HalfGenerator())).scores
    with ImageScoreFile(tmp_path, RUN) as file:
        file.write(first)
    path = tmp_path / "images.csv"
    whole = path.read_text()
    path.write_text(whole + "cells,b,12")
    with ImageScoreFile(tmp_path, RUN) as file:
        assert file.known == {("cells", "a"): first}
        file.write(first)
        file.write(second)
    assert read_image_scores(path) == [first, second]
    assert path.read_text().startswith(whole)
    assert path.read_text().count("\n") == 3


def test_the_last_line_of_an_image_counts(tmp_path, samples):
    first = drain(everything(samples, HalfGenerator())).scores[0]
    with ImageScoreFile(tmp_path, RUN) as file:
        file.write(dataclasses.replace(first, content="old", masks=7))
        file.write(first)
    assert read_image_scores(tmp_path / "images.csv") == [first]


def test_the_file_has_shares_for_readers(tmp_path):
    with ImageScoreFile(tmp_path, RUN) as file:
        file.write(ImageScore("d", "i", "x", 4, 5, 2, 1, 15, 20))
        file.write(ImageScore("d", "none", "x", 0, 0, 0, 0, 0, 0))
    lines = (tmp_path / "images.csv").read_text().splitlines()
    assert lines[0].split(",")[-6:] == ["precision_50", "recall_50", "precision_75", "recall_75", "ar_100", "ar_1000"]
    assert [float(cell) for cell in lines[1].split(",")[-6:]] == [0.4, 0.5, 0.2, 0.25, 0.375, 0.5]
    assert lines[2].endswith(",,,,,")


def test_scores_of_another_run_are_not_mixed(tmp_path):
    ImageScoreFile(tmp_path, RUN).close()
    ImageScoreFile(tmp_path, RUN).close()
    with pytest.raises(ValueError, match=r"another run \(different: model\); give another --output"):
        ImageScoreFile(tmp_path, {**RUN, "model": "discs"})
    (tmp_path / "run.json").unlink()
    with pytest.raises(ValueError, match="another run"):
        ImageScoreFile(tmp_path, RUN)


@pytest.mark.parametrize(
    ("text", "words"), [("a,b\n1,2\n", "no column dataset"), ("HEADER\nd,i,x,1,1,1,1,1,many\n", "line 2")]
)
def test_other_tables_are_told(tmp_path, text, words):
    ImageScoreFile(tmp_path, RUN).close()
    header = (tmp_path / "images.csv").read_text().strip()
    (tmp_path / "images.csv").write_text(text.replace("HEADER", header))
    with pytest.raises(ValueError, match=words):
        ImageScoreFile(tmp_path, RUN)


def test_the_digest_is_that_of_both_files(samples):
    before = samples[0].content_digest()
    samples[0].image_path.write_bytes(samples[2].image_path.read_bytes())
    assert samples[0].content_digest() != before
