"""The kept tiles of an image, the ones read last in memory. Knows no model."""

from __future__ import annotations

from collections import OrderedDict

from napari_segany.engine.large.job import LargeJob, Place
from napari_segany.engine.large.tile_masks import TileMasks, read_tile
from napari_segany.engine.tiling import Window

_KEPT = 64


class TileStore:
    """Reads tiles, each once as long as it is used.

    Parameters
    ----------
    job : LargeJob
        Which image.
    """

    def __init__(self, job: LargeJob) -> None:
        self.job = job
        self._kept: OrderedDict[Place, TileMasks] = OrderedDict()

    def window(self, place: Place) -> Window:
        """Return the window of a tile."""
        return self.job.window(place)

    def masks(self, place: Place) -> TileMasks:
        """Return the masks of a tile.

        Raises
        ------
        OSError, ValueError
            Where the tile is missing or damaged.
        """
        if place not in self._kept:
            self._kept[place] = read_tile(self.job.path(place))
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(place)
        return self._kept[place]
