"""The protocol on drawings small enough to count, and its numbers on curves that can be worked out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from napari_segany.engine.progress import Progress, drain
from napari_segany.evaluation.edge_data import find_edge_images, read_boundaries
from napari_segany.evaluation.edge_scores import (
    EdgeScore,
    EdgeScoreFile,
    edge_intervals,
    levels,
    measure_edges,
    read_edge_scores,
)
from napari_segany.evaluation.edges import EdgeProtocol, canny_detector, edges, sobel_detector


def score(edges_: tuple, correct: tuple, found: tuple, truth: int = 100, name: str = "a") -> EdgeScore:
    return EdgeScore("set", name, "0", 1, truth, edges_, correct, found)


def test_ods_takes_one_threshold_and_ois_one_for_each_image() -> None:
    """At its own best threshold each image is perfect; at either one the other finds half."""
    first = score((100, 50), (100, 50), (100, 50), name="a")
    second = score((200, 100), (100, 100), (100, 100), name="b")
    found = measure_edges([first, second])
    assert found.ois == pytest.approx(1)
    # Low threshold: precision 200 / 300, recall 1; high threshold: precision 1, recall 150 / 200.
    assert found.precision == pytest.approx([2 / 3, 1])
    assert found.recall == pytest.approx([1, 0.75])
    # Between them, with s from 0 to 1: precision (2 + s) / 3, recall 1 - s / 4.
    s = np.linspace(0, 1, 101)
    p, r = (2 + s) / 3, 1 - s / 4
    assert found.ods == pytest.approx((2 * p * r / (p + r)).max())


def test_the_area_and_the_recall_at_half_precision() -> None:
    found = measure_edges([score((250, 100, 20), (100, 60, 20), (100, 60, 20))])
    assert found.precision == pytest.approx([0.4, 0.6, 1.0])
    assert found.recall == pytest.approx([1.0, 0.6, 0.2])
    assert found.r50 == pytest.approx(0.8)
    # Recalls 0.2 to 0.6 fall from 1 to 0.6, those to 1 from 0.6 to 0.4; sums of 0.01 wide columns.
    assert found.ap == pytest.approx(0.4 * 0.8 + 0.4 * 0.5 + 0.005 * (1.0 + 0.4), abs=1e-3)


def test_intervals_hold_the_value_and_thresholds_part_evenly() -> None:
    found = edge_intervals([score((100,), (n,), (n,), name=str(n)) for n in (40, 50, 60, 70)])
    assert found["ods"].mean == pytest.approx(0.55)
    assert found["ods"].low < 0.55 < found["ods"].high
    assert levels(3) == pytest.approx([0.25, 0.5, 0.75])
    with pytest.raises(ValueError, match="different numbers"):
        measure_edges([score((1,), (1,), (1,)), score((1, 1), (1, 1), (1, 1))])
    with pytest.raises(ValueError, match="no scores"):
        measure_edges([])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image that is black and white, and two people who draw the line between, one of them only half of it."""
    home = tmp_path / "bsds"
    (home / "images").mkdir(parents=True)
    (home / "gt").mkdir()
    pixels = np.zeros((40, 60), np.uint8)
    pixels[:, 30:] = 200
    truths = np.zeros((2, 40, 60), bool)
    truths[0, :, 30] = truths[1, :20, 30] = True
    for name in ("a", "b"):
        Image.fromarray(pixels).save(home / "images" / f"{name}.png")
        packed = np.packbits(truths, axis=-1)
        np.savez(home / "gt" / f"{name}.npz", shape=np.array(truths.shape), boundaries=packed)
    return home


@pytest.mark.parametrize("detector", [sobel_detector, canny_detector])
def test_a_straight_edge_is_found_whole(folder: Path, detector) -> None:
    seen: list[EdgeScore] = []
    samples = find_edge_images(folder, 1)
    result = drain(edges(samples, detector, EdgeProtocol(5, 0.03), receive=seen.append))
    (own,) = result.scores
    assert seen == [own]
    assert (own.annotators, own.truth) == (2, 60)
    assert own.edges[0] == own.correct[0] == 40
    assert own.found[0] == 60


def test_what_is_known_is_not_measured_again(folder: Path, tmp_path: Path) -> None:
    def detector(image):
        calls.append(image.shape)
        yield Progress(0, 1)
        return (image == 200).astype(np.float32) * np.float32(0.5)

    calls: list = []
    samples, protocol = find_edge_images(folder), EdgeProtocol(3)
    with EdgeScoreFile(tmp_path, {"protocol": "edges"}) as file:
        drain(edges(samples[:1], detector, protocol, receive=file.write))
    with EdgeScoreFile(tmp_path, {"protocol": "edges"}) as file:
        result = drain(edges(samples, detector, protocol, known=file.known, receive=file.write))
    assert len(calls) == 2
    assert read_edge_scores(tmp_path / "images.csv") == list(result.scores)


def test_what_cannot_be_read_is_named_and_left_out(folder: Path) -> None:
    (folder / "gt" / "a.npz").write_bytes(b"no archive")
    np.savez(folder / "gt" / "b.npz", shape=np.array((1, 4, 4)), boundaries=np.zeros((1, 4, 1), np.uint8))
    result = drain(edges(find_edge_images(folder), sobel_detector, EdgeProtocol(1)))
    assert not result.scores
    assert "a.npz is damaged, or holds no boundaries as BSDS500 has them" in result.skipped[0]
    assert "pickle" not in result.skipped[0]
    assert "(4, 4)" in result.skipped[1]
    with pytest.raises(ValueError, match="nothing to compare"):
        find_edge_images(folder / "images")


@pytest.mark.parametrize("content", [b"", bytes(600), b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(500)])
def test_a_damaged_or_newer_mat_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"^1\.mat is damaged, or holds no boundaries as BSDS500 has them$"):
        read_boundaries(tmp_path / "1.mat")


def test_the_published_files_are_read(tmp_path: Path) -> None:
    drawings = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    cells = np.empty((1, 3), object)
    for number, drawing in enumerate(drawings):
        cells[0, number] = {"Segmentation": drawing.astype(np.uint16), "Boundaries": drawing.astype(np.uint8)}
    savemat(tmp_path / "1.mat", {"groundTruth": cells})
    assert (read_boundaries(tmp_path / "1.mat") == drawings).all()


@pytest.mark.parametrize(("values", "word"), [({"thresholds": 0}, "thresholds"), ({"tolerance": 0.5}, "tolerance")])
def test_values_out_of_range(values, word) -> None:
    with pytest.raises(ValueError, match=word):
        EdgeProtocol(**values)
