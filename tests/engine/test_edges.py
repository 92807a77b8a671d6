from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.edge_filters import canny_edges, grey, sobel_edges, thinned_ridges
from napari_segany.engine.edges import edge_settings, edge_steps, outline
from napari_segany.engine.progress import drain


def test_the_outline_of_a_step_lies_just_outside_of_it() -> None:
    logits = np.full((4, 4), 20.0)
    edges, box = outline(logits, (3, 5, 7, 9), (20, 20))
    assert box == (2, 4, 8, 10)
    assert (edges[1:-1, 1:-1] == 0).all()
    assert edges[0, 2] == pytest.approx(4 / (3 * np.sqrt(2)))
    assert (edges[0] > 0).all()


def test_the_edge_of_the_image_is_no_edge() -> None:
    edges, box = outline(np.full((4, 20), 20.0), (0, 0, 4, 20), (20, 20))
    assert box == (0, 0, 5, 20)
    assert (edges[:4] == 0).all()
    assert (edges[4] > 0).all()


def test_ridges_become_one_pixel_wide() -> None:
    rows = np.arange(31)[:, None] + np.zeros(31)
    strength = np.exp(-((rows - 15) ** 2) / 8)
    thin = thinned_ridges(strength)
    assert (thin[15, 3:-3] > 0.9).all()
    assert np.flatnonzero(thin[:, 15] > 1e-6).tolist() == [15]
    assert not thinned_ridges(np.zeros((9, 9))).any()


@pytest.mark.parametrize("edges_of", [sobel_edges, canny_edges])
def test_a_full_step_has_the_strength_that_is_said(edges_of) -> None:
    step = np.zeros((30, 30))
    step[:, 15:] = 1
    edges = edges_of(step)
    assert np.count_nonzero(edges[15]) == 1
    assert 0.9 < edges[15].max() <= 1
    assert not edges_of(np.full((9, 9), 0.5)).any()


def test_brightness_lies_between_0_and_1_whatever_the_values() -> None:
    values = np.array([[np.nan, -5.0], [50.0, np.inf]])
    assert grey(values, (0.0, 100.0)).tolist() == [[0, 0], [0.5, 1]]
    assert grey(np.full((2, 2, 4), 255, np.uint8), (0.0, 255.0)) == pytest.approx(np.ones((2, 2)))


def test_the_edges_of_discs_are_their_circles(discs) -> None:
    shape = (96, 128)
    image = discs.disc_image(shape, [(40, 40, 20, 200), (60, 100, 15, 240)])
    edges = drain(edge_steps(discs.DiscFinder(), image, edge_settings(8), contrast_limits=(0.0, 255.0)))
    assert edges.shape == shape
    assert edges.max() == pytest.approx(1, abs=1e-5)
    strong = edges > 0.3
    ring = discs.disc_mask(shape, 40, 40, 23) & ~discs.disc_mask(shape, 40, 40, 18)
    ring |= discs.disc_mask(shape, 60, 100, 18) & ~discs.disc_mask(shape, 60, 100, 13)
    assert strong.sum() > 100
    assert (strong & ring).sum() > 0.95 * strong.sum()


def test_an_image_without_masks_has_no_edges(discs) -> None:
    edges = drain(edge_steps(discs.DiscFinder(), np.zeros((64, 64), np.uint8), edge_settings(2)))
    assert not edges.any()
