"""Rating masks in napari: one after the other in random order, in several views, by keys. Knows no Qt.

Whose a mask is is not shown anywhere before it is rated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes
from psygnal import Signal

from napari_segany.evaluation.plots import MatplotlibMissingError
from napari_segany.evaluation.review import Review, ReviewItem, plot_ratings, read_ratings, review_items, review_text
from napari_segany.formats.image_file import read_image
from napari_segany.widgets.layers import remove

VIEWS = ("whole", "zoomed", "contour", "mask only", "side by side")
_ZOOM_SHARE = 0.5  # of the canvas that the mask takes when it is zoomed in on


class ReviewSession:
    """A review in a viewer.

    Parameters
    ----------
    viewer : ViewerModel
        Where masks are shown.

    Attributes
    ----------
    changed, layer_made : Signal
        Emitted after every change of what is shown, and with every layer that is made for it.
    review : Review or None
        The masks and their ratings; None before `open`.
    view : str
        One of `VIEWS`.
    message : str
        One sentence for the user.
    """

    changed = Signal()
    layer_made = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self.review: Review | None = None
        self.view = VIEWS[0]
        self.message = "Choose a folder of masks in SA-1B's layout, or two to compare two models."
        self._viewer = viewer
        self._layers: list[Layer] = []  # image, mask, prompts

    def open(self, folders: Mapping[str, Path], ratings: Path, count: int | None = None, seed: int = 0) -> None:
        """Rate the masks of one folder, or of two blind; `ratings` is gone on with."""
        try:
            self.review = Review(review_items(folders, count, seed), ratings, seed)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        self._show()

    def rate(self, rating: int) -> None:
        """Rate the shown mask from 1 to 10 (keys 1 to 9, and 0 for 10), and show the next one."""
        if self.review is None:
            return
        try:
            self.review.rate(rating)
        except (ValueError, OSError) as error:
            self._say(str(error))
            return
        self._show()

    def back(self) -> None:
        """Show the mask before again (Backspace)."""
        if self.review is not None:
            self.review.back()
            self._show(backwards=True)

    def next_view(self) -> None:
        """Show the mask in the next view (key V)."""
        self.choose_view(VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)])

    def choose_view(self, view: str) -> None:
        """Show the mask whole, zoomed, as a contour, alone, or beside the image."""
        self.view = view
        self._arrange()
        self.changed.emit()

    def result(self) -> str:
        """Return what the ratings say; "" before the first."""
        return review_text(read_ratings(self.review.path)) if self.review is not None and self.review.rated else ""

    def close(self, *, keep_layers: bool = False) -> None:
        """Take the layers away."""
        if not keep_layers:
            self._clear()

    def _show(self, *, backwards: bool = False) -> None:
        """Show the present mask, or the next one (before it) whose image can be read."""
        review = self.review
        if review is None:
            return
        image, problem = _present_image(review, backwards=backwards)
        item = review.current
        if item is None:
            self._clear()
            which = "All masks" if review.rated == len(review.order) else "All masks that can be shown"
            self._say(f"{problem}{which} are rated.{self._histogram()}")
            return
        if not self._shown_in_place(item, image):
            before, self._layers = self._layers, self._made(item, image)
            for layer in self._layers:
                self._viewer.layers.append(layer)
            for layer in before:
                remove(self._viewer, layer)
        # No layer is active: its own keys would come before those of the ratings.
        self._viewer.layers.selection.clear()
        self._arrange()
        place = f"Mask {review.position + 1} of {len(review.order)}"
        self._say(f"{problem}{place}: 1 to 9, or 0 for 10. V changes the view.")

    def _histogram(self) -> str:
        """Draw how often each rating was given beside their table; return where, in a sentence."""
        if self.review is None or not self.review.rated:
            return ""
        path = self.review.path.with_suffix(".png")
        try:
            plot_ratings(read_ratings(self.review.path), path)
        except (MatplotlibMissingError, ValueError, OSError) as error:
            return f" There is no histogram: {error}."
        return f" The histogram is in {path}."

    def _made(self, item: ReviewItem, image: Any) -> list[Layer]:
        """Return layers for a mask: image, mask, points, and a box where there is one."""
        size = max(item.record.rle.size)
        layers: list[Layer] = [
            Image(image, name="image"),
            Labels(item.record.mask.astype(np.uint8), name="mask", opacity=0.5),
            Points(ndim=2, name="prompt", size=max(3.0, size / 60)),
        ]
        _draw_points(layers[2], item)
        if item.record.prompt.get("box"):
            style = {"face_color": "transparent", "edge_color": "lime", "edge_width": max(1.0, size / 300)}
            layers.append(Shapes([_box_of(item)], name="prompt box", **style))
        for layer in layers:
            self.layer_made.emit(layer)
        return layers

    def _shown_in_place(self, item: ReviewItem, image: Any) -> bool:
        """Show a mask in the layers of the one before, where it fits: making layers takes napari half a second."""
        if not self._layers or any(layer not in self._viewer.layers for layer in self._layers):
            return False
        shown, mask, points, *boxes = self._layers
        if np.shape(image) != shown.data.shape or bool(item.record.prompt.get("box")) != bool(boxes):
            return False
        shown.data, mask.data = image, item.record.mask.astype(np.uint8)
        _draw_points(points, item)
        for box in boxes:
            box.data = [_box_of(item)]
        return True

    def _arrange(self) -> None:
        if self.review is None or self.review.current is None or len(self._layers) < 2:
            return
        image, mask, *prompts = self._layers
        image.visible = self.view != "mask only"
        for layer in prompts:
            layer.visible = self.view in ("whole", "zoomed")
        mask.contour = 2 if self.view == "contour" else 0
        self._viewer.canvas.grid.enabled = self.view == "side by side"
        self._viewer.reset_view()
        if self.view in ("zoomed", "contour"):
            self._zoom(self.review.current)

    def _zoom(self, item: ReviewItem) -> None:
        top, left, bottom, right = item.record.bbox
        rows, cols = item.record.rle.size
        camera = self._viewer.scene.camera
        camera.center = (0, (top + bottom) / 2 - 0.5, (left + right) / 2 - 0.5)
        # Relative to what shows the whole image.
        camera.zoom *= max(1.0, _ZOOM_SHARE * min(rows / max(bottom - top, 1), cols / max(right - left, 1)))

    def _clear(self) -> None:
        for layer in self._layers:
            remove(self._viewer, layer)
        self._layers = []
        self._viewer.canvas.grid.enabled = False

    def _say(self, message: str) -> None:
        self.message = message
        self.changed.emit()


def _present_image(review: Review, *, backwards: bool) -> tuple[Any, str]:
    """Pass over masks whose image cannot be read: nobody could see what is rated.

    Returns
    -------
    image : array_like or None
        The image of the mask that is the present one then; None where none is left.
    problem : str
        Which image cannot be shown, in a sentence; "" where none was passed over.
    """
    problem = ""
    while (item := review.current) is not None:
        try:
            return read_image(item.path), problem
        except (ValueError, OSError) as error:
            problem = problem or f"{item.image} cannot be shown and is passed over: {str(error).rstrip('.')}. "
        if backwards and review.position > 0:
            review.back()
        else:
            backwards = False
            review.skip()
    return None, problem


def _draw_points(layer: Points, item: ReviewItem) -> None:
    """Show the points of a prompt: green on the object, red off it."""
    prompt = item.record.prompt
    layer.data = np.array(prompt.get("points") or np.zeros((0, 2)), float).reshape(-1, 2)
    if len(layer.data):
        layer.face_color = ["lime" if label else "red" for label in prompt.get("labels") or [1] * len(layer.data)]


def _box_of(item: ReviewItem) -> Any:
    return np.array(item.record.prompt["box"], float).reshape(2, 2)
