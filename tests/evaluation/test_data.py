from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.evaluation.data import Sample, find_samples


def names(samples: list[Sample]) -> list[str]:
    return [f"{sample.dataset}/{sample.name}" for sample in samples]


def test_pairs_are_found_by_name_and_ordered(write_dataset, two_squares) -> None:
    write_dataset("worms", {"b": two_squares, "a": two_squares})
    folder = write_dataset("cells", {"c": two_squares})
    (folder / "worms/images/unlabelled.png").write_bytes(b"")
    (folder / "empty").mkdir()
    assert names(find_samples(folder)) == ["cells/c", "worms/a", "worms/b"]
    assert names(find_samples(folder, ["worms"], images_per_dataset=1)) == ["worms/a"]


def test_a_folder_with_images_and_labels_is_a_dataset_itself(write_dataset, two_squares) -> None:
    folder = write_dataset("cells", {"c": two_squares})
    (sample,) = find_samples(folder / "cells")
    assert (sample.dataset, sample.name) == ("cells", "c")
    image, labels = sample.read()
    np.testing.assert_array_equal(labels, two_squares)
    assert image.shape == labels.shape


def test_index_gives_metadata_of_images_and_their_dataset(write_dataset, two_squares) -> None:
    index = [{"dataset": "cells", "domain": "phase", "items": [{"stem": "c", "n": 2, "group": "dish 1", "more": []}]}]
    folder = write_dataset("cells", {"c": two_squares, "d": two_squares}, index)
    first, second = find_samples(folder)
    assert {key: first.metadata[key] for key in ("domain", "group", "n")} == {
        "domain": "phase",
        "group": "dish 1",
        "n": "2",
    }
    assert "more" not in first.metadata
    assert not second.metadata


@pytest.mark.parametrize("text", ["{", '{"dataset": "cells"}', '[{"items": []}]', "[3]"])
def test_a_damaged_index_is_named(write_dataset, two_squares, text: str) -> None:
    folder = write_dataset("cells", {"c": two_squares})
    (folder / "index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.json is not an index"):
        find_samples(folder)


def test_what_is_not_there_is_named(write_dataset, two_squares, tmp_path: Path) -> None:
    folder = write_dataset("cells", {"c": two_squares})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        find_samples(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"no data set worms in .*; there are cells"):
        find_samples(folder, ["worms"])
    with pytest.raises(ValueError, match="must be 1 or more"):
        find_samples(folder, images_per_dataset=0)
    with pytest.raises(ValueError, match="nothing to evaluate"):
        find_samples(folder / "cells/images")
    (folder / "cells/labels/c.png").rename(folder / "cells/labels/other.png")
    with pytest.raises(ValueError, match="same name"):
        find_samples(folder)


def test_labels_of_another_size_or_kind_are_refused(write_dataset, two_squares) -> None:
    folder = write_dataset("cells", {"c": two_squares})
    (sample,) = find_samples(folder)
    Image.fromarray(two_squares[:-1]).save(sample.label_path)
    with pytest.raises(ValueError, match=r"\(30, 40\) and its labels are \(29, 40\)"):
        sample.read()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(sample.label_path)
    with pytest.raises(ValueError, match="0 for background"):
        sample.read()
    tifffile.imwrite(sample.label_path.with_suffix(".tif"), np.full((30, 40), -1, np.int16))
    with pytest.raises(ValueError, match="holds the number -1; objects are numbered from 1"):
        replace(sample, label_path=sample.label_path.with_suffix(".tif")).read()
    sample.label_path.write_bytes(b"\x89PNG broken")
    with pytest.raises(ValueError, match=r"c\.png"):
        sample.read()


def test_the_real_sets_pair_up(shared: Path) -> None:
    samples = find_samples(shared / "data" / "bench")
    assert len({sample.dataset for sample in samples}) == 9
    assert len(samples) == 164
    assert all(sample.metadata["domain"] for sample in samples)
