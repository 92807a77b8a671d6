"""The image that everything is segmented in: its shown plane, what is asked of it, what was found. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.tiling import is_large
from napari_segany.formats.painting import PaintingRule
from napari_segany.widgets.everything_asker import About, Estimate, EverythingAsker
from napari_segany.widgets.everything_editor import EverythingEditor
from napari_segany.widgets.everything_keys import bind_keys, release_keys
from napari_segany.widgets.everything_layers import EverythingLayer
from napari_segany.widgets.everything_objects import PlaneObjects
from napari_segany.widgets.everything_points import has_points, settings_by_plane
from napari_segany.widgets.everything_region import planes_like, region_reader
from napari_segany.widgets.everything_results import EverythingResults
from napari_segany.widgets.everything_where import Where
from napari_segany.widgets.everything_words import EverythingWords
from napari_segany.widgets.everything_work import PlaneAnswer, PlaneQuestion
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import full_resolution, intensity_limits, read_plane, shown_plane, spatial_shape
from napari_segany.widgets.objects import ObjectsLayer
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.raster_data import region_on_data


class EverythingImage:
    """One image and its results.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.
    image : Image
        The image.
    results : EverythingResults
        What was found in it.
    words : EverythingWords
        Leaves out what does not fit some words.

    Attributes
    ----------
    picked : ObjectsLayer
        The layer `objects` of the image, which the prompts share.
    """

    def __init__(self, viewer: ViewerModel, image: Image, results: EverythingResults, words: EverythingWords) -> None:
        self.image, self.results = image, results
        self._words = words
        words.turn_to(image, results)
        self.picked = ObjectsLayer(viewer, image)
        self._viewer = viewer

    @classmethod
    def begun(
        cls,
        viewer: ViewerModel,
        image: Image,
        editor: EverythingEditor,
        words: EverythingWords,
        runner: Runner,
        settings: AutomaticSettings,
        painting: PaintingRule,
        cache_bytes: int,
    ) -> EverythingImage:
        """Begin with an image in which nothing was found yet; clicks and keys in its layer go to the editor."""
        keys = partial(bind_keys, editor=editor)
        layers = EverythingLayer(viewer, image, editor.clicked, editor.label_selected, keys)
        return cls(viewer, image, EverythingResults(image, layers, runner, settings, painting, cache_bytes), words)

    @property
    def plane(self) -> Plane | None:
        """The shown plane; None while there is none to work on."""
        return self.results.shown_plane

    @property
    def is_large(self) -> bool:
        """Whether the shown plane is so large that small objects are missed where all of it is looked at at once."""
        return self.plane is not None and is_large(self.plane.shape_in(spatial_shape(self.image)))

    def look(self) -> str:
        """Take note of the plane that is shown now; return why there is none, "" where there is one."""
        try:
            self.results.shown_plane = shown_plane(self._viewer, self.image)
        except NoPlaneError as error:
            self.results.shown_plane = None
            return str(error)
        return ""

    def answered(self, answer: PlaneAnswer) -> None:
        """Take up what was found on a plane."""
        self.results.put(answer.plane, PlaneObjects(answer.candidates))

    @property
    def about(self) -> About:
        """What questions are about, as things are now."""
        return About(self.image.unique_id, intensity_limits(self.image))

    def planes(self, *, all_slices: bool) -> list[Plane]:
        """Return the shown plane, or all planes with its axes."""
        if self.plane is None:
            return []
        return planes_like(self.plane, spatial_shape(self.image)) if all_slices else [self.plane]

    def questions(
        self, asker: EverythingAsker, settings: AutomaticSettings, where: Where, *, all_slices: bool
    ) -> list[PlaneQuestion]:
        """Return what a run asks.

        Raises
        ------
        ValueError
            For a region that has nothing in it, or a layer without points where it is asked.
        """
        if self.plane is None:
            return []
        reader = region_on_data(self.image, region_reader(self._viewer, self.image, self.plane, where.region))
        planes = self.planes(all_slices=all_slices)
        settings_of = settings_by_plane(self.image, where.points, settings)
        if where.points is not None and not any(has_points(settings_of(plane)) for plane in planes):
            raise ValueError(
                f"The layer {where.points.name!r} has no point on the image here; add one or choose the regular grid."
            )
        questions = [self.question(asker, plane, reader) for plane in planes]
        if where.points is None:
            return questions
        return [replace(question, settings=settings_of(question.plane)) for question in questions]

    def asking(self, settings: AutomaticSettings, where: Where) -> AutomaticSettings:
        """Return the settings with the points that would be asked of the shown plane."""
        of_plane = settings_by_plane(self.image, where.points, settings)
        return settings if self.plane is None else of_plane(self.plane)

    def needs_run(self, settings: AutomaticSettings, where: Where) -> bool:
        """Tell whether the model would be asked something else about the shown plane than it was."""
        asked = self.results.asked
        return asked is None or not self.asking(settings, where).asks_as(asked)

    def question(
        self,
        asker: EverythingAsker,
        plane: Plane,
        read_region: Callable[[Plane], NDArray[np.bool_] | None] = lambda _: None,
    ) -> PlaneQuestion:
        """Return what is asked of one plane, by default of all of it."""
        read: Callable[[], Any] = partial(read_plane, full_resolution(self.image), plane)
        return PlaneQuestion(plane, read, read_region, asker.embedding(self.about, plane))

    def prepare(self, asker: EverythingAsker, settings: AutomaticSettings) -> None:
        """Make the embedding of the shown plane and measure the speed, unless both are known."""
        if self.plane is not None and (asker.speed is None or asker.embedding(self.about, self.plane) is None):
            asker.prepare(self.about, self.question(asker, self.plane), settings)

    def estimate(
        self, asker: EverythingAsker, settings: AutomaticSettings, where: Where, *, all_slices: bool
    ) -> Estimate | None:
        """Return what a run takes; None without a plane, or with a region that has nothing in it.

        Of a raster with nodata it is the most that a run can take: points there are not asked.
        """
        from napari_segany.engine.automatic_estimate import count_questions

        planes = self.planes(all_slices=all_slices)
        if self.plane is None:
            return None
        try:  # where a raster has no data is left out: its file would be read here, while the window waits
            reader = region_reader(self._viewer, self.image, self.plane, where.region)
            shape = self.plane.shape_in(spatial_shape(self.image))
            of_one = count_questions(shape, self.asking(settings, where), partial(reader.holds, self.plane))
        except (ValueError, OSError):
            return None
        encoded = sum(asker.embedding(self.about, plane) is not None for plane in planes)
        speed = asker.speed
        seconds = None if speed is None else len(planes) * speed.seconds(of_one) - encoded * speed.encode_s
        return Estimate(of_one.points * len(planes), len(planes), None if seconds is None else max(seconds, 0.0))

    def follow(self) -> None:
        """Move the layers of objects to where the image lies now."""
        self.results.layers.follow()
        self.picked.follow()

    def lost_objects(self, layer: Layer) -> bool:
        """Take note that a layer is gone; tell whether all that was found went with it."""
        if not self.results.layers.forget(layer):
            self.picked.forget(layer)
            return False
        self.results.clear()
        self.results.layers.mark(None, ())
        return True

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop drawing; the layers of objects stay in the viewer, without the keys."""
        if self.results.layers.layer is not None:
            release_keys(self.results.layers.layer)
        self._words.turn_to(None, None)
        self.results.close(keep_layers=keep_layers)
        self.picked.close()
