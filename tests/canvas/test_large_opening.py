"""A large TIFF from the menu: napari draws its levels, and reads of the file what is shown."""

from __future__ import annotations

import numpy as np
import tifffile

from napari_segany.engine import lazy_opening
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.widgets.large_opening import choose_large

SIDE = 1600


def test_a_large_tiff_is_drawn_level_by_level(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_opening, "KEPT_SIDE", 400)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[: SIDE // 2] = 200
    pixels[1000:1010, 1000:1010] = 250
    tifffile.imwrite(tmp_path / "large.tif", pixels, tile=(128, 128))
    viewer = make_napari_viewer_proxy(show=True)
    dialog = choose_large(viewer)
    qtbot.addWidget(dialog)
    dialog.filesSelected.emit([str(tmp_path / "large.tif")])
    dialog.close()
    qtbot.waitUntil(lambda: len(viewer.layers) == 1, timeout=60_000)
    read, known = [], LazyImage.read

    def counting(self, box, factor=1):
        read.append((box, factor))
        return known(self, box, factor)

    monkeypatch.setattr(LazyImage, "read", counting)
    qtbot.wait(50)
    shown = viewer.screenshot(canvas_only=True, flash=False)[..., 0].astype(int)
    rows, cols = np.array(shown.shape) // 2
    assert shown[rows - 20, cols] - shown[rows + 20, cols] > 100
    viewer.camera.center, viewer.camera.zoom = (1005, 1005), 10
    qtbot.wait(50)
    close = viewer.screenshot(canvas_only=True, flash=False)[..., 0]
    assert close[rows, cols] > 200
    (box, factor) = read[-1]
    assert factor == 1
    assert (box[2] - box[0]) * (box[3] - box[1]) < SIDE * SIDE / 16
