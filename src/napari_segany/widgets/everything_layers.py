"""The layers of segmented objects: the Labels layer `everything`, and an outline around the selected ones.

Knows napari's layers and viewer model, but no model and no Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_segany.formats.painting import PaintingRule
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.clicks import clicked
from napari_segany.widgets.everything_table import FoundObject, features_table
from napari_segany.widgets.geo_metadata import inherited_place
from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.kept_masks import MASKS_KEY, KeptMask, KeptMasks
from napari_segany.widgets.labels_source import FOUND_IN_KEY, file_name_of
from napari_segany.widgets.layer_order import Level, insert_in_order
from napari_segany.widgets.layers import follow, placement, remove, spatial_shape, world_to_data
from napari_segany.widgets.outline_colours import outline_colormap
from napari_segany.widgets.preview_saving import PREVIEW_KEY

EVERYTHING_NAME = "everything"
SELECTION_NAME = "selected objects"

_MARGIN = 2  # pixels around the selected objects, so that their outline is not cut


class EverythingLayer:
    """The layer `everything` of one image. It shows what the session holds, so it is not painted in by hand.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.
    image : Image
        The image that the objects are found in.
    on_click : callable
        Called with a data position of the image and whether Shift was held, when the layer is clicked on.
    on_label : callable
        Called with a label when it becomes the layer's selected one, in napari's features table for example.
    on_made : callable
        Called with the layer when it is made, so that keys can be bound to it.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        on_click: Callable[[Floats, bool], None],
        on_label: Callable[[int], None],
        on_made: Callable[[Labels], None],
    ) -> None:
        self.layer: Labels | None = None
        self._on_made = on_made
        self._viewer, self._image = viewer, image
        self._on_click, self._on_label = on_click, on_label
        self._outline: Labels | None = None

    def write(self, plane: Plane, labels: NDArray[Any]) -> None:
        """Show (H, W) labels on a plane."""
        layer = self._ready()
        if labels.size and np.iinfo(layer.data.dtype).max < labels.max():
            layer.data = np.asarray(layer.data).astype(np.uint32)
        layer.data[plane.slicer()] = labels
        layer.refresh(extent=False, highlight=False)

    def clear(self) -> None:
        """Show nothing on any plane."""
        if self.layer is not None:
            self.layer.data = np.zeros(spatial_shape(self._image), np.uint16)
            self.describe({}, "smaller")

    def describe(self, objects: Mapping[int, FoundObject], rule: PaintingRule) -> None:
        """Set the table of features, and keep the masks with the layer, for files: painting hides parts of them."""
        layer = self._ready()
        layer.features = features_table(objects)
        kept = _kept_masks(objects, rule, layer.ndim, file_name_of(self._image))
        layer.metadata = {**layer.metadata, MASKS_KEY: kept}

    def mark(self, plane: Plane | None, selected: Sequence[FoundObject]) -> None:
        """Draw an outline around objects of one plane; the last one becomes the layer's selected label."""
        if self.layer is not None and selected:
            self.layer.selected_label = selected[-1].label
        if plane is None or not selected:
            if self._outline is not None:
                self._outline.visible = False
            return
        box = _box_around([found.record for found in selected], plane.shape_in(spatial_shape(self._image)))
        mask = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        for found in selected:
            mask |= found.record.rle.window(box)
        data = mask.astype(np.uint8).reshape(plane.thin_shape(_sized(plane, mask.shape)))
        self._outlined(plane, box, data)

    def activate(self) -> None:
        """Make the layer the active one, so that clicks select objects."""
        if self.layer is not None:
            self._viewer.layers.selection.active = self.layer

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was the layer of objects."""
        if layer is self._outline:
            self._outline = None
        if layer is not self.layer or layer is None:
            return False
        self._release()
        return True

    def follow(self) -> None:
        """Move the layer to where the image lies now; the outline goes until something is selected again."""
        if self.layer is not None:
            follow(self.layer, self._image)
        remove(self._viewer, self._outline)

    def close(self, *, keep_layers: bool = False) -> None:
        """Leave the layer of objects in the viewer, as an ordinary one, and remove the outline.

        Parameters
        ----------
        keep_layers : bool
            Leave the outline too, because the viewer itself is going.
        """
        if not keep_layers:
            remove(self._viewer, self._outline)
        self._outline = None
        if self.layer is not None:
            layer = self.layer
            self._release()
            layer.editable = True

    # -------------------------------------------------------------------- internal

    def _ready(self) -> Labels:
        if self.layer is None:
            self.layer = Labels(
                np.zeros(spatial_shape(self._image), np.uint16),
                name=EVERYTHING_NAME,
                opacity=0.6,
                metadata={FOUND_IN_KEY: self._image.unique_id, **inherited_place(self._image.metadata)},
                **placement(self._image),
            )
            insert_in_order(self._viewer, self.layer, Level.FOUND, self._image)
            self.layer.editable = False
            self.layer.events.editable.connect(self._stay_uneditable)
            self.layer.events.selected_label.connect(self._label_selected)
            self.layer.mouse_drag_callbacks.append(self._pressed)
            self._on_made(self.layer)
            self.activate()
        return self.layer

    def _release(self) -> None:
        if self.layer is not None:
            self.layer.events.editable.disconnect(self._stay_uneditable)
            self.layer.events.selected_label.disconnect(self._label_selected)
            if self._pressed in self.layer.mouse_drag_callbacks:
                self.layer.mouse_drag_callbacks.remove(self._pressed)
        self.layer = None

    def _stay_uneditable(self, event: Any = None) -> None:
        """Napari makes a layer editable again when the view changes between 2-D and 3-D."""
        if self.layer is not None and self.layer.editable:
            self.layer.editable = False

    def _label_selected(self, event: Any = None) -> None:
        if self.layer is not None:
            self._on_label(int(self.layer.selected_label))

    def _pressed(self, layer: Labels, event: Any) -> Iterator[None]:
        def select(position: tuple[float, ...], shift: bool) -> None:
            self._on_click(world_to_data(self._viewer, self._image, position), shift)

        yield from clicked(event, select)

    def _outlined(self, plane: Plane, box: tuple[int, int, int, int], data: NDArray[np.uint8]) -> None:
        corner = plane.to_data([box[:2]])[0]
        translate = np.asarray(self._image.affine.inverse(self._image.data_to_world(corner)), dtype=float)
        if self._outline is None or self._outline not in self._viewer.layers:
            self._outline = Labels(
                data,
                name=SELECTION_NAME,
                metadata={PREVIEW_KEY: True},
                colormap=outline_colormap("white"),
                **{**placement(self._image, plane), "translate": translate},
            )
            self._outline.contour = 1
            self._outline.editable = False
            insert_in_order(self._viewer, self._outline, Level.OUTLINE, self._image)
            return
        self._outline.data = data
        self._outline.translate = translate
        self._outline.visible = True


def _kept_masks(objects: Mapping[int, FoundObject], rule: PaintingRule, ndim: int, file_name: str) -> KeptMasks:
    """Return the masks by slice, as files take them; those of slices that lie along other axes are left out.

    They keep their order, by which the one of equal masks is told that was painted on top.
    """
    planes: dict[tuple[int, ...], list[KeptMask]] = {}
    other_axes = None
    for label, found in objects.items():
        if found.plane.axes == (ndim - 2, ndim - 1):
            planes.setdefault(found.plane.index, []).append(KeptMask(label, found.record))
        else:
            other_axes = found.plane.axes
    kept = {index: tuple(masks) for index, masks in planes.items()}
    return KeptMasks(kept, rule, file_name, other_axes=other_axes)


def _sized(plane: Plane, shape: tuple[int, ...]) -> list[int]:
    """Return sizes of data, of which `thin_shape` regards those on the plane's axes."""
    sizes = [1] * plane.ndim
    sizes[plane.axes[0]], sizes[plane.axes[1]] = shape
    return sizes


def _box_around(records: Sequence[MaskRecord], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    boxes = np.array([record.bbox for record in records])
    top, left = (max(0, int(edge) - _MARGIN) for edge in boxes[:, :2].min(axis=0))
    bottom, right = (
        min(size, int(edge) + _MARGIN) for edge, size in zip(boxes[:, 2:].max(axis=0), shape, strict=True)
    )
    return top, left, bottom, right
