"""The edge map of an image as a layer: what the dock widget "Edges of everything" does. Knows no Qt.

The map is that of `engine.edges` (Kirillov et al. 2023, arXiv:2304.02643, appendix D.2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import full_resolution, intensity_limits, placement, read_plane, shown_plane, unwrap
from napari_segany.widgets.one_work import OneWorkSession
from napari_segany.widgets.progress_runner import Runner

LoadPredictor = Callable[[str, str], Any]
POINTS_PER_SIDE = 16


class EdgesSession(OneWorkSession):
    """Makes edge maps of the shown planes of images.

    Parameters
    ----------
    viewer : ViewerModel
        Where the layers are.
    runner : Runner
        Runs the work.
    load_predictor : callable
        Makes the model of its name and a device.
    model, device : str
        Where it begins.

    Attributes
    ----------
    image : napari.layers.Image or None
        The image that is worked on.
    points_per_side : int
        Points along each side of the grid that is asked.
    thin : bool
        Whether only the ridges of edges are kept.
    changed, progress, message
        See `OneWorkSession`.
    """

    cancelled = "Cancelled; nothing was drawn."

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        load_predictor: LoadPredictor,
        model: str = "light",
        device: str = "auto",
    ) -> None:
        super().__init__(runner, "Choose an image.")
        self.image: Image | None = None
        self.model, self.device = model, device
        self.points_per_side, self.thin = POINTS_PER_SIDE, True
        self._viewer, self._load = viewer, load_predictor
        self._predictor: tuple[tuple[str, str], Any] | None = None

    def choose(self, image: Image | None) -> None:
        """Work on another image; what runs is cancelled."""
        image = unwrap(image)
        if image is self.image:
            return
        self.cancel()
        self.image = image
        self._say("Choose an image." if image is None else "Run draws the edges of the shown slice.")

    def run(self) -> None:
        """Draw the edges of the shown plane into a new layer above the image, in the background."""
        if self.progress is not None:
            return
        if self.image is None:
            self._say("Choose an image.")
            return
        try:
            plane = shown_plane(self._viewer, self.image)
        except NoPlaneError as error:
            self._say(str(error))
            return
        steps, done = self._steps(self.image, plane), partial(self._done, self.image, plane)
        self._start("Edges of everything", steps, done, "Loading the model")

    def _steps(self, image: Image, plane: Plane) -> Steps[NDArray[np.float32]]:
        from napari_segany.engine.edges import edge_settings, edge_steps

        yield Progress(0, 0, "Loading the model")
        key = (self.model, self.device)
        if self._predictor is None or self._predictor[0] != key:
            self._predictor = (key, self._load(*key))
        pixels = read_plane(full_resolution(image), plane)
        settings = edge_settings(self.points_per_side)
        limits = intensity_limits(image)
        return (yield from edge_steps(self._predictor[1], pixels, settings, contrast_limits=limits, thin=self.thin))

    def _done(self, image: Image, plane: Plane, edges: NDArray[np.float32]) -> None:
        if image not in self._viewer.layers:
            self._end("The image was closed; nothing was drawn.")
            return
        layer = Image(
            edges.reshape(plane.thin_shape(full_resolution(image).shape)),
            name=f"edges of {image.name}",
            colormap="magma",
            blending="additive",
            contrast_limits=(0, 1),
            **placement(image, plane),
        )
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, layer)
        self._end(f"The layer {layer.name!r} has the edges: 1 for the strongest, 0 for none.")
