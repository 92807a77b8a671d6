"""Settings to begin with for kinds of images, each with a word on what it changes. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from napari_segany.engine.automatic_settings import AutomaticSettings


@dataclass(frozen=True)
class Preset:
    """Settings under a name.

    Attributes
    ----------
    name : str
        For scripts, for example "cells".
    title : str
        For people.
    note : str
        What it changes and why, in one or two plain sentences.
    settings : AutomaticSettings
        The settings.
    """

    name: str
    title: str
    note: str
    settings: AutomaticSettings

    @property
    def changes(self) -> Mapping[str, Any]:
        """Settings that differ from SAM's own, by name."""
        default = AutomaticSettings()
        return {
            field.name: getattr(self.settings, field.name)
            for field in fields(AutomaticSettings)
            if getattr(self.settings, field.name) != getattr(default, field.name)
        }


PRESETS = (
    Preset(
        "natural",
        "Natural image",
        "The published settings, with masks of nearly the whole image left out. Right for photographs.",
        AutomaticSettings(),
    ),
    Preset(
        "cells",
        "Cells and nuclei",
        "Takes masks that the model is less sure of, because stained tissue looks unlike photographs; leaves out "
        "groups of cells (masks above a quarter of the image) and specks. Of two masks of one cell only the better "
        "stays.",
        AutomaticSettings(
            pred_iou_thresh=0.8,
            stability_score_thresh=0.9,
            box_nms_thresh=0.5,
            min_mask_region_area=25,
            max_mask_area_fraction=0.25,
        ),
    ),
    Preset(
        "light",
        "Cells and nuclei, with light",
        "For the small model in the package, which is less sure of its good masks than SAM is: the thresholds are "
        "lower. Groups of cells and specks are left out as for cells and nuclei.",
        AutomaticSettings(
            pred_iou_thresh=0.65,
            stability_score_thresh=0.8,
            box_nms_thresh=0.5,
            min_mask_region_area=25,
            max_mask_area_fraction=0.25,
        ),
    ),
    Preset(
        "sparse",
        "Sparse objects",
        "Asks a quarter of the points, so it takes a quarter of the time; objects smaller than a sixteenth of the "
        "image's side may be missed. Specks are left out.",
        AutomaticSettings(
            points_per_side=16,
            pred_iou_thresh=0.8,
            stability_score_thresh=0.9,
            min_mask_region_area=100,
            max_mask_area_fraction=0.5,
        ),
    ),
    Preset(
        "dense",
        "Dense small objects",
        "Looks at the four quarters of the image by themselves too, with more points: it finds much smaller objects "
        "and takes about three times as long. Masks above a twentieth of the image are left out.",
        AutomaticSettings(
            points_per_side=40,
            crop_n_layers=1,
            pred_iou_thresh=0.8,
            stability_score_thresh=0.9,
            box_nms_thresh=0.5,
            crop_nms_thresh=0.5,
            crop_n_points_downscale_factor=2,
            min_mask_region_area=10,
            max_mask_area_fraction=0.05,
        ),
    ),
    Preset(
        "fields",
        "Fields and buildings",
        "Looks at the four quarters of the image by themselves too, half as densely, and takes twice as long. Holes "
        "and islands below 100 pixels are cleaned; which of two masks is better is told by both scores.",
        AutomaticSettings(
            crop_n_layers=1,
            crop_n_points_downscale_factor=2,
            pred_iou_thresh=0.84,
            stability_score_thresh=0.92,
            min_mask_region_area=100,
            max_mask_area_fraction=0.5,
            ranking="mean",
        ),
    ),
)
"""The published settings first; `default_preset` says with which a model begins."""


def default_preset(model: str) -> Preset:
    """Return the preset that a model begins with: its own for `light`, the published settings for all others."""
    return preset(model if model == "light" else PRESETS[0].name)


def preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    ValueError
        For a name that does not exist.
    """
    for one in PRESETS:
        if one.name == name:
            return one
    raise ValueError(f"there is no preset {name!r}; known are {', '.join(one.name for one in PRESETS)}")
