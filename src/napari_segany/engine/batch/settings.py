"""What a batch is told, as frozen values, and the keys that tell whether a result on the disk is the one wanted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.output_names import DEFAULT_OUTPUTS, EVERY_OUTPUT, VECTOR_OUTPUTS
from napari_segany.engine.batch.sources import BatchImage, Limits
from napari_segany.engine.image import checked_limits
from napari_segany.engine.text_query import TextQuery
from napari_segany.formats.geo_vectors import VectorSettings
from napari_segany.formats.painting import PAINTING_RULES, PaintingRule

_RECIPE = 1  # to be raised by whoever changes what the same question is answered, or how it is written
_FOR_ALL = ("coco",)


@dataclass(frozen=True)
class BatchSettings:
    """How each image is segmented and what is written.

    Attributes
    ----------
    outputs : tuple of str
        Names of `EVERY_OUTPUT`, in its order, each once.
    automatic : AutomaticSettings
        How everything is segmented; without meaning for the boxes of a detector.
    contrast_limits : tuple of float or None
        Intensities that become black and white in every image; None for the default of each.
    painting : str
        Which mask shows in the label image where several overlap: one of `PAINTING_RULES`.
    text : TextQuery or None
        Of everything only what fits these words; None keeps all.
    vectors : VectorSettings
        How objects of images with a place on Earth become features.

    Raises
    ------
    ValueError
        For an output or rule that does not exist, no output at all, or limits that do not increase.
    """

    outputs: tuple[str, ...] = DEFAULT_OUTPUTS
    automatic: AutomaticSettings = field(default_factory=AutomaticSettings)
    contrast_limits: Limits | None = None
    painting: PaintingRule = "smaller"
    text: TextQuery | None = None
    vectors: VectorSettings = field(default_factory=VectorSettings)

    def __post_init__(self) -> None:
        """Check the outputs and bring them into one order."""
        unknown = [name for name in self.outputs if name not in EVERY_OUTPUT]
        if unknown or not self.outputs:
            what = f"there is no output {', '.join(unknown)}" if unknown else "no output is chosen"
            raise ValueError(f"{what}; choose from {', '.join(EVERY_OUTPUT)}")
        object.__setattr__(self, "outputs", tuple(name for name in EVERY_OUTPUT if name in self.outputs))
        if self.painting not in PAINTING_RULES:
            raise ValueError(f"the painting rule is {self.painting!r}; choose from {', '.join(PAINTING_RULES)}")
        if self.contrast_limits is not None:
            object.__setattr__(self, "contrast_limits", checked_limits(self.contrast_limits))

    @property
    def image_outputs(self) -> tuple[str, ...]:
        """The outputs that each image has files of its own for."""
        return tuple(name for name in self.outputs if name not in _FOR_ALL)

    @property
    def vector_outputs(self) -> tuple[str, ...]:
        """The outputs that need a place on Earth."""
        return tuple(name for name in self.outputs if name in VECTOR_OUTPUTS)


@dataclass(frozen=True)
class BatchJob:
    """What all images of a batch have in common.

    Attributes
    ----------
    folder : pathlib.Path
        Where the outputs go.
    settings : BatchSettings
        How.
    model_digest : str
        What tells the weights from others.
    classes : Mapping
        Names of the classes by their numbers.
    renamed : frozenset of str
        Where those of its inputs are whose earlier outputs have a name that another of its inputs has now.
    """

    folder: Path
    settings: BatchSettings
    model_digest: str
    classes: Mapping[int, str] = field(default_factory=lambda: {1: "object"})
    renamed: frozenset[str] = frozenset()

    def masks_key(self, image: BatchImage, input_digest: str) -> str:
        """Return what is the same for the same masks: of the same image, model and settings."""
        question: Any
        if image.detections is None:
            question = asdict(self.settings.automatic)
            del question["points_per_batch"]  # it changes the speed, not the masks
            if self.settings.text is not None:
                question["text"] = asdict(self.settings.text)
        else:
            question = {"boxes": [asdict(detection) for detection in image.detections]}
        return _key(input_digest, self.model_digest, self.settings.contrast_limits, question)

    def outputs_key(self, image: BatchImage, masks_key: str) -> str:
        """Return what is the same for the same files of an image."""
        classes = sorted(self.classes.items())
        facts: list[Any] = [self.settings.image_outputs, self.settings.painting, image.file_name, classes]
        if self.settings.vector_outputs:
            facts.append(asdict(self.settings.vectors))
        return _key(masks_key, *facts)


def _key(*values: Any) -> str:
    text = json.dumps([_RECIPE, *values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
