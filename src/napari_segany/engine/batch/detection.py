"""The box that an object detector drew, as a frozen value. Knows no files and no model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_segany.formats.record import MaskRecord

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Detection:
    """One box of one image.

    Attributes
    ----------
    box : tuple of float
        (row_min, col_min, row_max, col_max) in pixels between the corners of pixels: the box of the pixel (0, 0) is
        (0, 0, 1, 1), as detectors and COCO have it.
    class_id : int
        The number of its class.
    score : float or None
        The detector's own confidence.
    is_normalised : bool
        Whether the box is in fractions of the image's sides, as YOLO has it.
    """

    box: Box
    class_id: int = 1
    score: float | None = None
    is_normalised: bool = False

    def prompt_box(self, image_shape: tuple[int, int]) -> Box | None:
        """Return the part within an image as prompts have it, between pixel centres; None where there is none.

        Parameters
        ----------
        image_shape : (int, int)
            (H, W), in pixels.
        """
        sides = np.array([*image_shape, *image_shape])
        pixels = np.multiply(self.box, sides) if self.is_normalised else np.array(self.box)
        edges = np.clip(pixels, 0, sides) - 0.5
        row_min, col_min, row_max, col_max = (float(edge) for edge in edges)
        return (row_min, col_min, row_max, col_max) if row_min < row_max and col_min < col_max else None


@dataclass(frozen=True, eq=False)
class BatchObject:
    """A mask as a batch keeps it.

    Attributes
    ----------
    record : MaskRecord
        The mask.
    class_id : int
        The number of its class; 1 where there are no classes.
    score : float or None
        The confidence of the detector whose box it was made of.
    """

    record: MaskRecord
    class_id: int = 1
    score: float | None = None
