"""Where crops come from: weights of kinds, groups that stay together, what is read ahead."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.engine.image import model_input
from napari_segany.engine.progress import drain
from napari_segany.evaluation.data import Sample
from napari_segany.model import SamConfig
from napari_segany.training.config import TrainingConfig
from napari_segany.training.data import (
    GIGABYTE,
    CropSource,
    DrawnImage,
    read_scene,
    sample_chances,
    split_by_group,
)
from napari_segany.training.sources import find_images


def sample(dataset: str, name: str, group: str = "") -> Sample:
    return Sample(dataset, name, Path("none"), Path("none"), {"group": group} if group else {})


def test_kinds_are_weighted_and_images_alike_within_a_kind() -> None:
    samples = [sample("a", "x_1"), sample("a", "x_2"), sample("a", "y_1"), sample("b", "z")]
    config = TrainingConfig(sources={"a/x_*": 2.0, "a/*": 1.0})
    # Weights 2, 1 and, for the image that fits none, 1.
    assert sample_chances(samples, config).tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25])
    config = replace(config, sources={"a/x_*": 6.0, "a/*": 1.0})
    assert sample_chances(samples, config).tolist() == pytest.approx([3 / 8, 3 / 8, 1 / 8, 1 / 8])


def test_weights_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="a weight of 0"):
        sample_chances([sample("a", "x")], TrainingConfig(sources={"*": 0.0}))


def test_groups_stay_together() -> None:
    samples = [sample("a", f"{group}_{i}", group=f"g{group}") for group in range(20) for i in range(1 + group % 3)]
    training, measuring = split_by_group(samples, 0.2, seed=3)
    assert {s.name for s in training}.isdisjoint(s.name for s in measuring)
    assert len(training) + len(measuring) == len(samples)
    assert {s.metadata["group"] for s in training}.isdisjoint(s.metadata["group"] for s in measuring)
    assert 0 < len(measuring) <= 0.2 * len(samples)
    assert split_by_group(samples, 0.2, seed=3) == (training, measuring)


def test_groups_larger_than_the_share_leave_the_smallest_to_measure_on() -> None:
    samples = [sample("a", f"{group}_{i}", group=f"g{group}") for group in range(3) for i in range(10 - group)]
    training, measuring = split_by_group(samples, 0.2, seed=3)
    assert {s.metadata["group"] for s in measuring} == {"g2"}
    assert len(training) == 19


def test_a_data_set_of_one_image_is_for_training() -> None:
    assert split_by_group([sample("a", "x")], 0.5, seed=0) == ([sample("a", "x")], [])


def test_nothing_is_kept_when_nothing_is_to_be_measured() -> None:
    samples = [sample("a", str(i)) for i in range(10)]
    training, measuring = split_by_group(samples, 0.0, seed=0)
    assert sorted(s.name for s in training) == sorted(s.name for s in samples)
    assert measuring == []


def test_no_images_and_no_drawn_scenes_is_refused() -> None:
    with pytest.raises(ValueError, match="give a folder of images and labels, or set procedural_share to 1"):
        CropSource([], TrainingConfig(), SamConfig(image_size=512))


def test_images_of_more_than_eight_bits_are_stretched(tmp_path: Path) -> None:
    for folder, values in (("images", np.array([[100, 300], [500, 900]])), ("labels", np.array([[0, 1], [1, 1]]))):
        (tmp_path / folder).mkdir()
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / folder / "a.png")
    scene = read_scene(find_images(tmp_path)[0])
    assert scene.image.min() == 0
    assert scene.image.max() == 255
    assert scene.image[0, 1] == pytest.approx(255 * 200 / 800, abs=1)


@pytest.mark.parametrize(
    ("image", "brightest"),
    [
        (np.eye(50, dtype=bool), 255),  # of one bit
        (np.pad(np.full((1, 1), 2400, np.uint16), (0, 49)), 255),  # a signal in a pixel of thousands
        (np.full((50, 50), 7, np.uint16), 0),
    ],
)
def test_images_are_trained_on_with_the_intensities_of_inference(image: np.ndarray, brightest: float) -> None:
    class Drawn(DrawnImage):
        def read(self):
            return image, (np.ones((50, 50), np.int32),)

    scene = read_scene(Drawn(0, 0, 50))
    np.testing.assert_allclose(scene.image, model_input(image, 50).pixels[..., 0], atol=1)
    assert scene.image.max() == brightest


def test_huge_numbers_of_labels_become_small_ones(tmp_path: Path) -> None:
    labels = np.array([[0, 1 << 40], [(1 << 40) + 3, 0]], np.uint64)
    for folder, values in (("images", np.zeros((2, 2), np.uint8)), ("labels", labels)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", values)
    assert read_scene(find_images(tmp_path)[0]).layers[0].tolist() == [[0, 1], [2, 0]]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_what_is_read_ahead_is_what_would_be_read(
    tiny_training: TrainingConfig, write_pairs: Callable[..., Path]
) -> None:
    images = find_images(write_pairs(3))
    config = replace(tiny_training, procedural_share=0.5, procedural_scenes=2)
    ahead, later = (CropSource(images, config, SamConfig(image_size=64)) for _ in range(2))
    assert [progress.total for progress in ahead.read_ahead(2)] == [5] * 5
    assert sorted(ahead._kept) == [-2, -1, 0, 1, 2]
    for index in range(6):
        np.testing.assert_array_equal(ahead[index].image, later[index].image)
    assert pickle.loads(pickle.dumps(ahead))._kept == {}  # what is sent to a process is not all images


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_reading_ahead_ends_where_the_memory_does(
    tiny_training: TrainingConfig, write_pairs: Callable[..., Path]
) -> None:
    size = 48 * 60 * (1 + 4)  # an image of bytes and labels of four bytes
    config = replace(tiny_training, procedural_share=0.0, memory_gb=2.5 * size / GIGABYTE)
    source = CropSource(find_images(write_pairs(4)), config, SamConfig(image_size=64))
    drain(source.read_ahead(1))
    assert len(source._kept) == 2


def test_kinds_of_drawn_scenes_are_checked_before_the_run(tiny_training: TrainingConfig) -> None:
    with pytest.raises(ValueError, match="no drawn scene called unicorns"):
        CropSource([], replace(tiny_training, drawn={"unicorns": 1.0}), SamConfig(image_size=64))


def test_of_drawn_scenes_there_are_as_many_as_asked_for(tiny_training: TrainingConfig) -> None:
    config = replace(tiny_training, procedural_scenes=2)
    source = CropSource([], config, SamConfig(image_size=64))
    drawn = {id(source._drawn(np.random.default_rng(seed))) for seed in range(20)}
    assert len(drawn) == 2
    again = CropSource([], config, SamConfig(image_size=64))
    for index in (3, 0):  # in another order, and with nothing kept yet
        np.testing.assert_array_equal(again[index].image, source[index].image)
    assert (source[0].image != source[3].image).any()


def test_kinds_of_a_coarser_resolution_are_magnified(tmp_path: Path, tiny_training: TrainingConfig) -> None:
    for folder in ("images", "labels"):
        (tmp_path / "coarse" / folder).mkdir(parents=True)
    square = np.zeros((64, 64), np.uint8)
    square[16:48, 16:48] = 1
    Image.fromarray(square * 200).save(tmp_path / "coarse" / "images" / "one.png")
    Image.fromarray(square).save(tmp_path / "coarse" / "labels" / "one.png")
    plain = replace(
        tiny_training, procedural_share=0.0, scale_jitter=(1.0, 1.0), crop_size=128, max_object_share=1.0, scales={}
    )
    shape = SamConfig(image_size=128, max_enlargement=1.0)
    areas = {}
    for factor in (1.0, 2.0):
        config = replace(plain, scales={"coarse/*": factor, "*": 7.0})
        crop = CropSource(find_images(tmp_path), config, shape)[0]
        areas[factor] = int(crop.masks.sum())
    assert areas == {1.0: 32 * 32, 2.0: 64 * 64}
