"""Selecting the objects of segmenting everything, and what people do with them. Knows no Qt.

`session.editor` in the console::

    editor.select([3, 4])
    editor.merge()           # -> 3
    editor.select_at((120, 80))
    editor.pick()            # -> its label in the layer objects
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import pandas as pd
from psygnal import Signal

from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.drafts import Candidate, Prompts
from napari_segany.widgets.everything_results import EverythingResults
from napari_segany.widgets.everything_table import FoundObject, features_table
from napari_segany.widgets.geometry import Floats, Plane
from napari_segany.widgets.objects import NothingToAddError, ObjectsLayer


class EverythingEditor:
    """Objects of the image that is worked on, to be selected, deleted, merged and picked.

    Parameters
    ----------
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    selection : tuple of int
        Labels of the selected objects.
    """

    selection_changed = Signal(tuple)

    def __init__(self, say: Callable[[str], None]) -> None:
        self.selection: tuple[int, ...] = ()
        self._say = say
        self._results: EverythingResults | None = None
        self._picked: ObjectsLayer | None = None
        self._model: Callable[[], str] = str

    def turn_to(
        self, results: EverythingResults | None, picked: ObjectsLayer | None, model: Callable[[], str]
    ) -> None:
        """Work on the results of another image; `picked` takes copies, and `model` names what found the objects."""
        self._results, self._picked, self._model = results, picked, model
        self.selection = ()
        self.selection_changed.emit(())

    @property
    def objects(self) -> dict[int, FoundObject]:
        """All objects by label; their masks are whole also where others are painted over them."""
        return {} if self._results is None else self._results.objects

    @property
    def records(self) -> list[MaskRecord]:
        """The records of the objects on the shown plane, in the order of their labels, as the formats write them."""
        return [found.record for _, found in sorted(self.objects.items()) if found.plane == self._plane]

    @property
    def table(self) -> pd.DataFrame:
        """The features of the objects, row k for label k."""
        return features_table(self.objects)

    def open_records(self, records: Iterable[MaskRecord]) -> None:
        """Show records that were saved before, on the shown plane, to be deleted, merged and picked.

        Raises
        ------
        ValueError
            If there is no plane to show them on, or a record is of another size.
        """
        plane, records = self._plane, list(records)
        if self._results is None or plane is None:
            raise ValueError("there is no slice of an image to show the records on; open the image first")
        size = plane.shape_in(self._results.shape)
        for record in records:
            if record.rle.size != size:
                raise ValueError(f"the records are of an image of {record.rle.size} pixels; this one has {size}")
        self._results.put_records(plane, records)

    def select(self, labels: Collection[int]) -> None:
        """Select objects by their labels.

        Raises
        ------
        ValueError
            For a label that no object has.
        """
        objects = self.objects
        missing = [label for label in labels if label not in objects]
        if missing:
            raise ValueError(f"there is no object {missing[0]}; the layer's features list those there are")
        before, self.selection = self.selection, tuple(dict.fromkeys(labels))
        chosen = [objects[label] for label in self.selection]
        if self._results is not None:
            plane = self._results.shown_plane
            self._results.layers.mark(plane, [found for found in chosen if found.plane == plane])
        if self.selection != before:
            self.selection_changed.emit(self.selection)
        if chosen:
            self._say(f"{chosen[-1]}." if len(chosen) == 1 else f"{len(chosen)} objects are selected.")

    def select_at(self, position: Sequence[float], *, add: bool = False) -> None:
        """Select the object at (row, col) of the shown plane; again at the same place, the one that it lies in.

        Parameters
        ----------
        position : (float, float)
            (row, col) in pixels of the plane.
        add : bool
            Select it besides the others, or no longer if it is selected.
        """
        plane = self._plane
        if self._results is None or plane is None:
            return
        here = self._results.at(plane, float(position[0]), float(position[1]))
        present = [label for label in here if label in self.selection]
        if add:
            rest = tuple(label for label in self.selection if label not in present)
            self.select(rest if present else (*rest, *here[:1]))
        elif present and len(self.selection) == 1:
            self.select((here[(here.index(present[0]) + 1) % len(here)],))
        else:
            self.select(tuple(here[:1]))

    def clicked(self, position: Floats, add: bool) -> None:
        """Select what lies at a data position of the image, when the layer is clicked on."""
        if self._plane is not None:
            self.select_at(self._plane.to_plane(position)[0], add=add)

    def label_selected(self, label: int) -> None:
        """Select an object whose label was chosen in the layer, by napari's features table for example."""
        if label not in self.selection and label in self.objects:
            self.select((label,))

    def keep_selected(self) -> None:
        """Let go of selected objects that are no longer there, and outline the others anew."""
        if self.selection:
            objects = self.objects
            self.select([label for label in self.selection if label in objects])

    def delete(self) -> None:
        """Delete the selected objects; the others keep their labels, and thresholds do not bring these back."""
        if self._results is not None and self._needs_selection():
            labels = self.selection
            self.select(())
            self._results.delete(labels)
            self._say(f"{len(labels)} {'object' if len(labels) == 1 else 'objects'} deleted; Undo brings back.")

    def merge(self) -> int | None:
        """Make the selected objects one, which no threshold touches, and return its label.

        Raises
        ------
        ValueError
            For fewer than two objects, or objects of several slices.
        """
        if self._results is None or not self._needs_selection():
            return None
        label = self._results.merge(self.selection)
        self.select((label,))
        return label

    def pick(self, *, overwrite: bool = False) -> list[int]:
        """Copy the selected objects into the layer `objects`, where prompts and brushes can correct them.

        Returns
        -------
        list of int
            Their labels there; objects that are covered by others are left out unless `overwrite` is set.
        """
        if self._picked is None or self._results is None or not self._needs_selection():
            return []
        objects, labels, refusal = self.objects, [], ""
        for number in self.selection:
            found = objects[number]
            try:
                added = self._picked.add(
                    found.plane,
                    _candidate(found.record),
                    _prompts(found.record),
                    model=self._model(),
                    overwrite=overwrite,
                )
            except NothingToAddError as error:
                refusal = str(error)
            else:
                labels.append(added.label)
        into = f"Copied into the layer objects as {', '.join(str(label) for label in labels)}." if labels else ""
        self._say(f"{into} {refusal}".strip())
        return labels

    def undo(self) -> None:
        """Take the last deletion or merger back."""
        self.select(())
        undone = self._results is not None and self._results.undo()
        self._say("Taken back." if undone else "There is nothing to take back.")

    @property
    def can_undo(self) -> bool:
        """Whether there is a deletion or merger to take back."""
        return self._results is not None and self._results.can_undo

    def attempt(self, name: str) -> None:
        """Call one of these methods for a key or button: what speaks against it is said, not raised."""
        try:
            getattr(self, name)()
        except ValueError as error:
            self._say(str(error))

    @property
    def _plane(self) -> Plane | None:
        return None if self._results is None else self._results.shown_plane

    def _needs_selection(self) -> bool:
        if not self.selection:
            self._say("Nothing is selected: click on an object in the image, or on its row in the features table.")
        return bool(self.selection)


def _candidate(record: MaskRecord) -> Candidate:
    """Return a record as the layer `objects` takes it; what only the list of candidates shows is left empty."""
    iou, stability = (np.nan if score is None else score for score in (record.predicted_iou, record.stability_score))
    nothing = np.zeros((0, 0), bool)
    return Candidate(record.mask, iou, stability, nothing.astype(np.float32), np.zeros((0, 0, 3), np.uint8), nothing)


def _prompts(record: MaskRecord) -> Prompts:
    points = tuple((float(row), float(col)) for row, col in record.prompt.get("points") or ())
    return Prompts(points, tuple(int(label) for label in record.prompt.get("labels") or (1,) * len(points)))
