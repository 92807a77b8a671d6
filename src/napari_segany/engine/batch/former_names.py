"""What an earlier run wrote for an image that goes by another name now: removed, so that no image is there twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.ledger import STATE, Ledger, Origin
from napari_segany.engine.batch.one_image import ImageResult
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.batch.tile_outputs import TileOutputs
from napari_segany.engine.progress import Progress, Steps


def forget_former_steps(
    images: Sequence[BatchImage],
    results: Sequence[ImageResult],
    folder: BatchFolder,
    besides: Sequence[ImageResult] = (),
) -> Steps[tuple[str, ...]]:
    """Remove the outputs of earlier names, with progress in names; those of other inputs stay.

    A name that no image of this run has is an earlier one of an image that is complete now, where its recorded input

    - is the very file, and plane, of such an image, whose outputs are called otherwise now (a second input of its
      name came), or
    - is no longer there, and such an image has the same bytes, or in tiles the same pixels (it was renamed or
      moved).

    Inputs that are still there and not part of this run, layers, and images with an output that was changed by hand
    keep everything.

    Parameters
    ----------
    images, results : sequence
        The images of this run, and what became of each.
    folder : BatchFolder
        The folder, which nobody else writes into.
    besides : sequence of ImageResult
        What became of the images of this run that were done in tiles.

    Returns
    -------
    tuple of str
        The names that were removed.

    Raises
    ------
    OSError
        Where a file cannot be removed.
    """
    own = {image.name for image in images} | {result.name for result in besides}
    former = [held for held in _all_held(folder) if held.name not in own]
    if not former:
        return ()
    by_folded = {name.casefold(): name for name in own}
    complete = [_whole(folder, image.name) for image, result in zip(images, results, strict=True) if not result.error]
    complete += [_in_tiles(folder, result.name) for result in besides if not result.error]
    origins = [held.origin for held in complete if held.origin is not None]
    places = {(origin.source, origin.plane) for origin in origins if origin.source}
    contents = {origin.content for origin in origins} - {""}
    forgotten = []
    for number, held in enumerate(former):
        yield Progress(number, len(former), "Looking for earlier names")
        origin = held.origin
        if origin is None or not origin.source:
            continue
        twin = by_folded.get(held.name.casefold())
        if twin is not None and held.ledger_of(held.name).is_same(held.ledger_of(twin)):
            continue
        is_elsewhere = origin.content in contents and not os.path.lexists(origin.source)
        if ((origin.source, origin.plane) in places or is_elsewhere) and held.forget():
            forgotten.append(held.name)
    return tuple(forgotten)


@dataclass(frozen=True)
class _Held:
    """What is written down of an image, done as a whole or in tiles."""

    name: str
    origin: Origin | None
    ledger_of: Callable[[str], Ledger]
    forget: Callable[[], bool]


def _all_held(folder: BatchFolder) -> list[_Held]:
    tiles = sorted(path.parent.name for path in (folder.root / STATE / "tiles").glob("*/outputs.json"))
    return [
        *(_whole(folder, name) for name in folder.recorded_names()),
        *(_in_tiles(folder, name) for name in tiles),
    ]


def _whole(folder: BatchFolder, name: str) -> _Held:
    entry = folder.recorded(name)
    origin = None if entry is None else Origin(entry.source, "", entry.content)
    return _Held(name, origin, folder.ledger, folder.ledger(name).forget)


def _in_tiles(folder: BatchFolder, name: str) -> _Held:
    outputs = TileOutputs(folder.root, name)
    return _Held(name, outputs.origin, lambda other: TileOutputs(folder.root, other).ledger, outputs.forget)


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
