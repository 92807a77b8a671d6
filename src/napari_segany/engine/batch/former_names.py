"""What an earlier run wrote for an image that goes by another name now: removed, so that no image is there twice."""

from __future__ import annotations

import os
from collections.abc import Sequence

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.one_image import ImageResult
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.progress import Progress, Steps


def forget_former_steps(
    images: Sequence[BatchImage], results: Sequence[ImageResult], folder: BatchFolder
) -> Steps[tuple[str, ...]]:
    """Remove the outputs of earlier names, with progress in names; those of other inputs stay.

    A name that no image of this run has is an earlier one of an image that is complete now, where its recorded input

    - is the very file of such an image, whose outputs are called otherwise now (a second input of its name came), or
    - is no longer there, and such an image has the same bytes (it was renamed or moved).

    Inputs that are still there and not part of this run, layers, and images with an output that was changed by hand
    keep everything.

    Parameters
    ----------
    images, results : sequence
        The images of this run, and what became of each.
    folder : BatchFolder
        The folder, which nobody else writes into.

    Returns
    -------
    tuple of str
        The names that were removed.

    Raises
    ------
    OSError
        Where a file cannot be removed.
    """
    own = {image.name for image in images}
    former = [name for name in folder.recorded_names() if name not in own]
    if not former:
        return ()
    by_folded = {name.casefold(): name for name in own}
    complete = [image for image, result in zip(images, results, strict=True) if not result.error]
    places = {image.source.place for image in complete} - {""}
    contents = {entry.content for image in complete if (entry := folder.recorded(image.name)) is not None} - {""}
    forgotten = []
    for number, name in enumerate(former):
        yield Progress(number, len(former), "Looking for earlier names")
        entry = folder.recorded(name)
        if entry is None or not entry.source:
            continue
        twin = by_folded.get(name.casefold())
        if twin is not None and folder.is_same(name, twin):
            continue
        is_elsewhere = entry.content in contents and not os.path.lexists(entry.source)
        if (entry.source in places or is_elsewhere) and folder.forget(name):
            forgotten.append(name)
    return tuple(forgotten)


def renamed_inputs(images: Sequence[BatchImage], folder: BatchFolder) -> frozenset[str]:
    """Return where inputs are whose outputs have a name that another image of this run has now.

    Names are told apart by folders, which depends on what else is given: a_b.tif alone is "a_b", beside a_b.png it is
    "a_b_tif", and a/b.tif may be "a_b" then. The former gets its outputs anew, so its earlier ones may be replaced.
    """
    places = {image.source.place for image in images} - {""}
    holders = ((image, folder.recorded(image.name)) for image in images)
    return frozenset(
        held.source
        for image, held in holders
        if held is not None and held.source != image.source.place and held.source in places
    )
