"""Classes on the canvas: colours of `objects`, a layer of classes, a layer of objects for each class. No Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from numpy.typing import NDArray

from napari_segany.engine.progress import Progress, Steps
from napari_segany.widgets.class_list import CLASSES_KEY, ClassList, label_colours, rgba
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.label_features import CATEGORY
from napari_segany.widgets.labels_source import FOUND_IN_KEY, owner_of
from napari_segany.widgets.layer_order import insert_at
from napari_segany.widgets.layers import SPATIAL
from napari_segany.widgets.object_table import INDEX
from napari_segany.widgets.objects import OWNER_KEY

CLASSES_NAME = "classes"
_MADE_FROM = "napari_segany_made_from"
_COLOURED = 65535  # labels that napari gives a colour of their own


class ClassColours:
    """Gives a layer of objects the colours of their classes, and its own back.

    A cyclic colormap that is long enough to have a colour for each label: napari draws a direct one, which maps
    labels by name, through code that is compiled for seconds at its first use.

    Attributes
    ----------
    wanted : bool
        Whether objects have the colours of their classes, where any has one.
    """

    def __init__(self) -> None:
        self.wanted = True
        self._own: Any = None
        self._shown: NDArray[np.float32] | None = None

    def show(self, layer: Labels, of_objects: Mapping[int, str], classes: ClassList) -> None:
        """Colour the objects, or give the layer its own colours back where no class is to be seen."""
        highest = max(of_objects, default=0)
        if not self.wanted or not any(of_objects.values()) or highest >= _COLOURED:
            self.leave(layer)
            return
        # One colour more than labels: the next label, which brushes take, has one too.
        colours = label_colours([of_objects.get(label, "") for label in range(highest + 2)], classes)
        if self._shown is not None and np.array_equal(colours, self._shown):
            return
        if self._own is None:
            self._own = layer.colormap
        self._shown = colours
        layer.colormap = CyclicLabelColormap(name=CLASSES_NAME, colors=colours, background_value=0)

    def leave(self, layer: Labels) -> None:
        """Give the layer its own colours back."""
        own, self._own, self._shown = self._own, None, None
        if own is not None:
            layer.colormap = own


@dataclass(frozen=True, eq=False)
class MadeLabels:
    """What a layer is made of.

    Attributes
    ----------
    name : str
        Of the layer.
    data : numpy.ndarray
        Its labels.
    features : pandas.DataFrame
        Its table, row k for label k.
    colours : numpy.ndarray or None
        (N, 4) the colour of each label; None for napari's own.
    """

    name: str
    data: NDArray[Any]
    features: pd.DataFrame
    colours: NDArray[np.float32] | None = None


def class_layer_steps(layer: Labels, of_objects: Mapping[int, str], classes: ClassList) -> Steps[list[MadeLabels]]:
    """Make labels that are the number of their object's class; objects without one are background."""
    numbers = {one.name: one.number for one in classes}
    highest = max((one.number for one in classes), default=0)
    values = {label: numbers.get(name, 0) for label, name in of_objects.items()}
    data = yield from _mapped(layer.data, values, np.min_scalar_type(highest))
    names = {one.number: one.name for one in classes}
    table = pd.DataFrame({INDEX: np.arange(highest + 1), CATEGORY: [names.get(k, "") for k in range(highest + 1)]})
    colours = np.zeros((highest + 1, 4), np.float32)
    for one in classes:
        colours[one.number] = rgba(one.colour)
    return [MadeLabels(CLASSES_NAME, data, table, colours)]


def object_layers_steps(layer: Labels, of_objects: Mapping[int, str], classes: ClassList) -> Steps[list[MadeLabels]]:
    """Make labels for each class that has objects: these alone, with their numbers and their rows."""
    made = []
    for one in classes:
        members = [label for label, name in of_objects.items() if name == one.name]
        if members:
            data = yield from _mapped(layer.data, dict(zip(members, members, strict=True)), layer.data.dtype)
            table = layer.features.loc[members].reindex(range(max(members) + 1))
            table[INDEX] = np.arange(len(table))
            made.append(MadeLabels(f"{layer.name}: {one.name}", data, table))
    return made


def show_made(viewer: ViewerModel, source: Labels, made: MadeLabels, classes: ClassList) -> str:
    """Show labels under the layer they were made from, in place of earlier ones, and return the layer's name."""
    origin = f"{source.unique_id} {made.name}"
    others = (CLASSES_KEY, OWNER_KEY, MASKS_KEY)
    kept = {key: value for key, value in source.metadata.items() if key not in others}
    if (owner := owner_of(source.metadata)) is not None:
        kept[FOUND_IN_KEY] = owner
    state: dict[str, Any] = {
        **{name: getattr(source, name) for name in SPATIAL},
        "features": made.features,
        "metadata": {**kept, CLASSES_KEY: classes, _MADE_FROM: origin},
    }
    if made.colours is not None:
        state["colormap"] = CyclicLabelColormap(name=CLASSES_NAME, colors=made.colours, background_value=0)
    for layer in viewer.layers:
        if isinstance(layer, Labels) and layer.metadata.get(_MADE_FROM) == origin:
            layer.data = made.data
            for name, value in state.items():
                setattr(layer, name, value)
            return str(layer.name)
    new = Labels(made.data, name=made.name, opacity=source.opacity, axis_labels=source.axis_labels, **state)
    insert_at(viewer, new, viewer.layers.index(source) if source in viewer.layers else len(viewer.layers))
    return str(new.name)


def _mapped(labels: Any, values: Mapping[int, int], dtype: Any) -> Steps[NDArray[Any]]:
    """Return other labels, plane by plane; those without a value become background."""
    data = np.asarray(labels)
    table = np.zeros(max([int(data.max(initial=0)), *values, 0]) + 1, dtype)
    table[list(values)] = list(values.values())
    made = np.zeros(data.shape, dtype)
    planes = list(np.ndindex(*data.shape[:-2]))
    for number, index in enumerate(planes):
        yield Progress(number, len(planes), "Making layers of classes")
        made[index] = table[np.clip(data[index], 0, len(table) - 1)]
    return made
