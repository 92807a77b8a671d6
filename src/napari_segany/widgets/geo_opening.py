"""File > IO Utilities > Open rasters with a place on Earth: GeoTIFF, COG and VRT, chosen in a dialog.

Napari chooses readers by the name of a file alone, and asks where two take it. A reader of every ``*.tif`` would make
it ask for each micrograph, so that rasters are opened from the menu (or by `open_rasters` from a script) instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer

from napari_segany.widgets.file_readers import telling
from napari_segany.widgets.geo_reader import read_place
from napari_segany.widgets.layers import unwrap

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QFileDialog

_FILTER = "Rasters (*.tif *.tiff *.TIF *.TIFF *.vrt *.VRT);;All files (*)"


def open_rasters(viewer: ViewerModel, paths: Iterable[str | Path]) -> list[Layer]:
    """Open rasters as layers with their place on Earth; files of labels as Labels layers.

    A file that cannot be read is told in one sentence and opens nothing: in a notification where there is a viewer's
    window, as a ValueError in scripts.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that gets the layers.
    paths : iterable of path
        GeoTIFF, COG or VRT files.

    Returns
    -------
    list of Layer
        In the order of the files.
    """
    read = telling(read_place)
    found = [item for path in paths for item in read(str(path)) if item[0] is not None]
    return [unwrap(viewer).add_layer(Layer.create(*item)) for item in found]


def choose_rasters(viewer: Viewer) -> QFileDialog:
    """Let the user choose rasters in a dialog beside the viewer, and open them; return the dialog."""
    from qtpy.QtWidgets import QApplication

    from napari_segany.widgets.small_parts import open_files_dialog

    title = "Open rasters with a place on Earth"
    return open_files_dialog(QApplication.activeWindow(), title, _FILTER, partial(open_rasters, viewer))
