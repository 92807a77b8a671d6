"""The masks that a batch has left, as layers: read in the background, then put over their images. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.sources import FileSource, ImageContent
from napari_segany.engine.progress import Progress, Steps
from napari_segany.formats.geo_grid import GRID_KEY
from napari_segany.formats.geo_pyramid import VIEW_KEY
from napari_segany.formats.painting import PaintingRule
from napari_segany.formats.pixel_size import PixelSize
from napari_segany.widgets.batch_inputs import LayerSource, image_layers
from napari_segany.widgets.batch_large import TILES, labels_levels
from napari_segany.widgets.batch_work import BatchOutcome
from napari_segany.widgets.geo_metadata import inherited_place
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks, PlaneIndex, painted
from napari_segany.widgets.label_features import features_of
from napari_segany.widgets.layers import placement, spatial_shape

if TYPE_CHECKING:
    from napari_segany.engine.batch.one_image import ImageResult
    from napari_segany.engine.batch.sources import BatchImage

MOST_RESULTS = 20
"""Images whose results are opened at once, at most."""

FILE_KEY = "napari_segany_file"
"""Key of the metadata of an image layer that was opened here: the path of its file."""


@dataclass(frozen=True, eq=False)
class OpenedResult:
    """The result of one image, ready to become layers.

    Attributes
    ----------
    image : BatchImage
        The image.
    content : ImageContent
        Its pixels, their size, and the intensities to show (None for colours).
    labels : numpy.ndarray
        (..., H, W), numbered as in the label image that a batch writes.
    features : pandas.DataFrame
        The scores by label, as napari's features table has them.
    kept : KeptMasks
        The whole masks.
    """

    image: BatchImage
    content: ImageContent
    labels: NDArray[np.generic]
    features: pd.DataFrame
    kept: KeptMasks

    @property
    def has_colours(self) -> bool:
        """Whether the last axis of the pixels holds colours."""
        return self.content.pixels.ndim > self.labels.ndim


@dataclass(frozen=True, eq=False)
class OpenedTiles:
    """The labels of an image that was done tile by tile.

    Attributes
    ----------
    image : BatchImage
        The image.
    levels : list of array
        Lazy (H, W) labels, full resolution first.
    """

    image: BatchImage
    levels: list[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W)."""
        return tuple(int(side) for side in self.levels[0].shape)


def complete_images(outcome: BatchOutcome) -> list[tuple[BatchImage, ImageResult]]:
    """Return the images that did not fail, with their results."""
    pairs = zip(outcome.images, outcome.result.images, strict=True)
    return [(image, result) for image, result in pairs if not result.error]


def opening_steps(outcome: BatchOutcome, most: int = MOST_RESULTS) -> Steps[list[OpenedResult | OpenedTiles]]:
    """Read the first results of a batch, with progress in images.

    Raises
    ------
    OSError
        For an image or masks that are gone.
    ValueError
        For an image that has changed since.
    """
    chosen = complete_images(outcome)[:most]
    folder, rule = BatchFolder(outcome.request.folder), outcome.request.settings.painting
    opened: list[OpenedResult | OpenedTiles] = []
    for number, (image, result) in enumerate(chosen):
        yield Progress(number, len(chosen), f"Opening {result.shown}")
        if result.planes == (TILES,):
            opened.append(OpenedTiles(image, labels_levels(outcome.request.folder, image.name)))
            continue
        opened.append(_opened(folder, image, result, rule))
    return opened


def add_result(viewer: ViewerModel, opened: OpenedResult | OpenedTiles, *, visible: bool) -> None:
    """Put the masks of an image into the viewer as a Labels layer, and the image of a file too unless it is there.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    opened : OpenedResult
        The image and its masks.
    visible : bool
        Whether an image that is opened now is shown; masks are shown where their image is.
    """
    if isinstance(opened, OpenedTiles):
        _add_tiles(viewer, opened, visible=visible)
        return
    image = _layer_of(viewer, opened)
    source = opened.image.source
    place: Mapping[str, Any] = {}
    if image is None and isinstance(source, LayerSource):
        place = source.placement  # the layer is gone
    elif image is None:
        image = _add_image(viewer, opened, visible=visible)
    viewer.add_labels(
        opened.labels,
        name=f"{opened.image.name} masks",
        features=opened.features,
        metadata={MASKS_KEY: opened.kept, **_place_on_earth(opened.content)},
        visible=visible if image is None else image.visible,
        **(place if image is None else placement(image)),
    )


def add_results(
    viewer: ViewerModel,
    opened: Sequence[OpenedResult | OpenedTiles],
    later: Callable[[Callable[[], None]], None],
    ended: Callable[[], None],
) -> None:
    """Add the layers of one image at a time, so that the window can be drawn between them; the last one is seen."""
    waiting = list(opened)

    def add_next() -> None:
        if waiting:
            add_result(viewer, waiting.pop(0), visible=len(waiting) + 1 == len(opened))
            later(add_next)
        else:
            ended()

    add_next()


def _opened(folder: BatchFolder, image: BatchImage, result: ImageResult, rule: PaintingRule) -> OpenedResult:
    content = _content(image)
    kept = KeptMasks(_masks(folder, image, result, content), rule, image.file_name)
    planes = [painted(masks, content.plane_shape, rule) for masks in kept.planes.values()]
    labels = np.stack(planes).reshape(*content.stack_shape, *content.plane_shape)
    features = features_of([mask for masks in kept.planes.values() for mask in masks])
    return OpenedResult(image, content, labels, features, kept)


def _content(image: BatchImage) -> ImageContent:
    """Return the pixels: of a layer the data that it has, of a file those that are read."""
    if isinstance(image.source, LayerSource):
        return image.source.content
    content = image.source.read()
    has_colours = content.pixels.ndim > len(content.stack_shape) + 2
    return content if has_colours else replace(content, contrast_limits=content.limits())


def _masks(
    folder: BatchFolder, image: BatchImage, result: ImageResult, content: ImageContent
) -> dict[PlaneIndex, tuple[KeptMask, ...]]:
    """Return the masks of each plane by its index, their numbers going on from plane to plane as in the files."""
    indices = list(np.ndindex(*content.stack_shape))
    planes = [folder.read_plane(image.name, plane) for plane in result.planes]
    if len(indices) != len(planes) or any(plane.size != content.plane_shape for plane in planes):
        raise ValueError(f"{result.shown} has changed since; run again")
    numbers = count(1)
    return {
        index: tuple(KeptMask(next(numbers), item.record) for item in plane.objects)
        for index, plane in zip(indices, planes, strict=True)
    }


def _add_tiles(viewer: ViewerModel, opened: OpenedTiles, *, visible: bool) -> None:
    """Put labels of tiles over their image, where that is open; its pixels are not opened: they may not fit."""
    image = _layer_of(viewer, opened)
    viewer.add_labels(
        opened.levels if len(opened.levels) > 1 else opened.levels[0],
        name=f"{opened.image.name} masks",
        multiscale=len(opened.levels) > 1,
        visible=visible if image is None else image.visible,
        metadata={} if image is None else inherited_place(image.metadata),
        **({} if image is None else placement(image)),
    )


def _layer_of(viewer: ViewerModel, opened: OpenedResult | OpenedTiles) -> Image | None:
    """Return the layer of the image; None where it is not in the viewer, or has another shape there."""
    source = opened.image.source
    shape = opened.shape if isinstance(opened, OpenedTiles) else opened.labels.shape
    for layer in image_layers(viewer):
        is_layer = isinstance(source, LayerSource) and layer.unique_id == source.layer_id
        is_file = isinstance(source, FileSource) and str(source.path) in (
            layer.source.path,
            layer.metadata.get(FILE_KEY),
        )
        if (is_layer or is_file) and spatial_shape(layer) == shape:
            return layer
    return None


def _add_image(viewer: ViewerModel, opened: OpenedResult, *, visible: bool) -> Image:
    content, source = opened.content, opened.image.source
    options: dict[str, Any] = {}
    if not opened.has_colours:
        options["contrast_limits"] = content.contrast_limits
    if content.pixel_size is not None:
        options |= _scale(content.pixel_size, opened.labels.ndim)
    return viewer.add_image(
        content.pixels,
        name=opened.image.name,
        rgb=opened.has_colours,
        metadata={
            **({FILE_KEY: str(source.path)} if isinstance(source, FileSource) else {}),
            **_place_on_earth(content),
        },
        visible=visible,
        **options,
    )


def _place_on_earth(content: ImageContent) -> dict[str, Any]:
    """Return the grid and the view of a raster, as its layers have them among their metadata."""
    return {} if content.view is None else {GRID_KEY: content.view.raster.grid, VIEW_KEY: content.view}


def _scale(size: PixelSize, ndim: int) -> dict[str, Any]:
    further = ndim - 2
    return {
        "scale": [*[1.0] * further, size.row, size.col],
        "units": [*["pixel"] * further, size.unit, size.unit],
    }
