"""Classes of the accepted objects: defined, given, taken away, shown as colours and as layers. Knows no Qt.

`session.classes` in the console::

    classes.add("nucleus")                  # number 1, key Ctrl-1
    classes.add("debris", "#d55e00")
    classes.use("nucleus")                  # of all that is accepted from now on; use("") for none
    classes.assign("debris", [3, 4])        # undo takes it back
    classes.make_class_layer()              # a Labels layer whose values are the numbers of the classes
    classes.make_layers_by_class()          # a Labels layer of objects for each class

The class of an object is in the column `category` of the layer's features, from which COCO and YOLO files have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Labels
from psygnal import Signal

from napari_segany.engine.progress import Steps
from napari_segany.widgets import class_list
from napari_segany.widgets.class_layers import (
    ClassColours,
    MadeLabels,
    class_layer_steps,
    object_layers_steps,
    show_made,
)
from napari_segany.widgets.class_list import CLASSES_KEY, ClassList, ObjectClass
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.object_rows import set_cells
from napari_segany.widgets.object_table import texts_of
from napari_segany.widgets.objects import ObjectsLayer, numbered
from napari_segany.widgets.progress_runner import Runner

if TYPE_CHECKING:
    from napari_segany.widgets.history_recorder import Recorder
    from napari_segany.widgets.object_editor import ObjectEditor


@dataclass(frozen=True, eq=False)
class ClassesChange:
    """A list of classes to put back."""

    book: ObjectClasses
    classes: ClassList
    current: str
    nbytes = 500

    def swap(self, place: object) -> ClassesChange:
        """Put it back, and return what puts back what was there before."""
        now = ClassesChange(self.book, self.book.classes, self.book.current)
        self.book.put(self.classes, self.current)
        return now


class ObjectClasses:
    """The classes of the objects of the image that is worked on; another image begins with the same ones.

    Parameters
    ----------
    viewer : ViewerModel
        Where layers of classes go.
    runner : Runner
        Makes them.
    recorder : Recorder
        Writes steps down.
    editor : ObjectEditor
        Has the selection.
    say : callable
        Receives sentences for the user.
    is_asking : callable
        Whether a mask is on offer: then a chosen class is for that, and not for the selected objects.

    Attributes
    ----------
    classes : tuple of ObjectClass
        By their numbers.
    current : str
        Name of the class of all that is accepted next; "" for none.
    shared : callable
        Returns what a saved list and its current class become where images share a list; as they are, by default.
    """

    changed = Signal()
    counted = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        recorder: Recorder,
        editor: ObjectEditor,
        say: Callable[[str], None],
        is_asking: Callable[[], bool],
    ) -> None:
        self.classes: ClassList = ()
        self.current = ""
        self.shared: Callable[[ClassList, str], tuple[ClassList, str]] = lambda classes, current: (classes, current)
        self._viewer, self._runner, self._recorder, self._editor = viewer, runner, recorder, editor
        self._say, self._is_asking = say, is_asking
        self._objects: ObjectsLayer | None = None
        self._layer: Labels | None = None
        self._colours = ClassColours()
        self._is_due = False
        recorder.stepped.connect(self._look_again)

    # ------------------------------------------------------------------- what it is about

    def turn_to(self, objects: ObjectsLayer | None) -> None:
        """Work on the objects of another image."""
        if self._objects is not None:
            self._objects.taken_up.disconnect(self._taken_up)
            self._objects.released.disconnect(self._released)
        self._released()
        self._objects = objects
        if objects is not None:
            objects.taken_up.connect(self._taken_up)
            objects.released.connect(self._released)
            if objects.layer is not None:
                self._taken_up(objects.layer)
        self.counted.emit()

    @property
    def of_objects(self) -> dict[int, str]:
        """The name of each object's class by label; "" for none."""
        layer = self._layer
        if layer is None:
            return {}
        return texts_of(layer.features, CATEGORY)

    @property
    def counts(self) -> Counter[str]:
        """How many objects each class has, by name; those without one under ""."""
        return Counter(self.of_objects.values())

    # ------------------------------------------------------------------------ the list

    def add(self, name: str, colour: str | None = None) -> ObjectClass:
        """Define a class.

        Raises
        ------
        ValueError
            For a name that is there, or no name or colour.
        """
        self._redefine(class_list.with_class(self.classes, name, colour), f"new class {name.strip()}")
        return class_list.needed(self.classes, name.strip())

    def rename(self, name: str, new_name: str) -> None:
        """Give a class another name; its objects follow.

        Raises
        ------
        ValueError
            For a class that does not exist, or a new name that does.
        """
        classes = class_list.changed(self.classes, name, new_name=new_name)
        self._redefine(classes, f"renaming of class {name}", {name: new_name.strip()})

    def recolour(self, name: str, colour: str) -> None:
        """Give a class another colour, "#rrggbb".

        Raises
        ------
        ValueError
            For a class that does not exist, or no colour.
        """
        self._redefine(class_list.changed(self.classes, name, colour=colour), f"colour of class {name}")

    def remove(self, name: str) -> None:
        """Remove a class; its objects stay, without a class.

        Raises
        ------
        ValueError
            For a class that does not exist.
        """
        self._redefine(class_list.without(self.classes, name), f"removal of class {name}", {name: ""})

    def put(self, classes: ClassList, current: str) -> None:
        """Have this list, without a step of the history."""
        self.classes, self.current = classes, current
        if self._layer is not None:
            self._layer.metadata = {**self._layer.metadata, CLASSES_KEY: classes}
        self.changed.emit()
        self._look_again()

    def put_back(self, classes: ClassList, current: str) -> None:
        """Have a saved list in place of the present one, within a step of the history."""
        classes, current = self.shared(classes, current)
        if (classes, current) != (self.classes, self.current):
            self._recorder.add(ClassesChange(self, self.classes, self.current))
            self.put(classes, current)

    # ------------------------------------------------------------------- giving classes

    def use(self, name: str) -> None:
        """Give all that is accepted from now on this class; "" for none.

        Raises
        ------
        ValueError
            For a class that does not exist.
        """
        if name:
            class_list.needed(self.classes, name)
        self.current = name
        self.changed.emit()
        self._say(f"What you accept now is: {name}." if name else "What you accept now has no class.")

    def assign(self, name: str, labels: Collection[int] | None = None) -> tuple[int, ...]:
        """Give objects, by default the selected ones, a class ("" for none), and return those that had another one.

        Raises
        ------
        ValueError
            For a class or an object that does not exist.
        """
        if name:
            class_list.needed(self.classes, name)
        given = self.of_objects
        targets = tuple(self._editor.selection if labels is None else dict.fromkeys(labels))
        missing = [label for label in targets if label not in given]
        if missing:
            raise ValueError(f"there is no object {missing[0]}; the table lists those there are")
        different = tuple(int(label) for label in targets if given[label] != name)
        if different and self._objects is not None:
            with self._recorder.step(f"class of {numbered(different)}"):
                set_cells(self._objects, {label: {CATEGORY: name} for label in different})
        if not targets:
            self._say("No object is selected: point at one in the image and press G.")
        else:
            self._say(f"{numbered(targets).capitalize()}: {name or 'no class'}.")
        return different

    def choose(self, name: str) -> None:
        """Give the selected objects a class; without any, or with a mask on offer, all that is accepted next.

        Raises
        ------
        ValueError
            For a class that does not exist.
        """
        if self._editor.selection and not self._is_asking():
            self.assign(name)
        else:
            self.use(name)

    def choose_number(self, number: int) -> None:
        """Choose the class of a number (keys Ctrl-1 to Ctrl-9).

        Raises
        ------
        ValueError
            If no class has it.
        """
        one = next((one for one in self.classes if one.number == number), None)
        if one is None:
            raise ValueError(f"There is no class {number} yet: add it under Classes in the dock.")
        self.choose(one.name)

    def choose_none(self) -> None:
        """Choose no class (key Shift-U)."""
        self.choose("")

    def accepted(self, label: int, name: str | None = None) -> None:
        """Give a new object the present class (or this one), within the step that made it, unless it has one."""
        name = self.current if name is None else name
        if self._objects is not None and name and not self._objects.row(label).get(CATEGORY):
            set_cells(self._objects, {label: {CATEGORY: name}})

    # ----------------------------------------------------------------- colours and layers

    @property
    def are_shown(self) -> bool:
        """Whether objects have the colours of their classes; set it to switch."""
        return self._colours.wanted

    @are_shown.setter
    def are_shown(self, wanted: bool) -> None:
        self._colours.wanted = wanted
        self._show_colours()
        self.changed.emit()

    def make_class_layer(self) -> None:
        """Make the layer `classes`, or bring it up to date: the number of its class in each pixel of an object."""
        layer = self._needed_layer()
        if layer is not None:
            self._run(layer, "Making the layer of classes", class_layer_steps(layer, self.of_objects, self.classes))

    def make_layers_by_class(self) -> None:
        """Make a Labels layer of the objects of each class, with their numbers, or bring it up to date."""
        layer = self._needed_layer()
        if layer is not None:
            self._run(layer, "Making layers by class", object_layers_steps(layer, self.of_objects, self.classes))

    # -------------------------------------------------------------------------- internal

    def _run(self, layer: Labels, title: str, steps: Steps[list[MadeLabels]]) -> None:
        classes = self.classes

        def done(made: list[MadeLabels]) -> None:
            names = [show_made(self._viewer, layer, one, classes) for one in made]
            self._say(f"Made the layers {', '.join(names)}. File > Save Selected Layers saves them.")

        self._runner.start(title, steps, done=done, failed=lambda error: self._say(f"{title} failed: {error}"))

    def _needed_layer(self) -> Labels | None:
        if self._layer is None or not any(self.of_objects.values()):
            self._say("No object has a class yet: select one and choose a class.")
            return None
        return self._layer

    def _redefine(self, classes: ClassList, title: str, renamed: dict[str, str] | None = None) -> None:
        renamed = renamed or {}
        with self._recorder.step(title):
            self._recorder.add(ClassesChange(self, self.classes, self.current))
            cells = {label: {CATEGORY: renamed[name]} for label, name in self.of_objects.items() if name in renamed}
            self.put(classes, renamed.get(self.current, self.current))
            if cells and self._objects is not None:
                set_cells(self._objects, cells)

    def _taken_up(self, layer: Labels) -> None:
        self._layer = layer
        layer.events.features.connect(self._features_changed)
        saved = layer.metadata.get(CLASSES_KEY)
        if isinstance(saved, tuple) and all(isinstance(one, ObjectClass) for one in saved):
            self.classes = class_list.in_order(saved)
        self._adopt(self.of_objects)
        self.put(self.classes, self.current if class_list.found(self.classes, self.current) else "")

    def _released(self, layer: Any = None) -> None:
        if self._layer is not None:
            self._layer.events.features.disconnect(self._features_changed)
            self._colours.leave(self._layer)
        self._layer = None

    def _features_changed(self, event: Any = None) -> None:
        if not self._is_due:
            self._is_due = True
            self._runner.later(self._look_if_due)

    def _look_if_due(self) -> None:
        if self._is_due:  # not if the step that they belong to was over since
            self._look_again()

    def _look_again(self) -> None:
        self._is_due = False
        if self._recorder.in_step:
            return  # it is looked at when the step is over: names and rows change one after the other
        named = self.of_objects  # once: it is read from a table
        if self._layer is not None and self._adopt(named):
            self.put(self.classes, self.current)
            return
        self._show_colours(named)
        self.counted.emit()

    def _adopt(self, named: dict[int, str]) -> bool:
        """Take up classes that objects have and nobody defined, as of a restored session; return whether any."""
        before = self.classes
        names = sorted({name for name in named.values() if name})
        self.classes = class_list.with_names(before, names)
        return self.classes != before

    def _show_colours(self, named: dict[int, str] | None = None) -> None:
        if self._layer is not None:
            self._colours.show(self._layer, self.of_objects if named is None else named, self.classes)
