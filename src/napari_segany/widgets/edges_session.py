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
from psygnal import Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import full_resolution, intensity_limits, placement, read_plane, shown_plane, unwrap
from napari_segany.widgets.progress_runner import Runner, Task

LoadPredictor = Callable[[str, str], Any]
POINTS_PER_SIDE = 16


class EdgesSession:
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
    changed : Signal
        Emitted after every change of what is shown.
    image : napari.layers.Image or None
        The image that is worked on.
    points_per_side : int
        Points along each side of the grid that is asked.
    thin : bool
        Whether only the ridges of edges are kept.
    progress : Progress or None
        How far the work is; None while nothing runs.
    message : str
        One sentence for the user.
    """

    changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        load_predictor: LoadPredictor,
        model: str = "light",
        device: str = "auto",
    ) -> None:
        self.image: Image | None = None
        self.model, self.device = model, device
        self.points_per_side, self.thin = POINTS_PER_SIDE, True
        self.progress: Progress | None = None
        self.message = "Choose an image."
        self._viewer, self._runner, self._load = viewer, runner, load_predictor
        self._task: Task | None = None
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
        self.progress = Progress(0, 0, "Loading the model")
        self._say("")
        self._task = self._runner.start(
            "Edges of everything",
            self._steps(self.image, plane),
            done=partial(self._done, self.image, plane),
            failed=self._failed,
            report=self._report,
        )

    def cancel(self) -> None:
        """Stop what runs; nothing is drawn."""
        if self._task is not None and self.progress is not None:
            self._task.cancel()
            self._end("Cancelled; nothing was drawn.")

    def close(self) -> None:
        """Stop for good."""
        self.cancel()
        self._runner.close()

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

    def _report(self, progress: Progress) -> None:
        self.progress = progress
        self.changed.emit()

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

    def _failed(self, error: Exception) -> None:
        self._end(f"It did not work: {error}")

    def _end(self, message: str) -> None:
        self.progress, self._task = None, None
        self._say(message)

    def _say(self, message: str) -> None:
        self.message = message
        self.changed.emit()
