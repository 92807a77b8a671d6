"""Labels layers as writers get them: pixels, the masks behind them, their features, the image that they are of.

Knows napari's layer tuples and looks up the image in the viewer, but no Qt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.class_list import CLASSES_KEY, ClassList, ObjectClass
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMasks, PlaneIndex, present_masks
from napari_segany.widgets.label_features import category_of, described, row_finder
from napari_segany.widgets.layers import spatial_shape
from napari_segany.widgets.objects import OWNER_KEY
from napari_segany.widgets.preview_saving import PREVIEW_KEY

FOUND_IN_KEY = "napari_segany_found_in"
"""Key of a layer's metadata whose value is the unique id of the image that its objects were found in.

Unlike `OWNER_KEY` it does not make the layer the one that prompts write into.
"""

LayerTuple = tuple[Any, Mapping[str, Any], str]
"""(data, state, type) of a layer, as napari hands it to writers."""


@dataclass(frozen=True)
class LabelledMask:
    """An object as it is written: its mask with scores, its label and its category; None if nobody named one."""

    record: MaskRecord
    label: int
    category: str | None
    is_crowd: bool


@dataclass(frozen=True, eq=False)
class LabelsSource:
    """A Labels layer to be written.

    Attributes
    ----------
    data : array_like
        (..., H, W) integers, of the full resolution; may be lazy.
    meta : Mapping
        The layer's state.
    kept : KeptMasks or None
        The masks behind it.
    """

    data: Any
    meta: Mapping[str, Any]
    kept: KeptMasks | None

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.meta.get("name") or "labels")

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, in pixels."""
        return tuple(int(side) for side in self.data.shape)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a plane."""
        return self.shape[-2], self.shape[-1]

    @property
    def classes(self) -> ClassList:
        """The classes that were defined for its objects, also those without an object."""
        saved = (self.meta.get("metadata") or {}).get(CLASSES_KEY)
        return tuple(one for one in saved if isinstance(one, ObjectClass)) if isinstance(saved, tuple) else ()

    def masks(self, index: PlaneIndex) -> Iterator[LabelledMask]:
        """Yield the objects of a plane with what the features table says of them.

        Raises
        ------
        ValueError
            For a layer whose objects were found on slices along other axes than the last two.
        """
        plane = np.asarray(self.data[index])
        labels: NDArray[np.integer[Any]] = plane.astype(np.uint8) if plane.dtype == np.bool_ else plane
        row_of = row_finder(self.meta.get("features"))
        kept = self.kept or KeptMasks({})
        if kept.other_axes is not None:
            raise ValueError(
                f"The objects of the layer {self.name!r} were found on slices along the axes {kept.other_axes}, and "
                "this format takes slices along the last two axes; save it as label TIFF (.labels.tif), which keeps "
                "the pixels but not the nested masks, or open the image with those axes last and segment it again."
            )
        for mask in present_masks(labels, kept.planes.get(index, ()), kept.rule):
            row = row_of(mask.label)
            # In a stack the row of a label sums up its planes, of which each has scores of its own.
            record = described(mask.record, row, row_first=len(self.shape) == 2)
            yield LabelledMask(record, mask.label, category_of(row), mask.is_crowd)


def labels_of(layers: Sequence[LayerTuple]) -> list[LabelsSource]:
    """Return the Labels layers, without those that are previews of ours: nothing in these was accepted.

    Raises
    ------
    ValueError
        For a layer of less than two axes, and for previews alone.
    """
    chosen = [(data, meta) for data, meta, kind in layers if kind == "labels"]
    lasting = [(data, meta) for data, meta in chosen if PREVIEW_KEY not in (meta.get("metadata") or {})]
    if chosen and not lasting:
        raise ValueError(
            f"The layer {chosen[0][1].get('name')!r} is a preview and holds no accepted object; "
            "accept the mask (key N) and save the layer 'objects'."
        )
    sources = []
    for data, meta in lasting:
        level = data[0] if meta.get("multiscale") else data
        if len(level.shape) < 2:
            raise ValueError(f"The layer {meta.get('name')!r} has {len(level.shape)} axis; two are needed.")
        kept = (meta.get("metadata") or {}).get(MASKS_KEY)
        sources.append(LabelsSource(level, meta, kept if isinstance(kept, KeptMasks) else None))
    return sources


def image_name(source: LabelsSource, layers: Sequence[LayerTuple]) -> str:
    """Return the name of the image that labels are of.

    That is, as far as it is there: the name in the file that the masks are from; the file of the image that the
    objects were found in; where no such image is known, that of the only image of the labels' shape, or the name of
    the only image that is saved along with them. Without any, it is the name of the layer of labels.
    """
    if source.kept is not None and source.kept.file_name:
        return source.kept.file_name
    owner = owner_of(source.meta.get("metadata") or {})
    images = shown_images()
    if owner is not None and images:  # once it is closed, another one of its size is not the image that they are of
        owners = [image for image in images if image.unique_id == owner]
        return file_name_of(owners[0]) if owners else source.name
    alike = [image for image in images if spatial_shape(image) == source.shape]
    if len(alike) == 1:
        return file_name_of(alike[0])
    names = [str(meta["name"]) for _, meta, kind in layers if kind == "image" and meta.get("name")]
    return names[0] if len(names) == 1 else source.name


def owner_of(metadata: Mapping[str, Any]) -> Any:
    """Return the unique id of the image that a layer's objects were found in; None where its metadata tell none."""
    return metadata.get(OWNER_KEY, metadata.get(FOUND_IN_KEY))


def file_name_of(image: Image) -> str:
    """Return the name of the file that an image was opened from, or else its own."""
    file = file_of(image)
    return str(image.name) if file is None else file.name


def file_of(image: Image) -> Path | None:
    """Return the file that an image was opened from; None where it is not known."""
    if image.source.path:
        return Path(image.source.path)
    view = image.metadata.get(VIEW_KEY)
    return Path(view.raster.path) if isinstance(view, RasterView) else None


def shown_images() -> list[Image]:
    """Return the Image layers of the current viewer; none where there is no viewer."""
    from napari import current_viewer

    viewer = current_viewer()
    return [] if viewer is None else [layer for layer in viewer.layers if isinstance(layer, Image)]
