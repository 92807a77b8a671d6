"""The image that a session works on: chosen, followed while it moves or changes, and left. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal

from napari_segany.widgets.conversation import Conversation
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.geometry import NoPlaneError, Plane
from napari_segany.widgets.layers import shown_plane, unwrap
from napari_segany.widgets.progress_runner import Runner
from napari_segany.widgets.prompt_layers import PromptLayers
from napari_segany.widgets.session_objects import SessionObjects
from napari_segany.widgets.viewer_events import EventLinks, image_links, viewer_links
from napari_segany.widgets.windows_ahead import WindowsAhead


class SessionImage:
    """Keeps everything that belongs to an image with it.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer that shows it.
    runner : Runner
        Calls back when napari is done with what it does now.
    embedder, conversation, prompt_layers, work
        What works on the image.
    say : callable
        Receives sentences for the user; None for what to do next.

    Attributes
    ----------
    image : Image or None
        The image.
    windows : WindowsAhead
        Of a large image, the parts that are ready.
    """

    changed = Signal(object)
    became_stale = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        embedder: Embedder,
        conversation: Conversation,
        prompt_layers: PromptLayers,
        work: SessionObjects,
        say: Callable[[str | None], None],
    ) -> None:
        self.image: Image | None = None
        self._coming: Image | None = None
        self._viewer, self._runner = viewer, runner
        self._embedder, self._conversation = embedder, conversation
        self._prompt_layers, self._work = prompt_layers, work
        self._say = say
        self.windows = WindowsAhead(viewer, runner, embedder, conversation, prompt_layers)
        self._viewer_links = viewer_links(viewer, self._view_moved, self._layer_removed, self._layer_goes)
        self._image_links = EventLinks()

    def choose(self, image: Image | None) -> None:
        """Work on another image.

        Raises
        ------
        ValueError
            For a layer that is none.
        """
        image = _checked(image)
        if image is not self.image or self._coming is not None:
            self.leave(for_another=image is not None)
            self._begin(image)

    def choose_in_turns(self, image: Image | None, done: Callable[[], None]) -> None:
        """As `choose`, in three turns of the event loop: one image is left, layers come, work begins; then `done`.

        In between no image is chosen. Nothing more is done where another is chosen meanwhile.
        """
        image = _checked(image)
        if image is None or self.image is None or image is self.image:
            self.choose(image)
            done()
            return
        self.leave(for_another=True)
        self._coming = image
        self._runner.later(partial(self._arrive, image, done))

    def _arrive(self, image: Image, done: Callable[[], None], *, are_layers_there: bool = False) -> None:
        if self._coming is not image:
            return
        if image not in self._viewer.layers:
            self.leave(for_good=True)
            self._begin(None)
        elif not are_layers_there:
            self._bring_layers(image)
            self._runner.later(partial(self._arrive, image, done, are_layers_there=True))
        else:
            self._coming = None
            self._work_on(image)
            done()

    def needed_plane(self) -> Plane:
        """Return the shown plane of the image.

        Raises
        ------
        ValueError
            Where there is none; the message says why.
        """
        if self.image is None:
            raise ValueError("no image is chosen; call choose_image with an Image layer")
        return self._conversation.plane or shown_plane(self._viewer, self.image)

    def leave(self, *, for_good: bool = False, for_another: bool = False) -> None:
        """Let go of the image; unless `for_good`, its prompts wait and the history waits too.

        With `for_another` image to come at once, the layers stay for that.
        """
        self._coming = None
        self.stop_work()
        if for_another:
            self._work.save_left()
        else:
            self._work.save_now()
        self._image_links.clear()
        image, self.image = self.image, None
        self._conversation.turn_to(None, None, keep_layers=for_another)
        self._prompt_layers.detach(keep=not for_good, spare=for_another)
        self._work.turn_to(None)
        if image is not None and for_good:
            self._forget(image)

    def stop_work(self) -> None:
        """Stop what runs in the background for the image."""
        self._conversation.hold()
        self._embedder.cancel()

    def close(self, *, keep_layers: bool = False) -> None:
        """Stop listening to the viewer and, unless the layers are to be left alone, leave the image."""
        self._viewer_links.clear()
        self._image_links.clear()
        self.windows.close(keep_layers=keep_layers)
        if not keep_layers:
            self.leave()

    def _begin(self, image: Image | None) -> None:
        if image is not None:
            self._bring_layers(image)
        self._work_on(image)

    def _bring_layers(self, image: Image) -> None:
        self._conversation.layers.turn_to(image)
        self._prompt_layers.attach(image)

    def _work_on(self, image: Image | None) -> None:
        self.image = image
        if image is not None:
            self._image_links = image_links(image, self._image_moved, self._contrast_changed, self._data_replaced)
            self._work.turn_to(image)
        self.changed.emit(image)
        self._view_moved()

    # ------------------------------------------------------- what napari tells us

    def _view_moved(self, event: Any = None) -> None:
        if self.image is None:
            self._say(None)
            return
        try:
            plane = shown_plane(self._viewer, self.image)
        except NoPlaneError as error:
            self._conversation.turn_to(self.image, None)
            self._work.turn_to_plane(None)
            self._prompt_layers.pause()
            self._say(str(error))
            return
        if plane != self._conversation.plane:
            self._prompt_layers.resume()
            self._conversation.turn_to(self.image, plane)
            self._work.turn_to_plane(plane)

    def _layer_goes(self, event: Any) -> None:
        prompts = (self._prompt_layers.points, self._prompt_layers.boxes)
        objects = None if self._work.layer is None else self._work.layer.layer
        if self.image is not None and self._viewer.layers[event.index] in (self.image, objects, *prompts):
            self._work.layer_goes()

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        self.windows.forget(layer)
        if self.image is not None and layer is self.image:
            self._work.image_gone()
            self.stop_work()
            self._embedder.cache.forget_image(self.image.unique_id)
            # Later, for napari may be in the middle of removing several selected layers, ours among them.
            self._runner.later(lambda: self._begin_anew(layer, None))
        elif self._prompt_layers.forget(layer):
            self._say("A prompt layer was removed; choose the click or box tool for a new one.")
        elif self._work.forget(layer):
            back = " Undo brings it back." if self._work.recorder.history.can_undo else ""
            self._say(f"The objects layer was removed; the next accepted mask begins a new one.{back}")
        elif isinstance(layer, Image):
            self._forget(layer)
        else:
            self._conversation.layers.forget(layer)

    def _forget(self, image: Image) -> None:
        """Drop all about an image that has gone."""
        self._embedder.cache.forget_image(image.unique_id)
        self._conversation.forget_image(image)
        self._prompt_layers.forget_image(image)
        self._work.forget_image(image)

    def _begin_anew(self, gone: Image, image: Image | None) -> None:
        if gone is self.image:
            self.leave(for_good=True)
            self._begin(image)

    def _image_moved(self, event: Any) -> None:
        for ours in (self._prompt_layers, self._conversation.layers, self._work):
            ours.follow()
        self._view_moved()

    def _contrast_changed(self, event: Any) -> None:
        if self._conversation.is_stale:
            self.became_stale.emit()
            self._say("The contrast has changed: the next prompt looks at the image again with it.")

    def _data_replaced(self, event: Any) -> None:
        if self.image is not None:
            self._begin_anew(self.image, self.image)


def _checked(image: Any) -> Image | None:
    image = unwrap(image)
    if image is not None and not isinstance(image, Image):
        raise ValueError(f"got a {type(image).__name__} layer; prompts need an Image layer")
    return image
