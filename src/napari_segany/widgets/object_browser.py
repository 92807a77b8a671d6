"""The table of the accepted objects: measured, sorted, filtered, looked at, saved. Knows no Qt.

`session.table` in the console::

    table.measure()                       # in the background; the open table in the dock measures by itself
    table.show("area > 100, class = nucleus")
    table.sort("mean", ascending=False)
    table.rows                            # what is shown, as pandas.DataFrame; table.frame has all objects
    table.go_to(3)
    table.save("objects.csv")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from psygnal import Signal

from napari_segany.engine.object_measures import Table, measure_objects
from napari_segany.formats.table import write_table
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.looking_at import look_at
from napari_segany.widgets.object_channels import channels_of, slices_of
from napari_segany.widgets.object_classes import ObjectClasses
from napari_segany.widgets.object_editor import ObjectEditor
from napari_segany.widgets.object_filter import fitting
from napari_segany.widgets.object_frame import BOX, object_frame, shown_columns
from napari_segany.widgets.object_units import PixelGeometry, pixel_geometry
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.progress_runner import Runner, Task
from napari_segany.widgets.rest import Rest

_REST_MS = 300
"""How long objects must stay as they are before they are measured again."""


class ObjectBrowser:
    """The objects of the image that is worked on, as a table.

    Parameters
    ----------
    viewer : ViewerModel
        Whose view goes to objects; whose images are measured.
    runner : Runner
        Measures.
    classes : ObjectClasses
        Has the objects' classes.
    editor : ObjectEditor
        Has the selection.
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    condition : str
        Which rows are shown, see `object_filter.fitting`.
    sorted_by : tuple of (str, bool)
        A column, and whether ascending.
    complaint : str
        What is wrong with the condition, or how the last measuring failed; empty if nothing.
    is_measuring : bool
        Whether numbers of changed objects are under way.
    """

    changed = Signal()
    closed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        classes: ObjectClasses,
        editor: ObjectEditor,
        say: Callable[[str], None],
    ) -> None:
        self._frame: pd.DataFrame | None = object_frame({}, None, None)
        self.condition, self.complaint = "", ""
        self.sorted_by = ("label", True)
        self.is_measuring = False
        self._viewer, self._runner, self._classes, self._editor, self._say = viewer, runner, classes, editor, say
        self._image: Image | None = None
        self._objects: ObjectsLayer | None = None
        self._axes: tuple[int, int] | None = None
        self._measures: Table | None = None
        self._geometry: PixelGeometry | None = None
        self._task: Task | None = None
        self._watched = 0
        self._rest = Rest(runner, self._measure_if_watched, _REST_MS)
        classes.counted.connect(self._objects_changed)

    # ------------------------------------------------------------------- what it is about

    def turn_to(self, image: Image | None, objects: ObjectsLayer | None) -> None:
        """Show the objects of another image."""
        self._stop()
        self._image, self._objects, self._axes = image, objects, None
        self._measures = self._geometry = None
        self._objects_changed()

    def turn_to_plane(self, plane: Plane | None) -> None:
        """Measure along the displayed axes."""
        axes = None if plane is None else plane.axes
        if axes is not None and axes != self._axes:
            self._axes, self._measures = axes, None
            self._objects_changed()

    def watch(self, *, begin: bool) -> None:
        """Measure by itself whenever objects change, as long as anybody watches."""
        self._watched = max(0, self._watched + (1 if begin else -1))
        if begin:
            self._objects_changed()

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop measuring; unless the viewer itself is going, whoever shows the table closes too."""
        self._stop()
        self._watched = 0
        if not keep_layers:
            self.closed.emit()

    # ----------------------------------------------------------------------- measuring

    def measure(self) -> None:
        """Measure all objects in the background."""
        self._stop()
        layer = None if self._objects is None else self._objects.layer
        if self._image is None or layer is None:
            return
        axes = self._axes or (layer.ndim - 2, layer.ndim - 1)
        geometry = pixel_geometry(layer, axes)
        channels = channels_of(self._viewer, self._image)
        steps = measure_objects(
            slices_of(layer, axes, channels),
            pixel=geometry.pixel,
            depth=geometry.depth,
            channels=[name for channel in channels for name in channel.names],
            axes=Plane(axes, (0,) * (layer.ndim - 2)).hidden,
        )
        self.is_measuring = True
        self._task = self._runner.start(
            "Measuring the objects", steps, done=partial(self._measured, geometry), failed=self._failed
        )
        self.changed.emit()

    # ------------------------------------------------------------------- what is shown

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each object, with all that is known of it; made when it is looked at."""
        if self._frame is None:
            layer = None if self._objects is None else self._objects.layer
            features = None if layer is None else layer.features
            self._frame = object_frame(self._classes.of_objects, features, self._measures, self._geometry)
        return self._frame

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that tables show; those of `frame` are more."""
        return shown_columns(self.frame)

    @property
    def rows(self) -> pd.DataFrame:
        """The objects that fit the condition, sorted."""
        return self.frame.iloc[self.order]

    @property
    def order(self) -> NDArray[np.int64]:
        """The positions in `frame` of the rows that are shown, in their order."""
        column, ascending = self.sorted_by
        try:
            fits = fitting(self.frame[list(self.columns)], self.condition)
        except ValueError:
            fits = np.ones(len(self.frame), bool)
        positions = np.flatnonzero(fits)
        if column not in self.frame:
            return positions
        values = self.frame[column].reset_index(drop=True).iloc[positions]
        if not pd.api.types.is_numeric_dtype(values):
            values = values.fillna("").astype(str).str.lower()
        return np.asarray(values.sort_values(kind="stable", ascending=ascending).index, np.int64)

    def show(self, condition: str) -> None:
        """Show only objects that fit: "area > 100, class = nucleus"; "" for all. `complaint` tells what is wrong."""
        self.condition, self.complaint = condition, ""
        try:
            fitting(self.frame[list(self.columns)], condition)
        except ValueError as error:
            self.complaint = f"{error}. All objects are shown."
        self.changed.emit()

    def sort(self, column: str, *, ascending: bool = True) -> None:
        """Sort by a column; objects without a value come last.

        Raises
        ------
        ValueError
            For a column that does not exist.
        """
        if column not in self.frame:
            raise ValueError(f"there is no column {column!r}; there are {', '.join(self.columns)}")
        self.sorted_by = (column, ascending)
        self.changed.emit()

    # ------------------------------------------------------------------------- actions

    def select(self, labels: Collection[int]) -> None:
        """Select objects.

        Raises
        ------
        ValueError
            For a label that no object has.
        """
        self._editor.select(labels)

    def go_to(self, label: int, *, zoom: bool = True) -> bool:
        """Show an object: its slice, and the camera at it; return whether it can be shown.

        Parameters
        ----------
        label : int
            The object.
        zoom : bool
            Whether the camera comes near, or moves only where the object is out of view.
        """
        layer = None if self._objects is None else self._objects.layer
        place = None if layer is None else self._place(layer, label)
        if layer is None or place is None:
            self._say(f"There is no object {label}.")
            return False
        look_at(self._viewer, layer, *place, zoom=zoom)
        return True

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the shown rows, with all columns, as CSV.

        Raises
        ------
        OSError
            Where the file cannot be written.
        """
        path = Path(path)
        path = path if path.suffix else path.with_suffix(".csv")
        rows = self.rows
        texts = [name for name in rows if not pd.api.types.is_numeric_dtype(rows[name])]
        table = {
            str(name): rows[name].fillna("").astype(str).to_numpy(object) if name in texts else rows[name].to_numpy()
            for name in rows
        }
        write_table(path, table)
        self._say(f"Saved {len(rows)} {'object' if len(rows) == 1 else 'objects'} in {path.name}.")

    # -------------------------------------------------------------------------- internal

    def _place(self, layer: Labels, label: int) -> tuple[Plane, tuple[float, float, float, float]] | None:
        axes = self._axes or (layer.ndim - 2, layer.ndim - 1)
        row = self.frame.loc[self.frame["label"] == label]
        if not len(row):
            return None
        hidden = Plane(axes, (0,) * (layer.ndim - 2)).hidden
        measured = [name for name in (*BOX, *(f"slice_{axis}" for axis in hidden)) if name in row]
        if len(measured) == len(BOX) + len(hidden) and row[measured].notna().all(axis=None):
            top, left, bottom, right = (float(row[name].iloc[0]) for name in BOX)
            return Plane(axes, tuple(int(row[f"slice_{axis}"].iloc[0]) for axis in hidden)), (
                top,
                left,
                bottom,
                right,
            )
        places = np.argwhere(np.asarray(layer.data) == label)
        if not len(places):
            return None
        plane = Plane(axes, tuple(int(places[len(places) // 2][axis]) for axis in hidden))
        on_it = plane.to_plane(places[plane.contains(places)])
        (top, left), (bottom, right) = on_it.min(axis=0), on_it.max(axis=0) + 1
        return plane, (float(top), float(left), float(bottom), float(right))

    def _objects_changed(self) -> None:
        """Show what is known of the objects at once, and measure them when they rest."""
        self._stop()
        self._frame = None
        if self._watched and self._objects is not None and self._objects.labels:
            self.is_measuring = True
            self._rest.stir()
        self.changed.emit()

    def _measure_if_watched(self) -> None:
        if self._watched:
            self.measure()

    def _measured(self, geometry: PixelGeometry, measures: Table) -> None:
        self._task, self.is_measuring = None, False
        self._measures, self._geometry = measures, geometry
        self.complaint = ""
        self._frame = None
        self.changed.emit()

    def _failed(self, error: Exception) -> None:
        self._task, self.is_measuring = None, False
        self.complaint = f"The objects could not be measured: {error}"
        self.changed.emit()

    def _stop(self) -> None:
        self._rest.forget()
        task, self._task, self.is_measuring = self._task, None, False
        if task is not None:
            task.cancel()
