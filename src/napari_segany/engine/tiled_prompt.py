"""One prompt on a large image, and what it is in the pixels of one of its windows. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_segany.engine.prompts import Prompt
from napari_segany.engine.tiling import Extent, Window
from napari_segany.formats.window_mask import WindowMask


@dataclass(frozen=True, eq=False)
class TiledPrompt:
    """A prompt in pixels of a large image.

    Attributes
    ----------
    marks : Prompt
        Its points and its box.
    mask : WindowMask or None
        Its mask.
    """

    marks: Prompt
    mask: WindowMask | None = None

    @classmethod
    def checked(
        cls,
        points: ArrayLike | None,
        labels: ArrayLike | None,
        box: ArrayLike | None,
        mask: WindowMask | None,
        image_shape: tuple[int, int],
    ) -> TiledPrompt:
        """Check what was given against an image; a mask alone brings its box.

        Raises
        ------
        ValueError
            For a prompt that is empty, of a batch, or leaves the image.
        """
        if points is None and box is None and mask is not None and mask.area:
            # SAM was trained on masks together with points or a box, never on a mask alone.
            top, left, bottom, right = mask.box
            box = (top - 0.5, left - 0.5, bottom - 0.5, right - 0.5)
        marks = Prompt.checked(points, labels, box, image_shape=image_shape)
        if marks.batch_size is not None:
            raise ValueError("the prompt is a batch; a large image is asked one prompt at a time")
        return cls(marks, mask)

    @property
    def extent(self) -> Extent:
        """The box around everything that is said, in pixels of the image."""
        parts: list[Sequence[float]] = []
        if self.marks.points is not None:
            parts += [(*point, *point) for point in self.marks.points.tolist()]
        if self.marks.box is not None:
            parts.append(self.marks.box.tolist())
        if self.mask is not None and self.mask.area:
            parts.append(self.mask.box)
        lows, highs = [part[:2] for part in parts], [part[2:] for part in parts]
        return (
            min(low[0] for low in lows),
            min(low[1] for low in lows),
            max(high[0] for high in highs),
            max(high[1] for high in highs),
        )

    def arguments_in(self, window: Window, logits: NDArray[np.float32] | None = None) -> dict[str, Any]:
        """Return the arguments of `Predictor.predict` for a window.

        What leaves the window is moved to its edge. `logits` of the last answer in it take the place of the mask.
        """
        last = np.subtract(window.shape, 0.5)
        arguments: dict[str, Any] = {}
        if self.marks.points is not None and self.marks.labels is not None:
            local = [window.to_window(row, col) for row, col in self.marks.points]
            arguments["points"] = np.clip(local, -0.5, last).tolist()
            arguments["labels"] = self.marks.labels.tolist()
        if self.marks.box is not None:
            corners = [window.to_window(row, col) for row, col in self.marks.box.reshape(2, 2)]
            (top, left), (bottom, right) = np.clip(corners, -0.5, last).tolist()
            arguments["box"] = (top, left, max(bottom, top + 1e-3), max(right, left + 1e-3))
        if logits is not None:
            arguments["mask"] = logits
        elif self.mask is not None:
            part = _reduced(self.mask, window)
            if part.any():
                arguments["mask"] = part
        return arguments


def _reduced(mask: WindowMask, window: Window) -> NDArray[np.bool_]:
    whole = mask.window(window.image_box)
    if window.factor == 1:
        return whole
    rows, cols = window.shape
    blocks = whole.reshape(rows, window.factor, cols, window.factor)
    return np.asarray(blocks.mean(axis=(1, 3)) >= 0.5)
