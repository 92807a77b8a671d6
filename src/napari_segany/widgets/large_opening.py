"""File > IO Utilities > Open large images, or a large zarr: only what is shown of them is in memory.

Napari's own reader takes the finest level of a TIFF, all of it. It goes by names alone, so that a reader of ours for
every ``*.tif`` would make it ask for each micrograph: large images are opened from the menu instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer

from napari_segany.engine.lazy_opening import opening_steps
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.geo_recognition import is_readable_raster
from napari_segany.formats.lazy_files import is_zarr, open_lazy
from napari_segany.formats.mask_files import stem_of
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.widgets.file_readers import LayerTuple, sentence_of_file
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.progress_runner import Runner, SynchronousRunner
from napari_segany.widgets.session_files import FILE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QFileDialog

_FILTER = "Images (*.tif *.tiff *.TIF *.TIFF *.btf *.svs *.ndpi *.scn *.npy);;All files (*)"


def open_large(viewer: ViewerModel, paths: Iterable[str | Path], runner: Runner | None = None) -> None:
    """Open images as layers that hold their coarse levels alone; rasters with a place on Earth keep it.

    A file that cannot be read is told in one sentence and stops no other: in a notification where there is a viewer's
    window, as a ValueError in scripts.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that gets the layers.
    paths : iterable of path
        TIFF files with one plane, zarr and OME-Zarr folders, .npy files.
    runner : Runner, optional
        Who reads them; by default that is over when this returns.
    """
    files = [Path(path) for path in paths]
    opened = partial(_opened, unwrap(viewer))
    steps = _all_steps(files)
    (runner or SynchronousRunner()).start("Opening large images", steps, done=opened, failed=_tell, report=_seen)


def choose_large(viewer: Viewer) -> QFileDialog:
    """Let the user choose large images in a dialog beside the viewer, and open them; return the dialog."""
    from qtpy.QtWidgets import QApplication

    from napari_segany.widgets.small_parts import open_files_dialog
    from napari_segany.widgets.workers import BackgroundRunner

    opened = partial(open_large, viewer, runner=BackgroundRunner())  # which lives as long as the dialog
    return open_files_dialog(QApplication.activeWindow(), "Open large images", _FILTER, opened)


def choose_large_zarr(viewer: Viewer) -> QFileDialog:
    """Let the user choose a zarr, which is a folder, in a dialog beside the viewer; open it, return the dialog."""
    from qtpy.QtWidgets import QApplication

    from napari_segany.widgets.small_parts import open_folder_dialog
    from napari_segany.widgets.workers import BackgroundRunner

    runner = BackgroundRunner()  # which lives as long as the dialog
    title = "Open a large zarr: choose its folder"
    return open_folder_dialog(
        QApplication.activeWindow(), title, "", lambda folder: open_large(viewer, [folder], runner)
    )


def large_layer_steps(path: Path) -> Steps[list[LayerTuple]]:
    """Return an image as the data, arguments and type of a napari layer; see `opening_steps`.

    Raises
    ------
    OSError
        For a file that is missing or cannot be opened.
    ValueError
        For a file that is damaged, no image, or a stack, and for a folder that is no zarr.
    """
    if is_readable_raster(path):
        from napari_segany.widgets.geo_reader import place_steps

        return (yield from place_steps(path))
    if path.is_dir() and not is_zarr(path):
        raise ValueError(
            f"{path.name} is a folder but no zarr; choose one with a zarr.json, .zgroup or .zarray in it"
        )
    image = open_lazy(path)
    opened = yield from opening_steps(image, with_levels=is_zarr(path))
    meta: dict[str, Any] = {
        "name": stem_of(path),
        "rgb": image.has_colours,
        "metadata": {FILE_KEY: str(path.absolute())},
    }
    if opened.contrast_limits is not None:
        meta["contrast_limits"] = list(opened.contrast_limits)
    pixel_size = read_pixel_size(path)
    if pixel_size is not None:
        meta |= {"scale": [pixel_size.row, pixel_size.col], "units": [pixel_size.unit] * 2}
    if len(opened.levels) == 1:
        return [(opened.levels[0], meta, "image")]
    return [(list(opened.levels), {**meta, "multiscale": True}, "image")]


def _all_steps(paths: Sequence[Path]) -> Steps[tuple[list[LayerTuple], list[str]]]:
    """Return the layers of files, and a sentence for each that cannot be read."""
    layers: list[LayerTuple] = []
    failed: list[str] = []
    for path in paths:
        label = partial(_labelled, path.name)
        try:
            layers += yield from relabelled(large_layer_steps(path), label)
        except (ValueError, OSError, MemoryError) as error:
            failed.append(sentence_of_file(path, error))
    return layers, failed


def _opened(viewer: ViewerModel, found: tuple[list[LayerTuple], list[str]]) -> None:
    layers, failed = found
    for item in layers:
        viewer.add_layer(Layer.create(*item))
    if failed:
        _tell(ValueError(" ".join(failed)))


def _tell(error: Exception) -> None:
    from napari import current_viewer
    from napari.utils.notifications import show_error

    if current_viewer() is None:
        raise error
    show_error(str(error))


def _labelled(name: str, step: Progress) -> Progress:
    return Progress(step.done, step.total, f"{name}: {step.note}")


def _seen(step: Progress) -> None:
    """Let napari's activity panel show how far it is, which the runner does by itself."""
