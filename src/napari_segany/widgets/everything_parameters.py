"""Every parameter of segmenting everything as people see it: title, limits, and what it does to the result. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_segany.engine.automatic_settings import RANKINGS

Kind = Literal["count", "fraction", "number", "limit", "choice"]


@dataclass(frozen=True)
class Parameter:
    """One field of `AutomaticSettings`.

    Attributes
    ----------
    name : str
        The field.
    title : str
        What the form calls it.
    tip : str
        What it does to the result.
    kind : str
        "count" (whole number), "fraction" (a slider), "number", "limit" (0 means no limit, None in the settings) or
        "choice".
    low, high, step : float
        Limits of the form; the settings themselves may allow more.
    live : bool or None
        Whether a change shows at once; otherwise the model must be asked again. None for one that changes nothing.
    choices : tuple of str
        For "choice".
    """

    name: str
    title: str
    tip: str
    kind: Kind
    low: float = 0.0
    high: float = 1.0
    step: float = 0.01
    live: bool | None = True
    choices: tuple[str, ...] = ()


ASKING = (
    Parameter(
        "points_per_side",
        "Points per side",
        "Points along each side of the grid. More find smaller objects; the time grows with the square.",
        "count",
        1,
        256,
        1,
        live=False,
    ),
    Parameter(
        "crop_n_layers",
        "Crop layers",
        "Looks at parts of the image by themselves too: 1 at its quarters, 2 at its sixteenths as well. Finds "
        "objects that are small beside the image; every part costs an image embedding and its own points.",
        "count",
        0,
        4,
        1,
        live=False,
    ),
    Parameter(
        "crop_n_points_downscale_factor",
        "Fewer points in crops",
        "Each layer of crops has this factor fewer points along a side than the one before. 2 keeps the points per "
        "area the same and saves time, 1 finds the most.",
        "count",
        1,
        8,
        1,
        live=False,
    ),
    Parameter(
        "crop_overlap_ratio",
        "Overlap of crops",
        "How far neighbouring crops overlap, as a part of the image's shorter side. Objects on a border are found "
        "whole only if they fit into the overlap.",
        "fraction",
        0,
        0.9,
        live=False,
    ),
    Parameter(
        "stability_score_offset",
        "Stability offset",
        "How far the threshold is moved for the stability score. A larger offset lowers all stability scores, so "
        "that fewer masks pass.",
        "number",
        0,
        10,
        0.1,
        live=False,
    ),
    Parameter(
        "points_per_batch",
        "Points at once",
        "Points that a graphics card answers at once: more are faster and take more memory.",
        "count",
        1,
        1024,
        1,
        live=None,
    ),
)
"""What is asked of the model."""

KEEPING = (
    Parameter(
        "pred_iou_thresh",
        "Predicted IoU above",
        "Keeps masks that the model itself expects to fit. Lower it when objects are missing, raise it when there "
        "are wrong masks; 0 keeps all.",
        "fraction",
    ),
    Parameter(
        "stability_score_thresh",
        "Stability from",
        "Keeps masks whose outline hardly moves with the threshold. Lower it for objects with soft borders, raise "
        "it to lose vague masks; 0 keeps all.",
        "fraction",
    ),
    Parameter(
        "box_nms_thresh",
        "Box overlap up to",
        "Of two masks whose boxes overlap by more than this IoU the lesser is dropped. Lower it when one object has "
        "several masks, raise it when close neighbours are missing.",
        "fraction",
    ),
    Parameter(
        "crop_nms_thresh",
        "Overlap between crops",
        "The same for masks found in different crops: that of the larger crop is dropped. Without crops it changes "
        "nothing.",
        "fraction",
    ),
    Parameter(
        "min_mask_region_area",
        "Smallest region (px)",
        "Fills holes and drops islands of fewer pixels. 0 leaves masks as the model drew them.",
        "count",
        0,
        1_000_000,
        10,
    ),
    Parameter(
        "max_mask_area_fraction",
        "Largest mask",
        "Drops masks that cover this part of the image or more, such as the background or a group of objects. 0: no "
        "limit.",
        "limit",
    ),
    Parameter(
        "ranking",
        "The better mask has",
        "Which score tells the better one of two overlapping masks: the model's own estimate, the steadiness of the "
        "outline, or the mean of both.",
        "choice",
        choices=RANKINGS,
    ),
)
"""Which of the answers are kept."""

PARAMETERS = ASKING + KEEPING

CHOICE_TITLES = {
    "predicted_iou": "predicted IoU",
    "stability_score": "stability score",
    "mean": "mean of both",
    "smaller": "Smaller on top",
    "larger": "Larger on top",
    "better": "Better on top",
    "separate": "No overlap",
}
"""What people read for values of "choice" and for painting rules."""
