"""What "segment everything" can be told, as one frozen value for scripts, the widget and the command line.

The names are SAM's own (Kirillov et al. 2023, arXiv:2304.02643, appendix B). Knows neither a model nor an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

Ranking = Literal["predicted_iou", "stability_score", "mean"]

RANKINGS: tuple[str, ...] = get_args(Ranking)
"""Scores by which the better one of two overlapping masks is told; "mean" is that of the other two."""

Grid = tuple[tuple[float, float], ...]

_FRACTIONS = ("box_nms_thresh", "crop_nms_thresh", "pred_iou_thresh", "stability_score_thresh")
_AT_LEAST = {
    "points_per_side": 1,
    "points_per_batch": 1,
    "crop_n_layers": 0,
    "crop_n_points_downscale_factor": 1,
    "min_mask_region_area": 0,
}
_ASKING = (
    "points_per_side",
    "stability_score_offset",
    "crop_n_layers",
    "crop_overlap_ratio",
    "crop_n_points_downscale_factor",
    "point_grids",
)


@dataclass(frozen=True)
class AutomaticSettings:
    """Where to ask, and which answers to keep.

    Attributes
    ----------
    points_per_side : int
        Points along each side of the image's grid.
    points_per_batch : int
        Points that go through the mask decoder at once, at most; the CPU takes fewer so that it can be interrupted.
    pred_iou_thresh : float
        Masks whose predicted IoU is not above it are dropped; 0 keeps all.
    stability_score_thresh : float
        Masks whose stability score is below it are dropped; 0 keeps all.
    stability_score_offset : float
        Logits by which the threshold is raised and lowered for the stability score.
    box_nms_thresh : float
        Of two masks of one crop whose boxes overlap by more than this IoU, the one that ranks lower is dropped.
    crop_n_layers : int
        Layers of crops besides the whole image; layer i has 2**i crops along each side.
    crop_nms_thresh : float
        Of two masks of different crops whose boxes overlap by more than this IoU, that of the larger crop is dropped.
    crop_overlap_ratio : float
        Overlap of the crops of the first layer, as a fraction of the image's shorter side; later layers halve it.
    crop_n_points_downscale_factor : int
        Each layer has this factor fewer points along a side than the one before.
    point_grids : tuple of grids, optional
        Own points for each layer instead of the regular grid: (row, col) as fractions of the crop, 0 to 1.
    min_mask_region_area : int
        Holes and islands of fewer pixels are filled and dropped; 0 leaves masks as they are.
    max_mask_area_fraction : float or None
        Masks that cover this fraction of the image or more are dropped (the paper's rule, which the published code
        lacks); None keeps them.
    ranking : str
        "predicted_iou", "stability_score", or "mean" of both: which mask is the better one.

    Raises
    ------
    ValueError
        For a value out of its range.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: tuple[Grid, ...] | None = None
    min_mask_region_area: int = 0
    max_mask_area_fraction: float | None = 0.95
    ranking: Ranking = "predicted_iou"

    def __post_init__(self) -> None:
        """Check every value and bring the grids to plain tuples."""
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} is {value!r}; give a whole number of at least {least}")
            object.__setattr__(self, name, int(value))  # JSON, which keys are made of, knows none of numpy's
        ranges = {**dict.fromkeys(_FRACTIONS, 1.0), "stability_score_offset": 1000.0, "crop_overlap_ratio": 0.99}
        if self.max_mask_area_fraction is not None:
            ranges["max_mask_area_fraction"] = 1.0
        for name, high in ranges.items():
            value = getattr(self, name)
            _check_range(name, value, 0.0, high)
            object.__setattr__(self, name, float(value) if isinstance(value, np.number) else value)
        if self.ranking not in RANKINGS:
            raise ValueError(f"ranking is {self.ranking!r}; known are {', '.join(RANKINGS)}")
        if self.point_grids is not None:
            object.__setattr__(self, "point_grids", _checked_grids(self.point_grids, self.crop_n_layers))

    def replaced(self, **changes: Any) -> AutomaticSettings:
        """Return the settings with some values changed.

        Raises
        ------
        ValueError
            For a name that does not exist, or a value out of its range.
        """
        unknown = sorted(set(changes) - set(self.__dataclass_fields__))
        if unknown:
            raise ValueError(
                f"there is no setting {', '.join(unknown)}; known are {', '.join(self.__dataclass_fields__)}"
            )
        return replace(self, **changes)

    def asks_as(self, other: AutomaticSettings) -> bool:
        """Tell whether both ask the model the same, so that they differ only in what is kept."""
        return all(getattr(self, name) == getattr(other, name) for name in _ASKING)

    def asking_as(self, other: AutomaticSettings) -> AutomaticSettings:
        """Return these settings with the questions of other ones, to filter what those have asked."""
        return replace(self, **{name: getattr(other, name) for name in _ASKING})


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, int | float | np.number) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}; give a number from {low:g} to {high:g}")


def _checked_grids(grids: Sequence[ArrayLike], layers: int) -> tuple[Grid, ...]:
    if len(grids) != layers + 1:
        raise ValueError(
            f"point_grids holds {len(grids)} grids and crop_n_layers is {layers}; "
            f"give {layers + 1}: one for the whole image and one for each layer of crops"
        )
    checked = []
    for grid in grids:
        points = np.asarray(grid, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not ((points >= 0) & (points <= 1)).all():
            raise ValueError(
                f"a grid of point_grids has the shape {points.shape}; give (N, 2) positions (row, col) "
                "as fractions of the crop, from 0 to 1"
            )
        checked.append(tuple((float(row), float(col)) for row, col in points))
    return tuple(checked)
