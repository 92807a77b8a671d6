"""What a batch begins with: files, a folder, or the image layers of a viewer, as images of the engine. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.inputs import images_of_arrays
from napari_segany.engine.batch.sources import ArraySource, BatchImage, ImageContent
from napari_segany.engine.batch.zarr_inputs import find_files_and_zarrs
from napari_segany.engine.progress import Steps
from napari_segany.formats.geo_pyramid import VIEW_KEY, RasterView
from napari_segany.formats.pixel_size import PixelSize, known_unit
from napari_segany.widgets.layers import full_resolution, intensity_limits, placement


@dataclass(frozen=True, eq=False)
class LayerSource:
    """An image layer as it was when the batch began; read in the background, for its data may be lazy.

    Attributes
    ----------
    content : ImageContent
        The data of the full resolution, which may be any array, and how they are shown.
    shown : str
        The name of the layer.
    layer_id : str
        Its unique id.
    placement : Mapping
        The keyword arguments that put another layer where it lay.
    place : str
        "", for it is no file.
    """

    content: ImageContent
    shown: str
    layer_id: str = ""
    placement: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""

    def digest_steps(self) -> Steps[str]:
        """Return the hash of the pixels, plane by plane, and of how they are shown."""
        with _readable(self.shown):
            return (yield from ArraySource(self.content, self.shown).digest_steps())

    def read(self) -> ImageContent:
        """Return the content with all pixels in memory.

        Raises
        ------
        ValueError
            For data that are no image, or that cannot be computed.
        """
        with _readable(self.shown):
            pixels = np.asarray(self.content.pixels)
            return ArraySource(replace(self.content, pixels=pixels), self.shown).read()


@dataclass(frozen=True)
class PathInputs:
    """Files and folders.

    Attributes
    ----------
    paths : tuple of pathlib.Path
        Image files, zarrs, and folders whose images and zarrs are taken.
    recursive : bool
        Take the images of folders within folders too.
    """

    paths: tuple[Path, ...]
    recursive: bool = False

    def images(self, output: Path) -> tuple[BatchImage, ...]:
        """Return the images that are there now, without what lies among the outputs.

        Raises
        ------
        OSError
            For a path that does not exist or cannot be read.
        ValueError
            Where there is no image.
        """
        try:
            skip = BatchFolder(output).subfolders
            files, zarrs = find_files_and_zarrs(self.paths, recursive=self.recursive, skip=skip)
        except ValueError:
            folders = [path for path in self.paths if path.is_dir()]
            if self.recursive or not folders:
                raise
            raise ValueError(
                f"The folder {folders[0]} holds no image; include the folders within it, or choose another one"
            ) from None
        return (*files, *zarrs)


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """Image layers, as they were.

    Attributes
    ----------
    layers : tuple of LayerSource
        The layers.
    """

    layers: tuple[LayerSource, ...]

    def images(self, output: Path) -> tuple[BatchImage, ...]:
        """Return the layers as images, under names that files can have; the folder of the outputs does not matter."""
        named = images_of_arrays((layer.shown, layer.content) for layer in self.layers)
        return tuple(replace(image, source=layer) for image, layer in zip(named, self.layers, strict=True))


BatchInputs = PathInputs | LayerInputs


def image_layers(viewer: ViewerModel) -> list[Image]:
    """Return the image layers of a viewer, the undermost first."""
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def layer_inputs(viewer: ViewerModel) -> LayerInputs:
    """Return all image layers as they are now.

    The last two axes of a layer are the image, whichever axes the viewer displays.
    """
    return LayerInputs(
        tuple(
            LayerSource(
                ImageContent(full_resolution(layer), pixel_size_of(layer), intensity_limits(layer), _view(layer)),
                layer.name,
                layer.unique_id,
                placement(layer),
            )
            for layer in image_layers(viewer)
        )
    )


def _view(layer: Image) -> RasterView | None:
    """Return what a layer shows of a raster with a place on Earth; None for other images."""
    view = layer.metadata.get(VIEW_KEY)
    return view if isinstance(view, RasterView) and layer.ndim == 2 else None


def pixel_size_of(layer: Image) -> PixelSize | None:
    """Return the size of a layer's pixels along its last two axes; None where its units are no lengths."""
    row_unit, col_unit = (known_unit(f"{unit:~}") for unit in layer.units[-2:])
    if row_unit is None or row_unit != col_unit:
        return None
    row, col = (abs(float(step)) for step in layer.scale[-2:])
    return PixelSize(row, col, row_unit)


@contextmanager
def _readable(shown: str) -> Iterator[None]:
    """Turn what lazy data can raise into an error of this image alone, so that the batch goes on with the others."""
    try:
        yield
    except (ValueError, OSError, MemoryError):
        raise
    except Exception as error:  # the data of a layer are computed by anybody's code
        raise ValueError(f"{shown} cannot be read: {error or type(error).__name__}") from error
