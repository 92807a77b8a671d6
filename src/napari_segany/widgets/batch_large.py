"""The images of a batch that do not fit: done tile by tile, opened as levels of labels. Knows no Qt and no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segany.engine.batch.sources import BatchImage, FileSource
from napari_segany.engine.large.choice import TILES, goes_by_tiles, not_written_text
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_files import is_zarr
from napari_segany.formats.lazy_image import LazyImage, lazy_image
from napari_segany.widgets.batch_inputs import LayerSource

if TYPE_CHECKING:
    from napari_segany.engine.batch.model_source import ModelSource
    from napari_segany.engine.batch.one_image import ImageResult
    from napari_segany.engine.batch.settings import BatchSettings
    from napari_segany.engine.large.job import ImageOnDemand
    from napari_segany.engine.large.raster import MapOutputs
    from napari_segany.widgets.batch_work import BatchOutcome


def split(images: Sequence[BatchImage], settings: BatchSettings) -> tuple[list[int], list[int]]:
    """Return the numbers of the images that are done as a whole, and of those done tile by tile."""
    large = [number for number, image in enumerate(images) if image.detections is None and _is_large(image, settings)]
    return [number for number in range(len(images)) if number not in large], large


@dataclass
class LargeWork:
    """The large images of a batch, one after the other.

    Attributes
    ----------
    folder : pathlib.Path
        Where the outputs go.
    settings : BatchSettings
        How.
    tiling : TilingSettings
        How they are cut.
    results : dict
        What became of each, by the name of the image.
    diameters : dict
        The usual diameter of the objects of each, in pixels, where it was to be measured.
    """

    folder: Path
    settings: BatchSettings
    tiling: TilingSettings = field(default_factory=TilingSettings)
    results: dict[str, ImageResult] = field(default_factory=dict)
    diameters: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Images so far that failed."""
        return sum(bool(result.error) for result in self.results.values())

    @property
    def reused(self) -> int:
        """Images so far that were complete before."""
        return sum(result.reused for result in self.results.values())

    def steps(self, image: BatchImage, model: ModelSource) -> Steps[None]:
        """Do one image; what is wrong with it becomes its result.

        Yields
        ------
        Progress
            Tiles.

        Raises
        ------
        OSError, ValueError
            For a model that cannot be used.
        """
        from napari_segany.engine.batch.one_image import ImageResult
        from napari_segany.engine.large.inputs import limits_in_tiles
        from napari_segany.engine.large.results import image_result
        from napari_segany.engine.large.run import large_steps

        try:
            on_demand, on_map = self._opened(image)
        except (OSError, ValueError) as error:
            self.results[image.name] = ImageResult(image.name, image.source.shown, error=" ".join(str(error).split()))
            return
        limits = limits_in_tiles(on_demand, self.settings)
        if limits is None and isinstance(image.source, LayerSource):
            limits = image.source.content.contrast_limits
        steps = large_steps(
            on_demand, image.name, self.folder, model, self.settings.automatic,
            tiling=self.tiling, contrast_limits=limits, painting=self.settings.painting, on_map=on_map,
        )  # fmt: skip
        try:
            done = yield from relabelled(steps, partial(_of_tiles, image.name))
        except ValueError as error:
            self.results[image.name] = ImageResult(image.name, image.source.shown, error=" ".join(str(error).split()))
            return
        self.results[image.name] = image_result(image.name, done, self.settings)
        if done.object_size is not None:
            self.diameters[image.name] = done.object_size

    def _opened(self, image: BatchImage) -> tuple[ImageOnDemand, MapOutputs | None]:
        from napari_segany.engine.large.inputs import file_on_demand, refuse_vectors
        from napari_segany.engine.large.job import ImageAtHand
        from napari_segany.engine.large.raster import MapOutputs, RasterAtPath

        source = image.source
        if isinstance(source, FileSource):
            return file_on_demand(image.name, source, self.folder, self.settings)
        view = source.content.view if isinstance(source, LayerSource) else None
        if view is not None:
            view = view.within(self.settings.contrast_limits)
            raster = RasterAtPath(Path(view.raster.path), source.shown, view)
            vectors = tuple(self.folder / "vectors" / f"{image.name}.{form}" for form in self.settings.vector_outputs)
            return raster, MapOutputs(raster, vectors, self.settings.vectors)
        refuse_vectors(source.shown, self.settings)
        size = source.content.pixel_size if isinstance(source, LayerSource) else None
        return ImageAtHand(_lazy(source), source.shown, size), None


def tiles_text(outcome: BatchOutcome) -> str:
    """Return what is to be said of large images after a batch; "" where there were none."""
    count = sum(result.planes == (TILES,) for result in outcome.result.images)
    if not count:
        return ""
    what = "1 of them was" if count == 1 else f"{count} of them were"
    missing = not_written_text(outcome.request.settings)
    size = _size_text(outcome.diameters.values())
    return f" {what} done tile by tile{size}, labels in .zarr{f'; {missing} of such' if missing else ''}."


def _size_text(diameters: Collection[float]) -> str:
    """Return how large the objects are of the images where that was measured, in parentheses."""
    known = sorted(diameter for diameter in diameters if diameter)
    if not diameters:
        return ""
    if not known:
        return " (too few objects to measure their size)"
    span = f"{known[0]:g}" if known[0] == known[-1] else f"{known[0]:g} to {known[-1]:g}"
    return f" (usual diameter of objects {span} pixels)"


def labels_levels(folder: Path, name: str) -> list[Any]:
    """Return the label image of a large image as lazy arrays, full resolution first.

    Raises
    ------
    OSError, ValueError
        Where it is gone or damaged.
    """
    import dask.array
    import zarr

    group = zarr.open_group(folder / "labels" / f"{name}.zarr", mode="r")
    return [dask.array.from_zarr(group[key]) for key in sorted(group.array_keys(), key=int)]


def _of_tiles(name: str, step: Progress) -> Progress:
    tiles = f" {step.done} of {step.total} tiles" if step.total else ""
    return Progress(step.done, step.total, f"{name}: {step.note}{tiles}")


def _is_large(image: BatchImage, settings: BatchSettings) -> bool:
    source = image.source
    if isinstance(source, LayerSource):
        return not source.content.stack_shape and goes_by_tiles(source.content.plane_shape, settings)
    if isinstance(source, FileSource):
        from napari_segany.engine.large.inputs import file_shape

        if is_zarr(source.path):  # never read as a whole, as on the command line
            return True
        shape = file_shape(source)
        return shape is not None and goes_by_tiles(shape, settings)
    return False


def _lazy(source: Any) -> LazyImage:
    return lazy_image(source.content.pixels)
