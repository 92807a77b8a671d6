"""Which windows of a large image are worth having before anybody clicks. Numbers only: encodes and reads nothing."""

from __future__ import annotations

from napari_segany.engine.tiled_embedding import TiledEmbedding
from napari_segany.engine.tiling import WHOLE_PIXELS, Extent, Window


def windows_ahead(embedding: TiledEmbedding, view: Extent | None) -> list[Window]:
    """Return the windows to encode while nothing else is to do, the most wanted first.

    Those around the last answer as long as they need not push others out of memory, then those in view.

    Parameters
    ----------
    embedding : TiledEmbedding
        What is there.
    view : (float, float, float, float) or None
        What is seen, (row_min, col_min, row_max, col_max) in pixels of the image.
    """
    room, answered = embedding.room, embedding.answered
    has_room = room is None or len(embedding.ready) < room
    around = windows_around(embedding, answered, view) if answered is not None and has_room else []
    return [*around, *(() if view is None else windows_in_view(embedding, view))]


def windows_in_view(embedding: TiledEmbedding, view: Extent) -> list[Window]:
    """Return the windows of the grid from which a click in a view is answered and that are not there yet.

    They are of the level at which such a click is asked, the nearest to the middle of the view first. There are none
    where one takes more pixels to read than an image may have that is worked on as a whole: a view of a huge image
    without coarser levels. Of a view that needs more windows than there is memory for, those around its middle count,
    or they would push each other out for ever.
    """
    plan = embedding.plan
    level = plan.level_for_view(max(view[2] - view[0], view[3] - view[1]))
    if (plan.side * embedding.image.pixels_read(1 << level)) ** 2 > WHOLE_PIXELS:
        return []
    ready = embedding.ready
    return [window for window in plan.in_view(view, level)[: embedding.room] if window not in ready]


def windows_around(embedding: TiledEmbedding, window: Window, view: Extent | None = None) -> list[Window]:
    """Return the windows of the grid around a window that are not there yet, those in view first, then near ones.

    Parameters
    ----------
    embedding : TiledEmbedding
        What is there.
    window : Window
        Where the user is at work.
    view : (float, float, float, float), optional
        What is seen, as in `windows_ahead`.
    """
    top, left, bottom, right = window.image_box
    middle = ((top + bottom) / 2, (left + right) / 2)
    ready, found = embedding.ready, []
    for other in embedding.plan.around((*middle, *middle), window.level):
        box = other.image_box
        away = max(abs((box[axis] + box[axis + 2]) / 2 - middle[axis]) for axis in range(2))
        if other == window or other in ready or away < embedding.plan.overlap * window.factor / 2:
            continue  # what is nearly the window itself shows nothing new
        seen = view is not None and all(
            box[axis] < view[axis + 2] and view[axis] < box[axis + 2] for axis in range(2)
        )
        found.append((not seen, away, other))
    return [other for _, _, other in sorted(found)]
