"""Rasters with a place on Earth, opened with chosen bands and their objects saved as features: what the dock does.

Knows no Qt. `widget.session` in napari's console::

    session.bands = "false colour"          # or "4,3,2", "ndvi", "5"; "" for what the file tells
    session.open(["town.tif"])
    session.simplify, session.min_area = 0.7, 10.0
    session.save("buildings.gpkg")          # of session.labels, the layer that is chosen
    session.save_prompts("asked.prompts.gpkg")
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.formats.geo_bands import bands_from
from napari_segany.formats.geo_crs import LONGITUDE_LATITUDE, crs_name, is_same_crs
from napari_segany.formats.geo_features import DRIVERS
from napari_segany.formats.geo_measure import Measure
from napari_segany.formats.geo_vectors import VectorReport, VectorSettings
from napari_segany.widgets.file_writers import target_of
from napari_segany.widgets.geo_place import LabelsPlace
from napari_segany.widgets.geo_reader import place_steps
from napari_segany.widgets.geo_writers import vector_steps, write_prompt_file
from napari_segany.widgets.labels_source import LayerTuple
from napari_segany.widgets.layers import unwrap
from napari_segany.widgets.one_work import OneWorkSession
from napari_segany.widgets.progress_runner import Runner


class RastersSession(OneWorkSession):
    """Opens rasters and saves what was found in them.

    Parameters
    ----------
    viewer : ViewerModel
        Gets the layers.
    runner : Runner
        Runs the work.

    Attributes
    ----------
    bands : str
        Which bands are shown of rasters that are opened next, see `bands_from`.
    labels : Labels or None
        The layer whose objects are saved.
    simplify, min_area, measure
        How, see `VectorSettings`.
    changed, progress, message
        See `OneWorkSession`.
    """

    def __init__(self, viewer: ViewerModel, runner: Runner) -> None:
        super().__init__(runner, "Open a GeoTIFF, COG or VRT.")
        self.bands = ""
        self.labels: Labels | None = None
        self.simplify, self.min_area = 0.0, 0.0
        self.measure: Measure = "geodesic"
        self._viewer: ViewerModel = unwrap(viewer)

    def open(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """Open rasters with the chosen bands, in the background; one that cannot be read stops no other."""
        chosen = [Path(path).expanduser() for path in paths]
        try:
            bands = bands_from(self.bands)
        except ValueError as error:
            self._say(_sentence(error))
            return
        if chosen and not self._is_busy():
            self._start("Opening rasters", _opening_steps(chosen, bands), self._opened)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the objects of the chosen layer as .gpkg, .geojson or .shp, in the background.

        A name without one of these endings gets .gpkg, but never the name of a file that is there.
        """
        try:
            target = target_of(str(Path(path).expanduser()), tuple(DRIVERS))
            settings = VectorSettings(self.simplify, self.min_area, self.measure)
            layers = self._layers()
        except ValueError as error:
            self._say(_sentence(error))
            return

        def saved(found: tuple[LabelsPlace, VectorReport]) -> None:
            self._end(_told(target, *found))

        if not self._is_busy():
            self._start(f"Saving {target.name}", vector_steps(target, layers, settings), saved)

    def save_prompts(self, path: str | os.PathLike[str]) -> None:
        """Write the points and boxes that the objects of the chosen layer were asked with."""
        try:
            target = target_of(str(Path(path).expanduser()), (".prompts.gpkg", *DRIVERS))
            count = write_prompt_file(target, self._layers())
        except (ValueError, OSError) as error:
            self._say(_sentence(error))
            return
        self._say(f"The prompts of {count:,} object{'' if count == 1 else 's'} are in {target.name}.")

    def _layers(self) -> list[LayerTuple]:
        """Return the chosen labels, and the images among which the one is that they are of."""
        if self.labels is None or self.labels not in self._viewer.layers:
            raise ValueError("there is no Labels layer; accept an object first, or choose a layer")
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image) and layer.ndim == 2]
        return [layer.as_layer_data_tuple() for layer in (self.labels, *images)]

    def _opened(self, found: tuple[list[LayerTuple], list[str]]) -> None:
        layers, failed = found
        for item in layers:
            self._viewer.add_layer(Layer.create(*item))
        names = ", ".join(str(meta["name"]) for _, meta, _ in layers)
        self._end(" ".join([*([f"Opened {names}."] if names else []), *failed]))

    def _failed(self, error: Exception) -> None:
        self._end(f"It did not work: {_sentence(error)}")


def _opening_steps(
    paths: Sequence[Path], bands: str | int | tuple[int, ...] | None
) -> Steps[tuple[list[LayerTuple], list[str]]]:
    """Return the layers of rasters, and a sentence for each that cannot be read."""
    layers: list[LayerTuple] = []
    failed: list[str] = []
    for number, path in enumerate(paths):
        note = f"{path.name}: Measuring the intensities"
        yield Progress(number, len(paths), note)
        try:
            layers += yield from relabelled(
                place_steps(path, bands),
                lambda inner, note=note: Progress(inner.done, inner.total, note),  # type: ignore[misc]
            )
        except (OSError, ValueError) as error:
            text = _sentence(error)
            failed.append(text if path.name in text else f"{path.name}: {text}")
    return layers, failed


def _told(target: Path, place: LabelsPlace, report: VectorReport) -> str:
    count = len(report.written)
    parts = [
        f"{count:,} object{'' if count == 1 else 's'} are in {target.name}"
        if count != 1
        else f"1 object is in {target.name}"
    ]
    if report.too_small:
        parts.append(f"{len(report.too_small):,} under the minimum area were left out")
    if report.empty:
        parts.append(f"{len(report.empty):,} lie where there are no data")
    if target.suffix.lower() == ".geojson" and not is_same_crs(place.grid.crs, LONGITUDE_LATITUDE):
        parts.append(f"it is in longitude and latitude of WGS 84, as GeoJSON asks, not in {crs_name(place.grid.crs)}")
    if place.lost:
        parts.append(f"{place.lost} is not there any more, so nobody looked where it has no data")
    return f"{'; '.join(parts)}."


def _sentence(error: Exception) -> str:
    text = f"{error.strerror}" if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."
