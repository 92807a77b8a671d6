"""The two stages in which the model begins: masks filled in for a person, and masks that nobody looks at.

Kirillov et al. 2023 (arXiv:2304.02643), section 4 and appendix B.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_presets import default_preset
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.masks import EngineMask, Origin, Stage, by_prominence, new_masks
from napari_segany.engine.loaded_model import weights_hash
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.record import MaskRecord
from napari_segany.model.config import PyramidConfig

_SURER = 0.04
"""By so much the thresholds of masks that are filled in for a person lie above those of segmenting everything."""


def confident_settings(predictor: Predictor) -> AutomaticSettings:
    """Return what is kept of masks that are filled in for a person: only those that hardly need a look."""
    usual = _usual(predictor)
    return usual.replaced(
        pred_iou_thresh=usual.pred_iou_thresh + _SURER,
        stability_score_thresh=min(usual.stability_score_thresh + _SURER / 2, 1.0),
    )


def automatic_settings(predictor: Predictor) -> AutomaticSettings:
    """Return what is asked where nobody looks at the masks: the image, and its crops half as densely."""
    return _usual(predictor).replaced(crop_n_layers=1, crop_n_points_downscale_factor=2)


def _usual(predictor: Predictor) -> AutomaticSettings:
    """Return the settings for a model; one that was retrained has those of its architecture."""
    is_light = isinstance(predictor.sam.config.encoder, PyramidConfig)
    return default_preset("light" if is_light else predictor.name).settings


def model_masks(
    engine: DataEngine,
    name: str,
    predictor: Predictor,
    stage: Stage,
    settings: AutomaticSettings | None = None,
    there: Sequence[MaskRecord] = (),
) -> Steps[int]:
    """Add the model's masks to an image, the most prominent first; those that are there already are left out.

    `there` are masks of the image that are not in its record yet; the settings are by default those of the stage.

    Yields
    ------
    Progress
        Points asked.

    Returns
    -------
    int
        Masks that were added.

    Raises
    ------
    ValueError, OSError
        For an image that cannot be read, or a record that cannot be written.
    """
    image = engine.read_image(name)
    if settings is None:
        settings = (automatic_settings if stage == "automatic" else confident_settings)(predictor)
    found = yield from AutomaticMaskGenerator(predictor, settings).run(image)
    fresh = new_masks(found, [*there, *(one.record for one in engine.masks(name))])
    fresh = [fresh[number] for number in by_prominence(fresh, image)]
    origin = Origin(stage, model=predictor.name, weights=weights_hash(predictor.sam))
    engine.add(name, [EngineMask(one, origin) for one in fresh])
    return len(fresh)


def automatic_stage(
    engine: DataEngine,
    names: Sequence[str],
    predictor: Predictor,
    settings: AutomaticSettings | None = None,
) -> Steps[tuple[int, tuple[str, ...]]]:
    """Annotate images without a person, and call them done.

    Yields
    ------
    Progress
        In images.

    Returns
    -------
    masks : int
        Masks that were added.
    skipped : tuple of str
        One sentence for each image that cannot be read, or whose record cannot be written.
    """
    added = 0
    skipped: list[str] = []
    for done, name in enumerate(names):
        here = Progress(done, len(names), name)
        yield here
        steps = model_masks(engine, name, predictor, "automatic", settings)
        try:
            added += yield from relabelled(
                steps,
                lambda inner, here=here: Progress(here.done, here.total, f"{here.note}: {inner.note}"),  # type: ignore[misc]
            )
            engine.finish(name)
        except (ValueError, OSError) as error:
            skipped.append(f"{name}: {error}")
    yield Progress(len(names), len(names), "All images are annotated")
    return added, tuple(skipped)
