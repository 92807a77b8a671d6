"""Points and boxes of the images that are not worked on now. Knows napari's images, but no viewer and no Qt."""

from __future__ import annotations

from napari.layers import Image

from napari_segany.widgets.drafts_marks import Marks


class WaitingPrompts:
    """Keeps prompts until their image is chosen again."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[Image, Marks]] = {}

    @property
    def images(self) -> tuple[Image, ...]:
        """The images with prompts that wait, in the order in which they were left."""
        return tuple(image for image, _ in self._of.values())

    def keep(self, image: Image, marks: Marks) -> None:
        """Keep the prompts of an image that is left."""
        if marks:
            self._of[image.unique_id] = image, marks

    def take(self, image: Image) -> Marks:
        """Return the prompts that wait for an image, which wait no more; none if there are none."""
        return self._of.pop(image.unique_id, (image, Marks()))[1]
