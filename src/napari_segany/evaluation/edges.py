"""The protocol for edges: maps of edges compared with the boundaries that people drew, at many thresholds.

Kirillov et al. 2023 (arXiv:2304.02643), section 7.2 and appendix D.2; the measure is that of BSDS500 (Arbelaez et al.
2011, doi:10.1109/TPAMI.2010.161). A map is thresholded, thinned to lines of one pixel, and paired with each person's
drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import thin

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.edge_filters import canny_edges, grey, sobel_edges
from napari_segany.engine.edges import edge_steps
from napari_segany.engine.image import checked_image, default_limits
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps
from napari_segany.evaluation.data import Sample
from napari_segany.evaluation.edge_data import read_boundaries
from napari_segany.evaluation.edge_matching import TOLERANCE, match_edges
from napari_segany.evaluation.edge_scores import EdgeScore, levels
from napari_segany.evaluation.image_loop import ImageScores, measured_images

Detector = Callable[[NDArray[Any]], Steps[NDArray[np.float32]]]
"""Makes of an image a map of edges, (H, W) from 0 to 1, already thin."""


@dataclass(frozen=True)
class EdgeProtocol:
    """How edges are compared.

    Attributes
    ----------
    thresholds : int
        How many, evenly from 0 to 1; the benchmark takes 99.
    tolerance : float
        Greatest distance of a pair, as a fraction of the image's diagonal.

    Raises
    ------
    ValueError
        For a value out of its range.
    """

    thresholds: int = 99
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        """Check the values."""
        if self.thresholds < 1:
            raise ValueError(f"thresholds is {self.thresholds}; give a whole number of at least 1")
        if not 0 <= self.tolerance <= 0.1:
            raise ValueError(f"tolerance is {self.tolerance}; give a fraction of the diagonal from 0 to 0.1")


def sobel_detector(image: NDArray[Any]) -> Steps[NDArray[np.float32]]:
    """Return Sobel's edges; the root spreads the thresholds, of which few would fall on weak edges."""
    yield Progress(0, 1, "Sobel")
    return np.sqrt(sobel_edges(_brightness(image)))


def canny_detector(image: NDArray[Any]) -> Steps[NDArray[np.float32]]:
    """Return Canny's edges without hysteresis; the root is that of `sobel_detector`."""
    yield Progress(0, 1, "Canny")
    return np.sqrt(canny_edges(_brightness(image)))


def model_detector(predictor: Predictor, settings: AutomaticSettings) -> Detector:
    """Return what makes edges with a model."""
    return lambda image: edge_steps(predictor, image, settings)


def edges(
    samples: Sequence[Sample],
    detector: Detector,
    protocol: EdgeProtocol,
    *,
    known: Mapping[tuple[str, str], EdgeScore] | None = None,
    receive: Callable[[EdgeScore], None] | None = None,
) -> Steps[ImageScores[EdgeScore]]:
    """Detect edges in images and compare them with people's.

    Parameters
    ----------
    samples : sequence of Sample
        The images, with files of boundaries; see `find_edge_images`.
    detector : callable
        Makes the maps of edges.
    protocol : EdgeProtocol
        How they are compared.
    known : Mapping, optional
        Scores of an earlier run by data set and image; they are taken over where the files are still the same.
    receive : callable, optional
        Gets every score at once, new or taken over, so that an interruption loses nothing.

    Yields
    ------
    Progress
        In images; the note tells the image and what is done with it.

    Returns
    -------
    ImageScores
        Images that cannot be read are among its `skipped`.
    """

    def measure(sample: Sample, content: tuple[NDArray[Any], NDArray[np.bool_]]) -> Steps[EdgeScore]:
        return (yield from _measured(sample, *content, detector, protocol))

    return (yield from measured_images(samples, _read, measure, known=known, receive=receive))


def threshold_steps(
    strength: NDArray[np.floating[Any]], truths: NDArray[np.bool_], protocol: EdgeProtocol
) -> Steps[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Compare a map of edges (H, W) with boundaries (A, H, W) at every threshold.

    Returns
    -------
    edges, correct, found : tuple of int
        As `EdgeScore` has them.
    """
    tolerance = protocol.tolerance * float(np.hypot(*strength.shape))
    counts: list[tuple[int, int, int]] = []
    for done, threshold in enumerate(levels(protocol.thresholds)):
        yield Progress(done, protocol.thresholds, f"threshold {threshold:.2f}")
        match = match_edges(thin(strength >= threshold), truths, tolerance)
        counts.append((match.edges, match.correct, match.found))
    drawn, correct, found = zip(*counts, strict=True)
    return drawn, correct, found


def _read(sample: Sample) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    image, truths = sample.read_image(), read_boundaries(sample.label_path)
    if image.shape[:2] != truths.shape[1:]:
        raise ValueError(f"the image is {image.shape[:2]} and its boundaries are {truths.shape[1:]}")
    return image, truths


def _measured(
    sample: Sample, image: NDArray[Any], truths: NDArray[np.bool_], detector: Detector, protocol: EdgeProtocol
) -> Steps[EdgeScore]:
    strength = yield from detector(image)
    drawn, correct, found = yield from threshold_steps(strength, truths, protocol)
    return EdgeScore(
        sample.dataset,
        sample.name,
        sample.content_digest(),
        len(truths),
        int(np.count_nonzero(truths)),
        drawn,
        correct,
        found,
    )


def _brightness(image: NDArray[Any]) -> NDArray[np.float64]:
    pixels = checked_image(image)
    return grey(pixels, default_limits(pixels))
