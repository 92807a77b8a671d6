"""The preview of the candidates: one Labels layer each, of the shown plane alone, only the chosen one visible.

Once there is no candidate any more, the layer of the last one stays visible and is empty: showing or hiding a layer
takes napari as long as drawing all of them, and most often the same one is shown next.

A candidate is a line around a faint filling, so that nobody takes it for an accepted object, which is filled and
has no line. Knows napari's layers and viewer model, but no model and no Qt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_segany.engine.mask_outline import inner_edge
from napari_segany.widgets.drafts import Candidate
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layer_order import Level, insert_in_order, settle
from napari_segany.widgets.layers import (
    follow,
    line_width,
    may_be_ahead,
    placement,
    remove,
    set_visible,
    spatial_shape,
)
from napari_segany.widgets.preview_saving import PREVIEW_KEY
from napari_segany.widgets.spared_events import show_in_place_of

CANDIDATE_COLOURS = ("#3b9dff", "#ffa733", "#e765d8")
"""Of the first, second and third candidate; told apart by people with any colour vision, and from red and green."""


INSIDE, EDGE = 1, 2
"""What the pixels of a candidate are in its layer."""

_FAINT = "4d"  # of 255: how much of the filling is seen

_WRITTEN_INTO = 2**24
"""Pixels of the largest array that is changed in place: of a larger one only what was drawn on takes memory."""


def candidate_name(rank: int) -> str:
    """Return the name of a candidate, counted from 0, best first."""
    return f"mask {rank + 1}"


class CandidateLayers:
    """The preview layers of one image.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows them.
    later : callable
        Runs a callback when the current event is over: what has changed of a layer is drawn then.

    Attributes
    ----------
    colours : tuple of str
        "#rrggbb" of the first, second ... candidate, see `paint`.
    """

    def __init__(
        self, viewer: ViewerModel, later: Callable[[Callable[[], None]], None] = lambda callback: callback()
    ) -> None:
        self.colours: tuple[str, ...] = CANDIDATE_COLOURS
        self._layers: dict[int, Labels] = {}
        self._viewer, self._later = viewer, later
        self._undrawn: set[Labels] = set()
        self._image: Image | None = None
        self._plane: Plane | None = None
        self._shown: int | None = None
        self._on_made: list[Callable[[Layer], None]] = []

    def when_made(self, callback: Callable[[Layer], None]) -> None:
        """Call back with each new layer, so that keys can be bound to it."""
        self._on_made.append(callback)

    def paint(self, colours: tuple[str, ...]) -> None:
        """Have these colours, in layers that are there too."""
        if colours != self.colours:
            self.colours = colours
            for rank, layer in self._layers.items():
                layer.colormap = _colormap(colours[rank % len(colours)])

    def show(self, image: Image, plane: Plane, candidates: Sequence[Candidate], selected: int) -> None:
        """Show candidates, the selected one visibly; layers that are no longer needed are emptied.

        Parameters
        ----------
        image : Image
            Where they belong.
        plane : Plane
            The plane of the image that they lie on.
        candidates : sequence of Candidate
            Best first.
        selected : int
            The visible one.
        """
        shape, width = plane.thin_shape(spatial_shape(image)), line_width(self._viewer, image, plane)
        self._image, self._plane, self._shown = image, plane, selected
        for rank in range(len(candidates)):
            if rank not in self._layers:
                self._make(rank, image, plane)
        for rank, layer in self._layers.items():
            if rank < len(candidates):
                self._put(layer, drawn(candidates[rank].mask, width).reshape(shape))
                _tell(layer, candidates[rank].predicted_iou, candidates[rank].stability_score)
                follow(layer, image, plane)
            else:
                self._empty(layer)
        self._show_only(selected)

    def ready_steps(self, image: Image, plane: Plane) -> Iterator[None]:
        """Have empty layers there, as large as the plane and drawn once; a step for each, see `LayersAhead`."""
        shape = plane.thin_shape(spatial_shape(image))
        for rank in range(len(CANDIDATE_COLOURS) if may_be_ahead(image, plane) else 0):
            layer = self._layers.get(rank)
            if self._shown is not None or (layer is not None and layer.data.shape == shape):
                continue
            if layer is None:
                layer = self._make(rank, image, plane)
            else:
                layer.data = np.zeros(shape, np.uint8)
                follow(layer, image, plane)
            set_visible(layer, True)
            yield
            set_visible(layer, rank == (self._shown or 0))  # most often the first is shown first

    def _make(self, rank: int, image: Image, plane: Plane) -> Labels:
        shape = plane.thin_shape(spatial_shape(image))
        self._layers[rank] = layer = _new_layer(image, plane, shape, rank, self.colours)
        insert_in_order(self._viewer, layer, Level.OFFERED, image)
        for callback in self._on_made:
            callback(layer)
        return layer

    def select(self, selected: int) -> None:
        """Make one candidate the visible one."""
        self._shown = selected
        self._show_only(selected)

    def _show_only(self, selected: int) -> None:
        shown = self._layers.get(selected)
        if shown is not None and not shown.visible:
            self._undrawn.discard(shown)  # napari draws what it shows
        show_in_place_of(shown, [layer for layer in self._layers.values() if layer is not shown])

    def _empty(self, layer: Labels) -> None:
        """Leave no mask and no scores of an earlier question behind."""
        if layer.data.any():
            self._put(layer, np.zeros(layer.data.shape, np.uint8))
            _tell(layer, np.nan, np.nan)

    def _put(self, layer: Labels, pixels: NDArray[np.uint8]) -> None:
        """Have pixels in a layer, unless they are too many in its own array, which is quicker; drawn a turn later."""
        if layer.data.shape == pixels.shape and pixels.size <= _WRITTEN_INTO:
            layer.data[...] = pixels
            self._undrawn.add(layer)
            self._later(self._draw)
        else:
            layer.data = pixels

    def _draw(self) -> None:
        undrawn, self._undrawn = self._undrawn, set()
        for layer in undrawn:
            layer.refresh(extent=False, highlight=False)

    def hide(self) -> None:
        """Empty them; the layers stay for the next answer, for making them anew costs time."""
        self._shown = None
        for layer in self._layers.values():
            self._empty(layer)

    def turn_to(self, image: Image) -> None:
        """Serve another image: layers of as many axes are taken along, on top, for removing them costs seconds."""
        if any(layer.ndim != image.ndim for layer in self._layers.values()):
            self.clear()
        self._image = self._plane = self._shown = None
        whole = spatial_shape(image)
        for layer in self._layers.values():
            if all(side in (1, size) for side, size in zip(layer.data.shape, whole, strict=True)):
                self._empty(layer)
            else:
                layer.data = np.zeros((1,) * image.ndim, np.uint8)
            follow(layer, image)
        settle(self._viewer, Level.OFFERED, image, *self._layers.values())

    def follow(self) -> None:
        """Move the layers to where the image lies now."""
        if self._image is not None and self._plane is not None:
            for layer in self._layers.values():
                follow(layer, self._image, self._plane)

    def forget(self, layer: object) -> bool:
        """Take note that a layer is gone from the viewer; return whether it was one of these."""
        for rank, ours in self._layers.items():
            if layer is ours:
                del self._layers[rank]
                return True
        return False

    def clear(self) -> None:
        """Remove the layers."""
        layers, self._layers = self._layers, {}
        for layer in layers.values():
            remove(self._viewer, layer)
        self._image = self._plane = self._shown = None


def _new_layer(image: Image, plane: Plane, shape: tuple[int, ...], rank: int, colours: tuple[str, ...]) -> Labels:
    return Labels(
        np.zeros(shape, dtype=np.uint8),
        name=candidate_name(rank),
        opacity=1.0,
        visible=False,
        metadata={PREVIEW_KEY: True},
        colormap=_colormap(colours[rank % len(colours)]),
        features=pd.DataFrame({"index": [0, INSIDE, EDGE], "predicted_iou": np.nan, "stability_score": np.nan}),
        **placement(image, plane),
    )


def _colormap(colour: str) -> DirectLabelColormap:
    return DirectLabelColormap(
        color_dict={0: "transparent", INSIDE: colour + _FAINT, EDGE: colour, None: "transparent"}
    )


def _tell(layer: Labels, predicted_iou: float, stability_score: float) -> None:
    """Write scores into the features, which the status bar shows; in place, for setting features takes long."""
    if "predicted_iou" not in layer.features:  # somebody has set others
        return
    layer.features["predicted_iou"] = [np.nan, predicted_iou, predicted_iou]
    layer.features["stability_score"] = [np.nan, stability_score, stability_score]
    layer.events.features()


def drawn(mask: NDArray[np.bool_], width: int) -> NDArray[np.uint8]:
    """Return an (H, W) mask as a candidate is drawn: `INSIDE`, and `EDGE` within `width` pixels of its edge."""
    pixels = np.zeros(mask.shape, np.uint8)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows):
        window = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        part = pixels[window]
        part[mask[window]] = INSIDE
        part[inner_edge(mask[window], width)] = EDGE
    return pixels
