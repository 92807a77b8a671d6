"""Which annotated images can be trained on, and a sentence for each that cannot. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_segany.engine.image import checked_image
from napari_segany.engine.progress import Progress, Steps
from napari_segany.training.annotated import AnnotatedImage


@dataclass(frozen=True)
class Screening:
    """What a data set is good for.

    Attributes
    ----------
    images : tuple of AnnotatedImage
        Those with a readable image and at least one object.
    skipped : tuple of str
        Why each of the others is left out.
    """

    images: tuple[AnnotatedImage, ...]
    skipped: tuple[str, ...]


def screen(images: Sequence[AnnotatedImage]) -> Steps[Screening]:
    """Read every image and its objects once.

    Returns
    -------
    Screening
        What can be used.

    Raises
    ------
    ValueError
        If there are images and none can be used; it gives the first reason.
    """
    usable: list[AnnotatedImage] = []
    skipped: list[str] = []
    for number, image in enumerate(images):
        yield Progress(number, len(images), "Looking through the images")
        try:
            pixels, layers = image.read()
            checked_image(pixels)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
            skipped.append(f"{image.dataset}/{image.name}: {reason}")
        except ValueError as error:
            skipped.append(f"{image.dataset}/{image.name}: {error}")
        else:
            if any(layer.any() for layer in layers):
                usable.append(image)
            else:
                skipped.append(f"{image.dataset}/{image.name}: it has no objects, all of it is background")
    if images and not usable:
        raise ValueError(f"none of the {len(images)} images can be trained on; the first: {skipped[0]}")
    return Screening(tuple(usable), tuple(skipped))
