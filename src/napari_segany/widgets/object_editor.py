"""Selecting accepted objects, and what people do with them: delete, merge, split, clean up, open again. Knows no Qt.

`session.editor` in the console::

    editor.select([3, 4])
    editor.merge()                                        # -> 3
    editor.split(3)                                       # its separate parts, or cut between the clicks in it
    editor.clean_up([3], CleanUp(fill_holes=True, smooth=2))
    editor.reopen(3)                                      # with its prompts; accept() keeps the number
    session.undo()

An object is all that has its number, in every slice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from napari.layers import Image
from numpy.typing import ArrayLike
from psygnal import Signal

from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.history_recorder import Recorder
from napari_segany.widgets.layers import spatial_shape, world_to_data
from napari_segany.widgets.object_edits import cleaned, deleted, merged, split
from napari_segany.widgets.object_reopening import Reopener
from napari_segany.widgets.objects import ObjectsLayer, numbered
from napari_segany.widgets.objects_outline import ObjectsOutline


class ObjectEditor:
    """The selection of accepted objects and the changes that people make to them; each is one step of the history.

    Parameters
    ----------
    recorder : Recorder
        Writes the steps down.
    reopener : Reopener
        Brings prompts of objects back.
    outline : ObjectsOutline
        Shows the selection.
    say : callable
        Receives sentences for the user.

    Attributes
    ----------
    selection : tuple of int
        Labels of the selected objects, in the order in which they were selected.
    cleaning : CleanUp
        What `clean_up` does where it is not told; `clean_accepted` says whether accepted masks are cleaned too.
    """

    selection_changed = Signal(tuple)

    def __init__(
        self, recorder: Recorder, reopener: Reopener, outline: ObjectsOutline, say: Callable[[str], None]
    ) -> None:
        self.selection: tuple[int, ...] = ()
        self.cleaning = CleanUp()
        self.clean_accepted = False
        self._recorder = recorder
        self._reopener = reopener
        self._outline = outline
        self._say = say
        self._image: Image | None = None
        self._objects: ObjectsLayer | None = None
        self._plane: Plane | None = None
        self._is_stale = False
        recorder.changed.connect(self._step_over)

    # ------------------------------------------------------------------- what it is about

    def turn_to(self, image: Image | None, objects: ObjectsLayer | None) -> None:
        """Work on the objects of another image."""
        if self._objects is not None:
            self._objects.changed.disconnect(self.look_again)
            self._objects.touched.disconnect(self._touched)
        self._image, self._objects, self._plane = image, objects, None
        if objects is not None:
            objects.changed.connect(self.look_again)
            objects.touched.connect(self._touched)
        self._select(())

    def turn_to_plane(self, plane: Plane | None) -> None:
        """Take note of the plane that is shown now."""
        self._plane = plane
        self._outline_selection()

    def look_again(self, change: object = None) -> None:
        """Let go of selected objects that are no longer there, and outline the others anew, once a step is over."""
        self._is_stale = True
        if self._recorder.in_step:
            return
        there = () if self._objects is None else self._objects.labels
        self._select(tuple(label for label in self.selection if label in there))

    # ---------------------------------------------------------------------- selection

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of all accepted objects."""
        return () if self._objects is None else self._objects.labels

    def select(self, labels: Collection[int]) -> None:
        """Select objects by their labels.

        Raises
        ------
        ValueError
            For a label that no object has.
        """
        self._select(self._checked(labels))
        if self.selection:
            self._say(f"{numbered(self.selection).capitalize()} selected.")

    def select_at(self, position: Sequence[float], *, add: bool = False) -> None:
        """Select the object at (row, col) of the shown plane; with `add` besides the others, or no longer."""
        label = 0 if self._plane is None else self._label_at(self._plane.to_data([position])[0])
        if not add:
            self.select((label,) if label else ())
        elif label:
            rest = tuple(one for one in self.selection if one != label)
            self.select(rest if label in self.selection else (*rest, label))

    def toggle_here(self) -> None:
        """Select the object under the mouse besides the others, or no longer (key G)."""
        label = self._label_here()
        if not label:
            self._say("There is no object under the mouse.")
            return
        rest = tuple(one for one in self.selection if one != label)
        self._select(rest if label in self.selection else (*rest, label))
        what = numbered(self.selection).capitalize() + " selected" if self.selection else "Nothing is selected"
        self._say(f"{what}. J merges, K splits, Shift-N deletes, Shift-G opens again.")

    # ------------------------------------------------------------------------- changes

    def delete(self, labels: Collection[int] | None = None) -> tuple[int, ...]:
        """Delete objects, by default the selected ones; their numbers are not given again."""
        targets = self._targets(labels)
        objects = self._objects
        if objects is None or not targets:
            return ()
        with self._recorder.step(f"deletion of {numbered(targets)}"):
            deleted(objects, targets)
        self._say(f"Deleted {numbered(targets)}; Ctrl-Z brings back.")
        return targets

    def merge(self, labels: Collection[int] | None = None) -> int | None:
        """Make several objects one, with the number of the first, and return it."""
        targets = self._targets(labels)
        objects = self._objects
        if objects is None or not targets:
            return None
        if len(targets) < 2:
            self._say(f"Only {numbered(targets)} is selected; point at another one and press G, then J merges.")
            return None
        with self._recorder.step(f"merging of {numbered(targets)}"):
            label = merged(objects, targets)
        self._select((label,))
        self._say(f"Merged {numbered(targets)} into object {label}.")
        return label

    def split(self, label: int | None = None) -> tuple[int, ...]:
        """Make separate parts of an object objects of their own; one in one piece is cut between the clicks in it.

        Returns
        -------
        tuple of int
            The labels of all parts, the largest first (or in the order of the clicks); the first keeps the number.
        """
        targets = self._targets(None if label is None else (label,))
        objects = self._objects
        if objects is None or not targets:
            return ()
        if len(targets) > 1:
            self._say(f"{len(targets)} objects are selected; select the one to split.")
            return ()
        clicks, plane = self._reopener.clicks, self._plane
        with self._recorder.step(f"splitting of {numbered(targets)}"):
            parts = split(objects, targets[0], () if plane is None else plane.to_data(clicks))
            if len(parts) > 1 and clicks:
                self._reopener.drop()
        if len(parts) < 2:
            self._say(f"Object {targets[0]} is in one piece: click once in each part of it, then split again.")
            return ()
        self._select(parts)
        self._say(f"Split object {targets[0]} into {numbered(parts)}.")
        return parts

    def clean_up(self, labels: Collection[int] | None = None, how: CleanUp | None = None) -> tuple[int, ...]:
        """Clean objects in every slice, and return those that are different now; others keep their pixels.

        Parameters
        ----------
        labels : collection of int, optional
            By default the selected ones.
        how : CleanUp, optional
            By default `cleaning`.
        """
        how = self.cleaning if how is None else how
        targets = self._targets(labels)
        objects, image, plane = self._objects, self._image, self._plane
        if objects is None or image is None or not targets:
            return ()
        if not how:
            self._say("Choose what to clean up first: parts, holes, islands or the outline.")
            return ()
        axes = (image.ndim - 2, image.ndim - 1) if plane is None else plane.axes
        with self._recorder.step(f"clean-up of {numbered(targets)}"):
            different = cleaned(objects, targets, how, axes)
        self._say(f"Cleaned {numbered(different)}." if different else "There was nothing to clean up.")
        return different

    def reopen(self, label: int | None = None) -> bool:
        """Open an object again with its prompts, to be corrected by clicks; accepting keeps its number.

        It stays in the layer `objects` as it is until then. Returns whether there is something to correct now.
        """
        targets = self._targets(None if label is None else (label,))
        if self._objects is None or not targets:
            return False
        if len(targets) > 1:
            self._say(f"{len(targets)} objects are selected; select the one to open again.")
            return False
        with self._recorder.step(f"opening of {numbered(targets)}"):
            opened = self._reopener.reopen(self._objects, targets[0], self._recorder.draft_will_change)
        what = numbered(targets).capitalize()
        if opened:
            self._say(f"{what} is open with its prompts: click where it is wrong, N accepts it, U leaves it.")
        else:
            self._say(f"{what} is not on a slice with the displayed axes.")
        return opened

    def delete_here(self) -> None:
        """Delete the object under the mouse, or the selected ones if it is one of them or none is there (Shift-N)."""
        self.delete(self._here())

    def merge_here(self) -> None:
        """Merge the selected objects and the one under the mouse (J)."""
        label = self._label_here()
        self.merge((*self.selection, label) if label and label not in self.selection else None)

    def split_here(self) -> None:
        """Split the object under the mouse, or the selected one (K)."""
        here = self._here()
        self.split(here[0] if here is not None and len(here) == 1 else None)

    def reopen_here(self) -> None:
        """Open the object under the mouse again, or the selected one (Shift-G)."""
        here = self._here()
        self.reopen(here[0] if here is not None and len(here) == 1 else None)

    # -------------------------------------------------------------------------- internal

    def _checked(self, labels: Collection[int]) -> tuple[int, ...]:
        there = set(self.labels)
        missing = [label for label in labels if label not in there]
        if missing:
            raise ValueError(
                f"there is no object {missing[0]}; the features of the layer objects list those there are"
            )
        return tuple(dict.fromkeys(int(label) for label in labels))

    def _targets(self, labels: Collection[int] | None) -> tuple[int, ...]:
        targets = self.selection if labels is None else self._checked(labels)
        if not targets:
            self._say("No object is selected: point at one in the image and press G.")
        return targets

    def _here(self) -> tuple[int, ...] | None:
        """Return the object under the mouse alone, unless it is one of the selected ones or there is none."""
        label = self._label_here()
        return (label,) if label and label not in self.selection else None

    def _label_here(self) -> int:
        image = self._image
        if image is None or self._plane is None:
            return 0
        viewer = self._reopener.viewer
        return self._label_at(world_to_data(viewer, image, viewer.cursor.position))

    def _label_at(self, position: ArrayLike) -> int:
        layer = None if self._objects is None else self._objects.layer
        if layer is None or self._image is None:
            return 0
        place = np.round(np.asarray(position, dtype=float)).astype(int)
        inside = ((place >= 0) & (place < np.asarray(spatial_shape(self._image)))).all()
        return int(layer.data[tuple(place)]) if inside else 0

    def _select(self, labels: tuple[int, ...]) -> None:
        before, self.selection = self.selection, labels
        if self._is_stale or labels != before:
            self._outline_selection()
        if labels != before:
            self.selection_changed.emit(labels)

    def _touched(self, pixels: object) -> None:
        self._is_stale = True

    def _step_over(self) -> None:
        if self._is_stale:
            self.look_again()

    def _outline_selection(self) -> None:
        self._is_stale = self._recorder.in_step
        if self._is_stale:
            return
        layer = None if self._objects is None else self._objects.layer
        if layer is None or self._image is None or self._plane is None or not self.selection:
            self._outline.hide()
            return
        place, selection = self._plane.slicer(), self.selection
        self._outline.show(self._image, self._plane, lambda: np.isin(np.asarray(layer.data[place]), selection))
