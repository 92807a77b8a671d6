from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial.distance import cdist

from napari_segany.evaluation.edge_matching import match_edges, pair_pixels


def drawn(shape: tuple[int, int], *pixels: tuple[int, int]) -> np.ndarray:
    image = np.zeros(shape, bool)
    for pixel in pixels:
        image[pixel] = True
    return image


def test_a_pixel_counts_once_whoever_is_near() -> None:
    edges = drawn((5, 9), (2, 3), (2, 4), (2, 5))
    truth = drawn((5, 9), (2, 4))
    match = match_edges(edges, [truth], 2.0)
    assert (match.edges, match.correct, match.found, match.truth) == (3, 1, 1, 1)


def test_the_nearest_pixels_are_paired() -> None:
    assert pair_pixels(drawn((5, 9), (2, 3), (2, 4)), drawn((5, 9), (2, 4)), 2.0).tolist() == [-1, 0]


def test_pairs_give_way_to_more_pairs() -> None:
    """The left pixel reaches one partner only, which the right one, as near as can be, has taken at first."""
    edges, truth = drawn((3, 9), (1, 2), (1, 4)), drawn((3, 9), (1, 4), (1, 6))
    assert pair_pixels(edges, truth, 2.0).tolist() == [0, 1]


def test_the_tolerance_is_a_distance() -> None:
    edges, truth = drawn((9, 9), (1, 1)), drawn((9, 9), (4, 5))
    assert match_edges(edges, [truth], 5.0).found == 1
    assert match_edges(edges, [truth], 4.99).found == 0


def test_annotators_are_summed_and_a_pixel_that_one_of_them_drew_is_correct() -> None:
    edges = drawn((9, 9), (1, 1), (7, 7))
    match = match_edges(edges, [drawn((9, 9), (1, 1)), drawn((9, 9), (1, 1), (4, 4))], 1.0)
    assert (match.correct, match.found, match.truth) == (1, 2, 3)


def test_nothing_drawn() -> None:
    nothing, one = drawn((4, 4)), drawn((4, 4), (1, 1))
    assert match_edges(nothing, [one], 2.0).found == 0
    assert match_edges(one, [nothing], 2.0).correct == 0
    with pytest.raises(ValueError, match="size"):
        match_edges(nothing, [drawn((3, 3))], 1.0)


@pytest.mark.parametrize("seed", range(6))
def test_as_many_pairs_as_scipy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges, truth = rng.random((2, 24, 30)) < 0.12
    partners = pair_pixels(edges, truth, 2.3)
    distances = cdist(np.argwhere(edges), np.argwhere(truth))
    expected = np.count_nonzero(maximum_bipartite_matching(csr_matrix(distances <= 2.3)) >= 0)
    taken = partners[partners >= 0]
    assert len(taken) == expected
    assert len(np.unique(taken)) == len(taken)
    assert (distances[np.flatnonzero(partners >= 0), taken] <= 2.3).all()
