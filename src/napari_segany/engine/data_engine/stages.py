"""The two stages in which the model begins: masks filled in for a person, and masks that nobody looks at.

Kirillov et al. 2023 (arXiv:2304.02643), section 4 and appendix B.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.masks import EngineMask, Origin, Stage, by_prominence, new_masks
from napari_segany.engine.loaded_model import weights_checksum
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress, Steps, relabelled

CONFIDENT = AutomaticSettings(pred_iou_thresh=0.92, stability_score_thresh=0.95)
"""Of masks that are filled in for a person: only those that hardly need a look."""

AUTOMATIC = AutomaticSettings(crop_n_layers=1, crop_n_points_downscale_factor=2)
"""Of masks that nobody looks at: the image and its crops."""


def model_masks(
    engine: DataEngine, name: str, predictor: Predictor, stage: Stage, settings: AutomaticSettings
) -> Steps[int]:
    """Add the model's masks to an image, the most prominent first; those that are there already are left out.

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
    found = yield from AutomaticMaskGenerator(predictor, settings).run(image)
    fresh = new_masks(found, [one.record for one in engine.masks(name)])
    fresh = [fresh[number] for number in by_prominence(fresh, image)]
    origin = Origin(stage, model=predictor.name, weights=weights_checksum(predictor.sam))
    engine.add(name, [EngineMask(one, origin) for one in fresh])
    return len(fresh)


def automatic_stage(
    engine: DataEngine,
    names: Sequence[str],
    predictor: Predictor,
    settings: AutomaticSettings = AUTOMATIC,
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
        One sentence for each image that cannot be read.
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
        except (ValueError, OSError) as error:
            skipped.append(f"{name}: {error}")
            continue
        engine.finish(name)
    yield Progress(len(names), len(names), "All images are annotated")
    return added, tuple(skipped)
