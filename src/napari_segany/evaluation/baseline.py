"""The classical answer to a click that a model has to beat: Otsu, watershed, the region under the click.

Smooth, threshold (Otsu 1979, doi:10.1109/TSMC.1979.4310076), split touching objects by a watershed on the distance
transform, and return the region that holds the click. Nobody tells it whether objects are bright or dark, nor need it
know: the click says on which side of the threshold its object lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

SMOOTHING = 1.0
"""Standard deviation, in pixels, of the Gaussian that the image and the distances are smoothed with."""

PEAK_DISTANCE = 7
"""Least distance, in pixels, of two objects' centres."""


@dataclass(frozen=True, eq=False)
class ClassicalRegions:
    """All regions of an image, to be asked for the one under a click.

    Attributes
    ----------
    labels : numpy.ndarray
        (H, W) int32; every pixel of the image belongs to one region.
    """

    labels: NDArray[np.int32]

    def region(self, row: int, col: int) -> NDArray[np.bool_]:
        """Return the region that holds a pixel: (H, W) bool."""
        return self.labels == self.labels[row, col]


def classical_regions(image: NDArray[Any]) -> ClassicalRegions:
    """Divide an image into the regions of its bright side and those of its dark side.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W), or (H, W, C) with colours in the first three channels; any numeric dtype.
    """
    grey = ndimage.gaussian_filter(_grey(image), SMOOTHING)
    bright = grey > threshold_otsu(grey)
    bright_labels, dark_labels = _split(bright), _split(~bright)
    return ClassicalRegions(np.where(bright, bright_labels, dark_labels + bright_labels.max()).astype(np.int32))


def _grey(image: NDArray[Any]) -> NDArray[np.float64]:
    if image.ndim == 2:
        return np.nan_to_num(np.asarray(image, float))
    if image.shape[2] < 3:
        return np.nan_to_num(np.asarray(image[..., 0], float))
    # rgb2gray maps integers to 0..1; a threshold does not mind the scale.
    return np.nan_to_num(np.asarray(rgb2gray(image[..., :3]), float))


def _split(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Label the foreground, one region around each peak of the distance to the background."""
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground), SMOOTHING)
    parts, _ = ndimage.label(foreground)
    peaks = peak_local_max(distance, min_distance=PEAK_DISTANCE, labels=parts, exclude_border=False)
    markers = np.zeros(foreground.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    regions = watershed(-distance, markers, mask=foreground)
    # A part without a peak (it fills the image, or lies next to a greater one) is a region of its own.
    return np.where(foreground & (regions == 0), parts + len(peaks), regions)
