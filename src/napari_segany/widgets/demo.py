"""The main job on a bundled micrograph: open it, open the widget, click on a nucleus.

The same session runs in a window for a person, or by itself with its results written as files; `scripts` uses it for
the pictures of the documentation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari import Viewer, run
from napari.layers import Layer
from qtpy.QtCore import QEventLoop, QTimer

from napari_segany.formats.atomic import replacing
from napari_segany.formats.labels import write_label_tiff
from napari_segany.formats.record import MaskRecord, write_records
from napari_segany.widgets.samples import sample_layer
from napari_segany.widgets.session import PromptSession

IMAGE = "immunohistochemistry"
CLICK = (255.0, 297.0)
"""(row, col) of a nucleus in scikit-image's immunohistochemistry image."""

_TIMEOUT_S = 300.0
_WINDOW = (1280, 800)


class DemoError(RuntimeError):
    """The demo could not be carried out; the message says why."""


@dataclass(frozen=True)
class DemoFiles:
    """What the demo leaves behind.

    Attributes
    ----------
    window : Path
        Picture of the window with the three masks (PNG).
    labels : Path
        The accepted mask as a label image (TIFF).
    masks : Path
        The three masks with their scores, as run lengths (JSON).
    """

    window: Path
    labels: Path
    masks: Path


def open_demo(model: str = "light", *, show: bool = True) -> tuple[Viewer, PromptSession]:
    """Open napari with the micrograph and the prompt widget, and click on a nucleus.

    The answer comes in the background; `wait_for_masks` waits for it.
    """
    viewer = Viewer(show=show, show_welcome_screen=False)
    viewer.window.resize(*_WINDOW)
    viewer.add_layer(Layer.create(*sample_layer(IMAGE)))
    _, widget = viewer.window.add_plugin_dock_widget("napari-segany", "Prompt segmentation")
    session: PromptSession = widget.session
    session.choose_model(model)
    session.add_point(CLICK)
    return viewer, session


def wait_for_masks(session: PromptSession, timeout_s: float = _TIMEOUT_S) -> None:
    """Let the event loop run until the session has candidates.

    Raises
    ------
    DemoError
        If computing the embedding failed, or nothing came within `timeout_s` seconds.
    """
    end = time.monotonic() + timeout_s
    while not session.candidates:
        settle(0.05)
        if session.embedding_state.phase == "failed":
            raise DemoError(f"the image embedding could not be computed: {session.status}")
        if time.monotonic() > end:
            raise DemoError(f"no mask after {timeout_s:g} seconds; the last word was: {session.status}")


def settle(seconds: float = 0.5) -> None:
    """Let the event loop draw what has changed, and leave the processor to others meanwhile."""
    loop = QEventLoop()
    QTimer.singleShot(round(1000 * seconds), loop.quit)
    loop.exec()


def show_demo(model: str = "light") -> None:
    """Run the demo for a person, until the window is closed."""
    open_demo(model)
    run()


def write_demo(folder: Path, model: str = "light") -> DemoFiles:
    """Run the demo by itself and leave its results as files.

    Raises
    ------
    DemoError
        If it could not be carried out.
    OSError
        Where `folder` cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = DemoFiles(folder / "demo.png", folder / "labels.tif", folder / "masks.json")
    viewer, session = open_demo(model)
    try:
        wait_for_masks(session)
        settle()
        with replacing(files.window) as temporary:
            viewer.window.screenshot(str(temporary), flash=False)
        write_records(files.masks, _records(session))
        label = session.accept()
        if label is None or session.objects is None or session.objects.layer is None:
            raise DemoError(f"the mask was not accepted: {session.status}")
        write_label_tiff(files.labels, np.asarray(session.objects.layer.data))
    finally:
        viewer.close()
    return files


def _records(session: PromptSession) -> list[MaskRecord]:
    prompt = {key: value for key, value in session.prompts.to_dict().items() if value}
    return [
        MaskRecord.from_mask(
            candidate.mask,
            predicted_iou=candidate.predicted_iou,
            stability_score=candidate.stability_score,
            prompt=prompt,
        )
        for candidate in session.candidates
    ]
