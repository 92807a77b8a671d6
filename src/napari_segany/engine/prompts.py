"""What the user asks for, checked against one image: points, labels, a box, a mask, words, as a frozen value.

Positions are (row, col) in pixels of the image, integers at pixel centres; only the two `model_*` methods speak the
model's (x, y). Knows numpy, neither torch nor a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.formats.rle import RunLengths

BACKGROUND, FOREGROUND = 0, 1


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt, or a batch of B prompts (then every array has a leading axis B), for an image of `image_shape`.

    Build it with `Prompt.checked`; everything behind that relies on its checks.

    Attributes
    ----------
    image_shape : tuple of int
        (H, W) of the image, in pixels.
    points : numpy.ndarray or None
        (N, 2) float64 (row, col).
    labels : numpy.ndarray or None
        (N,) int64, 1 foreground and 0 background.
    box : numpy.ndarray or None
        (4,) float64 (row_min, col_min, row_max, col_max).
    mask : numpy.ndarray or None
        (H, W) bool, or (h, w) float32 low-resolution logits of an earlier prediction.
    text : numpy.ndarray or None
        (D,) float32, the embedding of words (or of a picture) by a CLIP; length does not count.
    """

    image_shape: tuple[int, int]
    points: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None
    box: NDArray[np.float64] | None = None
    mask: NDArray[np.bool_] | NDArray[np.float32] | None = None
    text: NDArray[np.float32] | None = None

    @classmethod
    def checked(
        cls,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        *,
        text: ArrayLike | None = None,
        image_shape: tuple[int, int],
        logits_shape: tuple[int, int] | None = None,
    ) -> Prompt:
        """Check a prompt against an image and return it.

        Parameters
        ----------
        points : array_like, optional
            (N, 2) or (B, N, 2) positions (row, col) in pixels, each from -0.5 to side - 0.5.
        labels : array_like, optional
            (N,) or (B, N) of 1 (foreground) and 0 (background); all foreground where not given.
        box : array_like, optional
            (4,) or (B, 4): (row_min, col_min, row_max, col_max) in pixels, within the image.
        mask : array_like, optional
            (H, W) or (B, H, W) bool; or (h, w) or (B, h, w) low-resolution logits.
        text : array_like, optional
            (D,) or (B, D) embedding of words or of a picture, as `Clip.words` returns it.
        image_shape : (int, int)
            (H, W) of the image.
        logits_shape : (int, int), optional
            (h, w) of the model's low-resolution logits; logits are refused where it is not given.

        Raises
        ------
        ValueError
            For anything else, with the value, what is allowed and what to do.
        """
        points_ = _checked_points(points, image_shape)
        labels_ = _checked_labels(labels, points_)
        box_ = None if box is None else _checked_box(box, image_shape)
        mask_ = None if mask is None else _checked_mask(mask, image_shape, logits_shape)
        text_ = None if text is None else _checked_text(text)
        if points_ is None and box_ is None and mask_ is None and text_ is None:
            raise ValueError("the prompt is empty; give at least one point, a box, a mask or words")
        _check_batch(points_, box_, mask_, text_)
        return cls(image_shape, points_, labels_, box_, mask_, text_)

    @property
    def batch_size(self) -> int | None:
        """Number of prompts B, or None for a single prompt without the axis B."""
        for array, ndim in ((self.points, 3), (self.box, 2), (self.mask, 3), (self.text, 2)):
            if array is not None and array.ndim == ndim:
                return len(array)
        return None

    @property
    def is_ambiguous(self) -> bool:
        """Whether the paper answers with several masks: a single point and nothing else (section 3)."""
        if self.box is not None or self.mask is not None or self.text is not None:
            return False
        return self.points is not None and self.points.shape[-2] == 1

    def item(self, index: int) -> Prompt:
        """Return one prompt of a batch, without the axis B."""
        parts = (self.points, self.labels, self.box, self.mask, self.text)
        return Prompt(self.image_shape, *(None if part is None else part[index] for part in parts))

    def part(self, chosen: slice | NDArray[np.bool_]) -> Prompt:
        """Return some prompts of a batch, as a batch."""
        points, labels, box, mask, text = self.points, self.labels, self.box, self.mask, self.text
        return Prompt(
            self.image_shape,
            None if points is None else points[chosen],
            None if labels is None else labels[chosen],
            None if box is None else box[chosen],
            None if mask is None else mask[chosen],
            None if text is None else text[chosen],
        )

    def items(self) -> list[Prompt]:
        """Return the prompts of a batch, or this prompt alone, each without the axis B."""
        return [self] if self.batch_size is None else [self.item(index) for index in range(self.batch_size)]

    def model_points(self, input_shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return the points as (B, N, 2) float32 (x, y) in pixels of the resized image, B = 1 without a batch.

        A pixel centre keeps its integer: x = col * scale, as the published models have it; their prompt encoder adds
        the half pixel.
        """
        if self.points is None:
            return None
        points = self.points.reshape(-1, *self.points.shape[-2:])
        return (points * self._scale(input_shape))[..., ::-1].astype(np.float32)

    def model_boxes(self, input_shape: tuple[int, int]) -> NDArray[np.float32] | None:
        """Return the box as (B, 4) float32 (x_min, y_min, x_max, y_max) in pixels of the resized image."""
        if self.box is None:
            return None
        corners = self.box.reshape(-1, 2, 2) * self._scale(input_shape)
        return corners[..., ::-1].reshape(-1, 4).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return a single prompt as plain values for JSON, the parts that were given.

        A boolean mask becomes COCO run lengths; of logits and words only the fact that they were given is kept.
        """
        values: dict[str, Any] = {}
        if self.points is not None and self.labels is not None:
            values["points"] = self.points.tolist()
            values["labels"] = self.labels.tolist()
        if self.box is not None:
            values["box"] = self.box.tolist()
        if self.mask is not None:
            is_mask = self.mask.dtype == np.bool_
            values["mask"] = RunLengths.from_mask(self.mask).to_dict() if is_mask else "low-resolution logits"
        if self.text is not None:
            values["text"] = "an embedding"
        return values

    def _scale(self, input_shape: tuple[int, int]) -> NDArray[np.float64]:
        return np.divide(input_shape, self.image_shape)


def _numbers(values: ArrayLike, name: str, example: str) -> NDArray[np.float64]:
    """Return float64, or say which argument is no array of finite numbers."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {_short(values)}; give numbers, for example {example}") from None
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds {array[~np.isfinite(array)][0]:g}; give finite numbers of pixels")
    return array


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _checked_points(points: ArrayLike | None, image_shape: tuple[int, int]) -> NDArray[np.float64] | None:
    example = "points=[(row, col)] or, for a batch, an array of shape (B, N, 2)"
    if points is None:
        return None
    array = _numbers(points, "points", example)
    if array.size == 0 and array.ndim in (1, 2, 3):
        return None
    if array.ndim not in (2, 3) or array.shape[-1] != 2:
        raise ValueError(f"points has the shape {array.shape}; allowed are (N, 2) and (B, N, 2): give {example}")
    inside = _is_inside(array, image_shape)
    if not inside.all():
        row, col = array[~inside][0]
        raise ValueError(f"the point ({row:g}, {col:g}) lies outside of the image; {_range(image_shape)}")
    return array


def _is_inside(positions: NDArray[np.float64], image_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell for (..., 2) positions whether they lie on a pixel; pixels reach half a pixel around their centre."""
    return np.all((positions >= -0.5) & (positions <= np.subtract(image_shape, 0.5)), axis=-1, keepdims=False)


def _range(image_shape: tuple[int, int]) -> str:
    rows, cols = image_shape
    return f"rows go from -0.5 to {rows - 0.5:g} and columns from -0.5 to {cols - 0.5:g}, given as (row, col)"


def _checked_labels(labels: ArrayLike | None, points: NDArray[np.float64] | None) -> NDArray[np.int64] | None:
    if points is None:
        if labels is not None and np.size(np.asarray(labels, dtype=object)):
            raise ValueError(f"labels is {_short(labels)}, but there are no points; give points=[(row, col), ...]")
        return None
    if labels is None:
        return np.ones(points.shape[:-1], np.int64)
    array = _numbers(labels, "labels", "labels=[1, 0]")
    if array.shape != points.shape[:-1]:
        raise ValueError(
            f"labels has the shape {array.shape} and points {points.shape}; give one label for each point, "
            f"shape {points.shape[:-1]}"
        )
    unknown = array[(array != FOREGROUND) & (array != BACKGROUND)]
    if unknown.size:
        raise ValueError(f"labels holds {unknown[0]:g}; allowed are 1 (foreground) and 0 (background)")
    return array.astype(np.int64)


def _checked_box(box: ArrayLike, image_shape: tuple[int, int]) -> NDArray[np.float64]:
    example = "box=(row_min, col_min, row_max, col_max)"
    array = _numbers(box, "box", example)
    if array.ndim not in (1, 2) or array.shape[-1] != 4 or len(array) == 0:
        raise ValueError(f"box has the shape {array.shape}; allowed are (4,) and (B, 4): give {example}")
    inverted = (array[..., :2] >= array[..., 2:]).any(axis=-1)
    if inverted.any():
        raise ValueError(
            f"the box ({_listed(array[inverted])}) has no area; give {example} with "
            "row_min < row_max and col_min < col_max"
        )
    inside = _is_inside(array.reshape(*array.shape[:-1], 2, 2), image_shape).all(axis=-1)
    if not inside.all():
        raise ValueError(f"the box ({_listed(array[~inside])}) leaves the image; {_range(image_shape)}")
    return array


def _listed(boxes: NDArray[np.float64]) -> str:
    return ", ".join(f"{side:g}" for side in boxes.reshape(-1, 4)[0])


def _checked_mask(
    mask: ArrayLike, image_shape: tuple[int, int], logits_shape: tuple[int, int] | None
) -> NDArray[np.bool_] | NDArray[np.float32]:
    array = np.asarray(mask)
    if array.dtype == np.bool_:
        if array.ndim not in (2, 3) or array.shape[-2:] != tuple(image_shape):
            raise ValueError(
                f"the mask has the shape {array.shape}; a boolean mask has that of the image, {tuple(image_shape)} "
                "(with a leading axis B for a batch)"
            )
        if len(array) == 0 or not array.any(axis=(-2, -1)).all():
            raise ValueError("the mask is empty; give one with at least one pixel of the object")
        return array
    if array.dtype.kind != "f":
        raise ValueError(
            f"the mask holds values of type {array.dtype}; allowed are bool, and float for low-resolution logits. "
            "For an object of a label image give labels == number"
        )
    if logits_shape is None or array.ndim not in (2, 3) or array.shape[-2:] != logits_shape or len(array) == 0:
        raise ValueError(
            f"the mask holds logits of the shape {array.shape}; this model's are {logits_shape}, as in "
            "prediction.logits[0]. For a mask in pixels of the image give bool"
        )
    if not np.isfinite(array).all():
        raise ValueError("the logits given as mask hold NaN or infinities; give prediction.logits[0] unchanged")
    return array.astype(np.float32)


def _checked_text(text: ArrayLike) -> NDArray[np.float32]:
    example = "text=clip.words(['a nucleus'])[0]"
    if isinstance(text, str) or np.asarray(text).dtype.kind in "US":
        raise ValueError(
            f"text is the words {_short(text)}; give their embedding by the CLIP that the model was "
            f"trained with, for example {example}"
        )
    array = _numbers(text, "text", example)
    if array.ndim not in (1, 2) or not array.size or not array.any(axis=-1).all():
        raise ValueError(
            f"text has the shape {array.shape}; allowed are embeddings (D,) and (B, D), none of them "
            f"zero: give {example}"
        )
    return array.astype(np.float32)


def _check_batch(*parts: NDArray[Any] | None) -> None:
    """Refuse parts that are not all single, or not all batches of the same size."""
    single_ndim = {"points": 2, "box": 1, "mask": 2, "text": 1}
    sizes = {
        name: len(part) if part.ndim > single_ndim[name] else None
        for name, part in zip(single_ndim, parts, strict=True)
        if part is not None
    }
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {'none' if size is None else f'of {size}'}" for name, size in sizes.items())
        raise ValueError(f"the parts of the prompt have different batch axes ({found}); give all of them the same B")


def check_words(model: str, width: int | None, given: int) -> None:
    """Refuse an embedding of words that a model cannot take.

    Parameters
    ----------
    model : str
        Its name.
    width : int or None
        Of the embeddings that it was trained with; None for a model without words.
    given : int
        Width of the embedding.

    Raises
    ------
    ValueError
        Where they differ.
    """
    if width is None:
        raise ValueError(
            f"the prompt holds an embedding of words, and {model} takes points, boxes and masks alone; give a model "
            "trained with text_share (docs/words.md), or choose among the masks of Segment everything by words"
        )
    if width != given:
        raise ValueError(
            f"the embedding of words has {given} numbers and {model} was trained with those of a CLIP that gives "
            f"{width}; give the embedding by that CLIP"
        )
