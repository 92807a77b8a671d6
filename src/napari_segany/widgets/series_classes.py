"""The list of classes that all images of a folder share, so that a class has one number in them. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable

from napari_segany.widgets.class_list import ClassList, joined
from napari_segany.widgets.object_classes import ObjectClasses
from napari_segany.widgets.series_folder import SeriesFolder


class SeriesClasses:
    """Keeps the classes of a session in the folder that it works through.

    Parameters
    ----------
    classes : ObjectClasses
        The classes of the image that is worked on.
    keep : callable
        Calls back with the folder, to write into it; says what goes wrong.
    """

    def __init__(self, classes: ObjectClasses, keep: Callable[[Callable[[SeriesFolder], None]], None]) -> None:
        self._classes, self._write = classes, keep
        self._folder: SeriesFolder | None = None
        classes.shared = self._shared
        classes.changed.connect(self._keep)

    def turn_to(self, folder: SeriesFolder | None) -> None:
        """Have the classes of a folder, for one of its images; None where the image is none of a folder's.

        A folder without classes takes those that there are.
        """
        self._folder = None  # so that what is put here is not taken for a change
        if folder is not None and folder.classes is not None:
            self._classes.put(*folder.classes)
        self._folder = folder
        self._keep()

    def _shared(self, classes: ClassList, current: str) -> tuple[ClassList, str]:
        """Return the folder's list with what else a saved one has; which class is current is not the image's."""
        if self._folder is None:
            return classes, current
        present = self._classes.current if self._folder.classes is not None else current
        return joined(self._classes.classes, classes), present

    def _keep(self) -> None:
        folder, now = self._folder, (self._classes.classes, self._classes.current)
        if folder is not None and now != (folder.classes or ((), "")):
            self._write(lambda folder: folder.keep_classes(*now))
