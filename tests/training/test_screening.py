"""Bad input: a sentence for each image, and the run goes on with the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.engine.progress import drain
from napari_segany.training.screening import screen
from napari_segany.training.sources import find_images

Writer = Callable[[str, np.ndarray, np.ndarray], None]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def pair(name: str, image: np.ndarray, labels: np.ndarray) -> None:
        for kind, values in (("images", image.astype(np.uint8)), ("labels", labels.astype(np.uint16))):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / kind / f"{name}.png")

    return pair


def test_what_cannot_be_used_is_left_out(write: Writer, tmp_path: Path) -> None:
    image, labels = np.full((20, 30), 100), np.zeros((20, 30))
    labels[5:10, 5:10] = 3
    write("good", image, labels)
    write("empty", image, labels * 0)
    write("sizes", image, labels[:, :20])
    write("torn", image, labels)
    content = (tmp_path / "images" / "torn.png").read_bytes()
    (tmp_path / "images" / "torn.png").write_bytes(content[: len(content) // 2])
    screening = drain(screen(find_images(tmp_path)))
    assert [image.name for image in screening.images] == ["good"]
    empty, sizes, torn = sorted(screening.skipped)
    assert "/empty: it has no objects, all of it is background" in empty
    assert "(20, 30) and its labels are (20, 20)" in sizes
    assert "torn" in torn


def test_nothing_to_train_on_is_an_error(write: Writer, tmp_path: Path) -> None:
    write("empty", np.full((20, 30), 100), np.zeros((20, 30)))
    with pytest.raises(ValueError, match=r"none of the 1 images can be trained on; the first: .*no objects"):
        drain(screen(find_images(tmp_path)))


def test_values_that_no_model_can_see_are_left_out(write: Writer, tmp_path: Path) -> None:
    labels = np.zeros((20, 30))
    labels[5:10, 5:10] = 3
    write("good", np.full((20, 30), 100), labels)
    write("complex", np.full((20, 30), 100), labels)
    (tmp_path / "images" / "complex.png").unlink()
    tifffile.imwrite(tmp_path / "images" / "complex.tif", np.full((20, 30), 1 + 2j, np.complex64))
    screening = drain(screen(find_images(tmp_path)))
    assert [image.name for image in screening.images] == ["good"]
    assert "/complex: the image holds values of type complex64" in screening.skipped[0]


def test_no_samples_are_no_error() -> None:
    assert drain(screen([])).images == ()
