"""The row of the features table that tells what an accepted object came from. Knows neither napari nor Qt."""

from __future__ import annotations

import json

from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.object_table import PROMPTS, Row, origin_of


def accepted_row(candidate: Candidate, prompts: Prompts, plane: Plane, model: str, earlier: Row) -> Row:
    """Return the row of an accepted candidate; of an object that is corrected, the cells that others gave it stay."""
    origin = {"model": model, "axes": list(plane.axes), "plane": list(plane.index), **prompts.to_dict()}
    origin |= {name: value for name, value in origin_of(earlier).items() if name in ("edits", "stack") and value}
    return {
        **earlier,
        "predicted_iou": candidate.predicted_iou,
        "stability_score": candidate.stability_score,
        PROMPTS: json.dumps(origin),
    }
