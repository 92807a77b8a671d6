"""Whether a folder that `segany embed` made holds an image as it is shown, and, where it does not, why.

An embedding is found only with the contrast limits and the model that it was made with. Without a word about that, an
image that was prepared for hours would be encoded again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.cache import Encoder, key_steps
from napari_segany.engine.cache_disk import DiskCache
from napari_segany.engine.cache_key import CacheKey, Limits
from napari_segany.engine.cache_manifest import ManifestRecord, read_manifest
from napari_segany.engine.precision_names import FLOAT32, digest_in
from napari_segany.engine.progress import Progress, Steps, relabelled
from napari_segany.engine.tiled_embedding import image_limits
from napari_segany.engine.tiling import TilePlan, Window, model_side, tile_plan
from napari_segany.formats.lazy_image import LazyImage


@dataclass(frozen=True)
class Preparation:
    """What a folder of prepared embeddings holds of an image.

    Attributes
    ----------
    fits : bool
        Whether it holds the image with these contrast limits and for this model.
    others : tuple of ManifestRecord
        What it holds of the same pixels otherwise; nothing where it fits.
    key : CacheKey or None
        What was looked for; None where that is not known.
    """

    fits: bool
    others: tuple[ManifestRecord, ...] = ()
    key: CacheKey | None = None

    @property
    def other_limits(self) -> tuple[Limits, ...]:
        """The contrast limits with which the image was prepared for this model."""
        if self.key is None:
            return ()
        model = digest_in(self.key.model, FLOAT32)  # another precision is no other model
        found = {record.contrast_limits for record in self.others if digest_in(record.model_digest, FLOAT32) == model}
        return tuple(sorted(found))

    @property
    def reason(self) -> str:
        """Why nothing is found, as a sentence for the user; "" where it fits."""
        if self.fits or self.key is None:
            return ""
        made = " or ".join(_words(limits) for limits in self.other_limits)
        if made:
            here = _words(self.key.contrast_limits)
            return f"The image was prepared with the contrast limits {made}; here they are {here}."
        models = " or ".join(sorted({record.model for record in self.others}))
        if models:
            return f"The image was prepared for the model {models}, not with the weights that are loaded here."
        return "The folder of prepared embeddings holds nothing of this image."


@dataclass(frozen=True)
class StackPreparation:
    """What a folder of prepared embeddings holds of a stack, or of an image as a stack of one slice.

    Attributes
    ----------
    keys : tuple of CacheKey
        What was looked for, for each slice.
    missing : int
        How many slices the folder does not hold with these contrast limits and for this model.
    first : Preparation
        What it holds of the first of those otherwise; one that fits where none is missing.
    """

    keys: tuple[CacheKey, ...]
    missing: int
    first: Preparation

    @classmethod
    def of_image(cls, found: Preparation) -> StackPreparation:
        """Return what a folder holds of an image."""
        return cls(() if found.key is None else (found.key,), int(not found.fits), found)


def preparation(prepared: DiskCache, key: CacheKey, precisions: Sequence[str] = ()) -> Preparation:
    """Look an embedding up in a folder that `segany embed` made, and what was made of the same pixels besides.

    Parameters
    ----------
    prepared : DiskCache
        The folder.
    key : CacheKey
        What is looked for.
    precisions : sequence of str
        In which it serves besides that of the key.
    """
    if _is_there(prepared, key, precisions):
        return Preparation(True, key=key)
    return Preparation(False, _of_the_same_pixels(prepared, key), key)


def stack_preparation(
    prepared: DiskCache, keys: Sequence[CacheKey], precisions: Sequence[str] = (), limits: Limits | None = None
) -> StackPreparation:
    """Look the slices of a stack up in a folder that `segany embed` made.

    Parameters
    ----------
    prepared : DiskCache
        The folder.
    keys : sequence of CacheKey
        What is looked for, for each slice.
    precisions : sequence of str
        In which it serves besides those of the keys.
    limits : (float, float), optional
        Contrast limits other than those of the keys: no pixel is read again.
    """
    wanted = tuple(keys if limits is None else (replace(key, contrast_limits=limits) for key in keys))
    missing = [key for key in wanted if not _is_there(prepared, key, precisions)]
    # The manifest is read for one of them.
    first = preparation(prepared, missing[0]) if missing else Preparation(True)
    return StackPreparation(wanted, len(missing), first)


def image_preparation_steps(
    prepared: DiskCache, encoder: Encoder, image: NDArray[np.generic] | LazyImage, limits: Limits | None = None
) -> Steps[Preparation]:
    """Tell whether an image is in a folder that `segany embed` made; of a `LazyImage` see `window_preparation_steps`.

    Parameters
    ----------
    prepared : DiskCache
        The folder.
    encoder : Encoder
        The model.
    image : numpy.ndarray or LazyImage
        (H, W) or (H, W, 3); a `LazyImage` is looked for in windows.
    limits : (float, float), optional
        Intensities that become black and white; by default those that the engine chooses.

    Yields
    ------
    Progress
        Rows that are hashed.
    """
    if isinstance(image, LazyImage):
        plan = tile_plan(image.shape, model_side(encoder))
        limits = image_limits(image) if limits is None else limits
        return (yield from window_preparation_steps(prepared, encoder, image, plan, limits))
    key, _ = yield from key_steps(encoder, image, limits)
    return preparation(prepared, key, encoder.accepted_precisions)


def stack_preparation_steps(
    prepared: DiskCache, encoder: Encoder, stack: NDArray[np.generic], limits: Limits | None
) -> Steps[StackPreparation]:
    """Tell how many slices of a stack are in a folder that `segany embed` made.

    Parameters
    ----------
    prepared : DiskCache
        The folder.
    encoder : Encoder
        The model.
    stack : numpy.ndarray
        (Z, H, W) or (Z, H, W, 3).
    limits : (float, float) or None
        Intensities that become black and white on all slices.

    Yields
    ------
    Progress
        Slices.
    """
    keys = []
    for number, pixels in enumerate(stack):
        label = partial(_slice_progress, number, len(stack))
        key, _ = yield from relabelled(key_steps(encoder, pixels, limits), label)
        keys.append(key)
    return stack_preparation(prepared, keys, encoder.accepted_precisions)


def window_preparation_steps(
    prepared: DiskCache, encoder: Encoder, image: LazyImage, plan: TilePlan, limits: Limits
) -> Steps[Preparation]:
    """Tell whether the windows of a large image are in a folder that `segany embed` made; two of them are read.

    Where one cannot be read it is not known, and the folder is looked into for each window as it is needed.

    Parameters
    ----------
    prepared : DiskCache
        The folder.
    encoder : Encoder
        The model.
    image : LazyImage
        The image.
    plan : TilePlan
        Its windows.
    limits : (float, float)
        Intensities that become black and white.

    Yields
    ------
    Progress
        Rows that are hashed.
    """
    found: list[Preparation] = []
    for window in _looked_for(plan):
        try:
            pixels = image.read(window.box, window.factor)
        except (OSError, ValueError):
            return Preparation(True)
        key, _ = yield from key_steps(encoder, pixels, limits)
        one = preparation(prepared, key, encoder.accepted_precisions)
        if one.fits:
            return one
        # Windows without anything in them are the same in every image: what else was made of them tells nothing.
        is_blank = bool((pixels == pixels[0, 0]).all())
        found.append(replace(one, others=()) if is_blank else one)
    return max(found, key=lambda one: len(one.others))


def _is_there(prepared: DiskCache, key: CacheKey, precisions: Sequence[str]) -> bool:
    return any(prepared.path(one).is_file() for one in (key, *map(key.in_precision, precisions)))


def _looked_for(plan: TilePlan) -> Iterator[Window]:
    """Return a window in the middle, where slides have something to see, and the one that is made first."""
    rows, cols = plan.grid_shape(plan.first_level)
    places = dict.fromkeys([(rows // 2, cols // 2), (0, 0)])
    return (plan.window(plan.first_level, *place) for place in places)


def _of_the_same_pixels(prepared: DiskCache, key: CacheKey) -> tuple[ManifestRecord, ...]:
    try:
        records = read_manifest(prepared.folder)
    except (OSError, ValueError):  # embeddings are found without it
        return ()
    return tuple(
        record
        for record in records
        if prepared.path(replace(key, contrast_limits=record.contrast_limits, model=record.model_digest)).name
        == record.file
    )


def _slice_progress(number: int, count: int, step: Progress) -> Progress:
    return Progress(number, count, "Looking for prepared embeddings")


def _words(limits: Limits) -> str:
    low, high = limits
    return f"{low:.8g} to {high:.8g}"
