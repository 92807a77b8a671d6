"""Any image that napari shows, as model input: one intensity mapping for the whole image, long side resized.

Knows numpy and Pillow, neither torch nor a model. Every image becomes float32 in 0..255 and is never quantised to
8 bits on the way, so that 12-bit data keep their grey levels. The one exception is an 8-bit image with its default
limits: it is resized in 8 bits, as the published models were trained (SAM, arXiv:2304.02643, appendix A).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

PERCENTILES = (0.1, 99.9)
"""Percentiles of the finite values that become 0 and 255 where no contrast limits are given."""

_SAMPLES = 1_000_000  # pixels that the percentiles are taken of
_STRIP = 4_000_000  # pixels that are converted at a time
_ROOM = np.finfo(np.float64).max / 4  # keeps (high - low) of any two limits finite


@dataclass(frozen=True, eq=False)
class ModelInput:
    """An image resized to the model's input.

    Attributes
    ----------
    pixels : numpy.ndarray
        (rows, cols, 3) float32 in 0..255; the longer side is the model's image size.
    image_shape : tuple of int
        (H, W) of the image it was made of.
    contrast_limits : tuple of float
        Intensities that became 0 and 255.
    """

    pixels: NDArray[np.float32]
    image_shape: tuple[int, int]
    contrast_limits: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the resized image."""
        return self.pixels.shape[0], self.pixels.shape[1]


def input_scale(image_shape: tuple[int, int], image_size: int, max_enlargement: float | None = None) -> float:
    """Return the factor by which an image of (H, W) pixels is resized: its longer side to `image_size`.

    Models that see small images as they are limit it by `max_enlargement`.
    """
    scale = image_size / max(image_shape)
    return scale if max_enlargement is None else min(scale, max_enlargement)


def input_shape(
    image_shape: tuple[int, int], image_size: int, max_enlargement: float | None = None
) -> tuple[int, int]:
    """Return (rows, cols) of an image of (H, W) pixels once it is resized by `input_scale`.

    Rounds as the published models do; a side never falls below one pixel.
    """
    scale = input_scale(image_shape, image_size, max_enlargement)
    rows, cols = (max(1, int(side * scale + 0.5)) for side in image_shape)
    return rows, cols


def model_input(
    image: ArrayLike,
    image_size: int,
    contrast_limits: tuple[float, float] | None = None,
    *,
    max_enlargement: float | None = None,
) -> ModelInput:
    """Map the intensities of an image to 0..255 and resize its longer side to `image_size`.

    Parameters
    ----------
    image : array_like
        (H, W), (H, W, 3) or (H, W, 4) of bool, integers or floats, or anything that `numpy.asarray` makes such an
        array of (a dask array is computed). An alpha channel is dropped. NaN and -inf become 0, +inf becomes 255.
    image_size : int
        Longer side of the result, in pixels.
    contrast_limits : (float, float), optional
        Intensities that become 0 and 255, the same for all channels; `default_limits` where not given.
    max_enlargement : float, optional
        Enlarge by no more than this; the longer side of a small image is less than `image_size` then.

    Raises
    ------
    ValueError
        For an array that is no such image, or limits that are not increasing.
    """
    pixels = checked_image(image)
    limits = default_limits(pixels) if contrast_limits is None else checked_limits(contrast_limits)
    shape = (pixels.shape[0], pixels.shape[1])
    as_it_is = pixels.dtype == np.uint8 and limits == (0.0, 255.0)
    channels = [pixels] if pixels.ndim == 2 else [pixels[..., channel] for channel in range(3)]
    rows, cols = input_shape(shape, image_size, max_enlargement)
    resized = [_resize(channel, (rows, cols), None if as_it_is else limits) for channel in channels]
    result = np.empty((rows, cols, 3), np.float32)
    for channel in range(3):
        result[..., channel] = resized[channel % len(resized)]
    return ModelInput(result, shape, limits)


def checked_image(image: ArrayLike) -> NDArray[np.generic]:
    """Return the image as an (H, W) or (H, W, 3) array of its own dtype, without an alpha channel.

    Raises
    ------
    ValueError
        For another number of axes or channels, no pixels at all, or values that are not real numbers.
    """
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "buif":
        raise ValueError(
            f"the image holds values of type {pixels.dtype}; allowed are bool, integers and floats. "
            "Convert it first, for example with numpy.abs(image) for complex values"
        )
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ValueError(
            f"the image has the shape {pixels.shape}; allowed are (H, W), (H, W, 3) and (H, W, 4). "
            "Choose one plane or channel first, for example image[0] or image[..., 0]"
        )
    if pixels.size == 0:
        raise ValueError(f"the image has the shape {pixels.shape}, which holds no pixels; give at least one")
    return pixels if pixels.ndim == 2 else pixels[..., :3]


def checked_limits(contrast_limits: tuple[float, float]) -> tuple[float, float]:
    """Return contrast limits as two floats.

    Raises
    ------
    ValueError
        Unless they are two finite, increasing numbers.
    """
    try:
        low, high = (float(limit) for limit in contrast_limits)
    except (TypeError, ValueError):
        raise ValueError(f"contrast_limits is {contrast_limits!r}; give two numbers (low, high)") from None
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(high - low) and low < high):
        raise ValueError(
            f"contrast_limits is ({low:g}, {high:g}); give two finite numbers, the lower first: "
            "they are the intensities that become black and white"
        )
    return low, high


def default_limits(image: NDArray[np.generic]) -> tuple[float, float]:
    """Return the intensities that become 0 and 255 where the user gives none; always low < high.

    8-bit images are taken as they are, (0, 255); bool images as (0, 1); all others from `PERCENTILES` of their finite
    values (of a regular subsample where there are more than a million pixels), or from their minimum and maximum
    where nearly all values are the same.

    Parameters
    ----------
    image : numpy.ndarray
        (H, W) or (H, W, 3), as `checked_image` returns it.
    """
    if image.dtype == np.uint8:
        return 0.0, 255.0
    if image.dtype == np.bool_:
        return 0.0, 1.0
    step = math.ceil(math.sqrt(image.shape[0] * image.shape[1] / _SAMPLES))
    sample = image[::step, ::step].astype(np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if sample.size:
        low, high = (float(limit) for limit in np.percentile(sample.clip(-_ROOM, _ROOM), PERCENTILES))
        if low < high:
            return low, high
    low, high = _finite_range(image)
    return (low, high) if low < high else (low, max(low + 1.0, float(np.nextafter(low, np.inf))))


def _finite_range(image: NDArray[np.generic]) -> tuple[float, float]:
    """Return the lowest and the highest finite value; (0, 0) where there is none."""
    low, high = math.inf, -math.inf
    for rows in _strips(image):
        values = rows.astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (max(low, -_ROOM), min(high, _ROOM)) if low <= high else (0.0, 0.0)


def _strips(image: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Return views of bands of rows that are small enough to be converted without a copy of the whole image."""
    height = max(1, _STRIP // image.shape[1])
    return [image[start : start + height] for start in range(0, image.shape[0], height)]


def _resize(
    channel: NDArray[np.generic], shape: tuple[int, int], limits: tuple[float, float] | None
) -> NDArray[np.generic]:
    """Map one (H, W) channel to 0..255 (as it is without limits) and resize it with Pillow's bilinear filter.

    Pillow resizes columns first and rows second, each row by itself in the first pass. Doing the first pass strip by
    strip therefore gives the same numbers and holds no converted copy of the whole channel.
    """
    rows, cols = shape
    narrow = []
    for strip in _strips(channel):
        mapped = strip if limits is None else _mapped(strip, limits)
        picture = Image.fromarray(np.ascontiguousarray(mapped))
        narrow.append(np.asarray(picture.resize((cols, strip.shape[0]), Image.Resampling.BILINEAR)))
    picture = Image.fromarray(np.concatenate(narrow))
    return np.asarray(picture.resize((cols, rows), Image.Resampling.BILINEAR))


def _mapped(values: NDArray[np.generic], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Return float32 in 0..255; fmax takes NaN to the low limit."""
    low, high = limits
    clipped = np.fmin(np.fmax(values.astype(np.float64), low), high)
    return ((clipped - low) / (high - low) * 255.0).astype(np.float32)
