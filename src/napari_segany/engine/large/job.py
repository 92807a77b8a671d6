"""What is wanted of a large image, as values that can be sent to another process. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.digests import new_hasher
from napari_segany.engine.tiling import TilePlan, TilingSettings, Window, tile_plan
from napari_segany.formats.lazy_files import open_lazy
from napari_segany.formats.lazy_image import LazyImage
from napari_segany.formats.painting import PaintingRule
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size
from napari_segany.formats.plane_choice import PlaneChoice

_RECIPE = 1  # to be raised by whoever changes what the same question is answered, or how it is kept


class ImageOnDemand(Protocol):
    """A large image that can be opened where it is needed."""

    @property
    def shown(self) -> str:
        """What to call it."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """How large a pixel is; None where that is not known."""

    def open(self) -> LazyImage:
        """Open it; OSError or ValueError where that fails."""

    def valid(self, window: Window) -> NDArray[np.bool_] | None:
        """Return (rows, cols) bool of a window, False where there are no data; None where there are everywhere."""


@dataclass(frozen=True)
class ImageAtPath:
    """A file or a zarr; a worker of a cluster opens it under the same path.

    Attributes
    ----------
    path : pathlib.Path
        Where it is.
    shown : str
        The path as it was given.
    plane : PlaneChoice, optional
        Which plane of a stack.
    """

    path: Path
    shown: str
    plane: PlaneChoice | None = None

    @property
    def pixel_size(self) -> PixelSize | None:
        """What the file tells."""
        return read_pixel_size(self.path)

    def open(self) -> LazyImage:
        """Open it."""
        return open_lazy(self.path, self.plane)

    def valid(self, window: Window) -> None:
        """Return None: nothing tells of pixels without data."""


@dataclass(frozen=True, eq=False)
class ImageAtHand:
    """An image that is open already: an array, dask, a layer of a viewer.

    Attributes
    ----------
    image : LazyImage
        The image.
    shown : str
        What to call it.
    pixel_size : PixelSize or None
        How large a pixel is, where it is known.
    """

    image: LazyImage
    shown: str = "image"
    pixel_size: PixelSize | None = None

    def open(self) -> LazyImage:
        """Return it."""
        return self.image

    def valid(self, window: Window) -> None:
        """Return None: nothing tells of pixels without data."""


@dataclass(frozen=True, order=True)
class Place:
    """A tile of the plan by its level, row and column."""

    level: int
    row: int
    col: int

    @property
    def name(self) -> str:
        """What its file is called."""
        return f"{self.level}-{self.row:05d}-{self.col:05d}"


@dataclass(frozen=True)
class LargeJob:
    """All that the tiles of one image have in common.

    Attributes
    ----------
    folder : pathlib.Path
        Where the tiles are kept.
    image : ImageOnDemand
        The image.
    plan : TilePlan
        How it is cut.
    settings : AutomaticSettings
        How each tile is asked; without layers of crops, for the levels take their part.
    contrast_limits : tuple of float
        Intensities that become black and white in all tiles.
    model_digest : str
        What tells the weights from others.
    painting : str
        Which mask shows where several overlap.
    """

    folder: Path
    image: ImageOnDemand
    plan: TilePlan
    settings: AutomaticSettings
    contrast_limits: tuple[float, float]
    model_digest: str
    painting: PaintingRule = "smaller"

    def places(self) -> Iterator[Place]:
        """Return all tiles, finest level first, row by row."""
        for level in self.plan.levels:
            for row, col, _ in self.plan.windows(level):
                yield Place(level, row, col)

    def window(self, place: Place) -> Window:
        """Return the window of a tile."""
        return self.plan.window(place.level, place.row, place.col)

    def path(self, place: Place) -> Path:
        """Return where the masks of a tile are kept."""
        return self.folder / f"{place.level}" / f"{place.row:05d}" / f"{place.name}.npz"

    def key(self, place: Place, pixels: NDArray[np.generic], valid: NDArray[np.bool_] | None = None) -> str:
        """Return what is the same for the same masks: of the same pixels, place, model and settings."""
        question = asdict(self.settings)
        del question["points_per_batch"]  # it changes the speed, not the masks
        window, shape = self.window(place), self.plan.image_shape
        facts = [_RECIPE, question, self.contrast_limits, self.model_digest, window.level, window.box, shape]
        return _pixel_digest([facts, self.plan.side], pixels, valid)

    def content(self, pixels: NDArray[np.generic], valid: NDArray[np.bool_] | None = None) -> str:
        """Return what is the same for the same pixels of a tile, whatever they are asked."""
        return _pixel_digest([], pixels, valid)

    def settings_in(self, window: Window) -> AutomaticSettings:
        """Return the settings for a tile: the points of a grid over the whole image, areas in its own pixels.

        The grid is that of the image, not of the tile, so that the same objects are asked wherever tiles begin.
        """
        settings = self.settings
        least = settings.min_mask_region_area // window.factor**2
        if settings.point_grids is None:
            spacing = self.plan.side / settings.points_per_side
            axes = []
            for axis in range(2):
                first, last = window.box[axis] / spacing - 0.5, window.box[axis + 2] / spacing - 0.5
                positions = (np.arange(np.ceil(first), np.ceil(last)) + 0.5) * spacing - window.box[axis]
                axes.append(positions / window.shape[axis])
            points = tuple((float(row), float(col)) for row in axes[0] for col in axes[1])
            settings = replace(settings, point_grids=(points or ((0.5, 0.5),),))
        return replace(settings, min_mask_region_area=least)


def large_job(
    folder: Path,
    image: ImageOnDemand,
    opened: LazyImage,
    *,
    model_side: int,
    model_digest: str,
    contrast_limits: tuple[float, float],
    settings: AutomaticSettings,
    tiling: TilingSettings,
    painting: PaintingRule,
) -> LargeJob:
    """Return the job of an image.

    Layers of crops would look at a tile enlarged; here tiles are that much smaller instead.

    Raises
    ------
    ValueError
        For a painting rule that looks at all masks of the image at once.
    """
    if painting == "separate":
        raise ValueError(
            "the painting rule 'separate' needs all masks of an image at once; for images in tiles choose smaller, "
            "larger or better"
        )
    layers = settings.crop_n_layers
    if layers and settings.point_grids is None:
        fewer = settings.crop_n_points_downscale_factor**layers
        settings = settings.replaced(crop_n_layers=0, points_per_side=max(1, settings.points_per_side // fewer))
        model_side = max(64, model_side >> layers)
    elif layers:
        settings = settings.replaced(crop_n_layers=0, point_grids=settings.point_grids[-1:])  # type: ignore[index]
    plan = tile_plan(opened.shape, model_side, tiling)
    return LargeJob(folder, image, plan, settings, contrast_limits, model_digest, painting)


def _pixel_digest(facts: list[Any], pixels: NDArray[np.generic], valid: NDArray[np.bool_] | None) -> str:
    hasher = new_hasher("xxh128")
    hasher.update(json.dumps([*facts, pixels.shape, pixels.dtype.str], sort_keys=True).encode())
    hasher.update(np.ascontiguousarray(pixels))
    if valid is not None:
        hasher.update(np.packbits(valid))
    digest: str = hasher.hexdigest()
    return digest


def digest_of(*values: Any) -> str:
    """Return 64 hexadecimal digits that stand for plain values."""
    return hashlib.sha256(json.dumps([_RECIPE, *values], sort_keys=True).encode()).hexdigest()
