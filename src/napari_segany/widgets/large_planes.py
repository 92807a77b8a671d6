"""Planes that are too large to be encoded as a whole: read in windows, asked in windows. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_segany.engine.progress import Steps
from napari_segany.engine.tiled_embedding import TiledEmbedding, WindowPredictor
from napari_segany.engine.tiled_prediction import ReadyWindow, Refinement, TiledPrediction
from napari_segany.engine.tiled_prompt import TiledPrompt
from napari_segany.engine.tiling import Window, is_large, shown_window
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.window_mask import WindowMask
from napari_segany.widgets.drafts import Candidate, InWindow, Prompts
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.half_done import Begun
from napari_segany.widgets.layers import full_resolution, read_plane, spatial_shape
from napari_segany.widgets.provenance import Asked
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.thumbnails import thumbnail

if TYPE_CHECKING:  # which brings torch
    from napari_segany.engine.embedding import ImageEmbedding


def plane_reader(image: Image, plane: Plane) -> Callable[[], Any]:
    """Return what reads a plane in the background: its pixels, or of a large one a `LazyImage` of all its levels."""
    if not is_large(plane.shape_in(spatial_shape(image))):
        return partial(read_plane, full_resolution(image), plane)
    levels = tuple(image.data) if image.multiscale else (image.data,)
    return partial(LazyImage, levels, plane.slicer())


def window_embedding_steps(
    begun: Begun, predictor: WindowPredictor, embedding: TiledEmbedding, window: Window
) -> Steps[ImageEmbedding]:
    """Return the embedding of a window; what was begun of it is gone on with, and kept if this is left again."""
    steps = partial(embedding.embedding_steps, predictor, window)
    if window not in embedding.ready:
        yield from begun.take_up((embedding, window), steps).steps()
        begun.tidy()
    return (yield from steps())  # which is there by now


def window_candidate_steps(
    predictor: WindowPredictor,
    embedding: TiledEmbedding,
    prompts: Prompts,
    data: RasterData | None = None,
    viewed: float = 0,
    encode: Callable[[Window], Steps[ImageEmbedding]] | None = None,
    refine: tuple[InWindow, NDArray[np.float32]] | None = None,
) -> Steps[tuple[Candidate, ...]]:
    """Answer prompts on a large plane, encoding what they need of it; best first; nothing where there are no data.

    `viewed` is how much of the plane is seen, in its pixels: what is clicked on is not tiny in it. `encode` makes the
    embedding of a window, where it is not to be made from the beginning. `refine` is where the last answer about the
    same object was found, and the (h, w) logits of the mask that was chosen: they are gone on from in their window,
    unless the prompts leave it, the object does, or the view is closer now and wants a finer one.
    """
    arguments = _marks(prompts)
    level = embedding.plan.level_for_view(viewed)
    if prompts.mask is not None:
        arguments["mask"] = WindowMask.cropped(prompts.mask.mask, (0, 0), embedding.image_shape)
    going_on = _refinement(refine, level)
    answer = yield from embedding.answer_steps(predictor, level=level, encode=encode, refine=going_on, **arguments)
    return _candidates(answer, embedding, data, level)


def window_question(
    embedding: TiledEmbedding,
    prompts: Prompts,
    viewed: float,
    refine: tuple[InWindow, NDArray[np.float32]] | None = None,
) -> tuple[ReadyWindow, dict[str, Any]] | None:
    """Return the window that answers points and a box first, if it is there, and what they are in its pixels.

    None also for prompts with a mask, of which all of the plane would have to be looked through. `viewed` and
    `refine` are those of `window_candidate_steps`.
    """
    if prompts.mask is not None:
        return None
    level = embedding.plan.level_for_view(viewed)
    prompt = TiledPrompt.checked(**_marks(prompts), mask=None, image_shape=embedding.image_shape)
    ready = embedding.ready_window(prompt.extent, level=level, refine=_refinement(refine, level))
    return None if ready is None else (ready, prompt.arguments_in(ready.window, ready.logits))


def _marks(prompts: Prompts) -> dict[str, Any]:
    points, labels = (list(prompts.points), list(prompts.labels)) if prompts.points else (None, None)
    return {"points": points, "labels": labels, "box": prompts.box}


def _refinement(refine: tuple[InWindow, NDArray[np.float32]] | None, level: int) -> Refinement | None:
    if refine is None or level < min(refine[0].level, refine[0].window.level):
        return None
    return Refinement(refine[0].window, refine[1])


def windows_again_steps(
    predictor: WindowPredictor,
    embedding: TiledEmbedding,
    again: Sequence[Asked],
    contrast_limits: tuple[float, float] | None,
    data: RasterData | None = None,
    viewed: float = 0,
    encode: Callable[[TiledEmbedding, Window], Steps[ImageEmbedding]] | None = None,
) -> Steps[tuple[Candidate, ...]]:
    """Ask what an earlier session asked, in its order and windows and with the contrast of that time.

    `embedding` is that of `contrast_limits`; `encode` makes the windows of it and of those with other contrast.

    Raises
    ------
    ValueError
        For a question that was not asked in a window of such a plane, or refines a mask that is not offered.
    """
    answer: TiledPrediction | None = None
    embeddings = {contrast_limits: embedding}
    for one in again:
        if one.window is None:
            raise ValueError("the saved session has not asked in windows")
        arguments = {**one.arguments, "logits": one.refined(None if answer is None else answer.logits)}
        if "mask" in arguments:
            arguments["mask"] = WindowMask.cropped(arguments["mask"], (0, 0), embedding.image_shape)
        limits = one.contrast_limits
        if limits not in embeddings:
            embeddings[limits] = TiledEmbedding(embedding.image, embedding.plan, limits)
        asked = embeddings[limits]
        making = None if encode is None else partial(encode, asked)
        answer = yield from asked.answer_in_steps(predictor, one.window, encode=making, **arguments)
    if answer is None:
        raise ValueError("nothing is to be asked again")
    return _candidates(answer, embedding, data, embedding.plan.level_for_view(viewed))


def _candidates(
    answer: TiledPrediction, embedding: TiledEmbedding, data: RasterData | None, level: int
) -> tuple[Candidate, ...]:
    in_window = InWindow(answer.window, level, answer.is_refined)
    found = []
    for rank, whole in enumerate(answer.masks):
        mask = whole if data is None else data.cut(whole)
        shown = shown_window(mask.box, embedding.image_shape)
        pixels = embedding.image.read(shown.box, shown.factor)
        picture, outline = thumbnail(pixels, mask.window(shown.box, shown.factor), embedding.contrast_limits)
        found.append(
            Candidate(
                mask=mask.full(),
                predicted_iou=float(answer.predicted_iou[rank]),
                stability_score=float(answer.stability_score[rank]),
                logits=np.asarray(answer.logits[rank]),
                thumbnail=picture,
                outline=outline,
                in_window=in_window,
            )
        )
    return tuple(found)
