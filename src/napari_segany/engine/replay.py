"""The objects of a saved session made again: the same questions to the same model, the same choices. No napari.

What the model answered is answered again; what people painted is written as it was. The labels that were saved serve
to check the result, never to make it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segany.engine.image import checked_image
from napari_segany.engine.progress import Progress, Steps, drain, relabelled
from napari_segany.engine.replay_player import LoadPredictor, Player, put_planes
from napari_segany.formats.geo_session import SavedBands
from napari_segany.formats.image_file import read_array
from napari_segany.formats.sample_images import sample_image
from napari_segany.formats.session_derived import SavedDerived
from napari_segany.formats.session_file import SavedSession
from napari_segany.formats.session_steps import PlaneMasks, SavedPixels, slicer_of

SAMPLE_KEY = "sample"
"""Key of a saved session's image: which of the sample images it is; None for others."""

RASTER_KEY = "raster"
"""Key of a saved session's image: the raster with a place on Earth that it shows bands of, as `SavedBands`."""


@dataclass(frozen=True)
class Replay:
    """A session made again.

    Attributes
    ----------
    labels : numpy.ndarray
        The objects, of the image's shape without colours; uint16, or uint32 where there are more.
    differing : int
        In how many pixels the labels are others than those that the session saved.
    answers : int
        How many answers of the model were asked for again.
    notes : tuple of str
        What was found to be otherwise than when the session was saved, a sentence each.
    """

    labels: NDArray[Any]
    differing: int
    answers: int
    notes: tuple[str, ...] = ()


def session_image(saved: SavedSession, path: Path | None = None) -> NDArray[np.generic]:
    """Read the image of a session and check that it is the one that was worked on.

    Parameters
    ----------
    saved : SavedSession
        The session.
    path : Path, optional
        Where the image is now; the session's own path where not given.

    Raises
    ------
    OSError
        For a file that is missing or cannot be read.
    ValueError
        For a session without the image's file, a file that is damaged, or another image.
    """
    known, name, raster = saved.image.get("path"), saved.image.get("name"), _raster_file(saved)
    if path is None and raster:
        raise ValueError(
            f"the image {name!r} shows bands of the raster {raster}: open that with these bands in napari, choose "
            "the image, and open the session again"
        )
    sample = saved.image.get(SAMPLE_KEY)
    if path is None and not known and sample:
        image = sample_image(str(sample))
        check_image(saved, image, f"the sample image {sample}")
        return image
    if path is None and not known:
        raise ValueError(
            f"the image {name!r} is in no file: save its layer as TIFF or .npy (Save image ... in the dock's part "
            "Session, or File > Save Selected Layers) and give that (--image)"
        )
    path = Path(str(known)) if path is None else path
    if not path.exists():
        raise FileNotFoundError(
            2, "the image of the session is not there any more; say where it is (--image)", str(path)
        )
    image = read_array(path)
    check_image(saved, image, path.name)
    return image


def saved_bands(saved: SavedSession) -> SavedBands | None:
    """Return what a session shows of a raster; None for other images, and where an earlier version has saved it.

    Raises
    ------
    ValueError
        For damaged values.
    """
    raster = saved.image.get(RASTER_KEY)
    return SavedBands.from_dict(raster) if isinstance(raster, Mapping) else None


def _raster_file(saved: SavedSession) -> str:
    """Return the file of the raster that a session shows bands of; an empty string for other images."""
    raster = saved.image.get(RASTER_KEY)
    return str(raster.get("path", "") if isinstance(raster, Mapping) else raster or "")


def asks_a_model(saved: SavedSession) -> bool:
    """Tell whether a model is asked for any of the accepted objects; others are kept as pixels.

    That is so of rasters on Earth, and of images that were worked on in windows.
    """
    return saved.log is None or any(step.asks for step in saved.log.steps)


def replay_image(saved: SavedSession, path: Path | None = None) -> NDArray[np.generic]:
    """Return what `replay_steps` is to be given: the image, or one of its shape alone where nothing is asked of it.

    Parameters and errors are those of `session_image`.
    """
    raster, shape = saved.image.get(RASTER_KEY), saved.image.get("shape")
    if (
        asks_a_model(saved)
        or not (raster or (path is None and not saved.image.get("path")))
        or not isinstance(shape, list)
    ):
        return session_image(saved, path)
    if path is not None:
        raise ValueError(f"the objects of the raster {raster} are kept as pixels: leave out the image (--image)")
    return np.broadcast_to(np.zeros((), np.uint8), tuple(int(side) for side in shape))


def check_image(saved: SavedSession, image: Any, name: str) -> None:
    """Refuse an image that is not the one of the session: of another shape, type, or with other pixels.

    Only planes that were worked on are compared.

    Raises
    ------
    ValueError
        For another image.
    """
    expected, found = (
        (list(saved.image.get("shape", ())), saved.image.get("dtype")),
        (list(image.shape), str(image.dtype)),
    )
    if expected != found:
        raise ValueError(
            f"{name} is not the image of the session: it has the shape {tuple(found[0])} and the type {found[1]}, "
            f"that one had {tuple(expected[0])} and {expected[1]}"
        )
    for plane in _planes(saved):
        if image_digest(np.asarray(image[plane.slicer])) != plane.digest:
            where = f" (plane {', '.join(str(place) for place in plane.index)})" if plane.index else ""
            raise ValueError(f"{name} has changed since the session was saved{where}: give the image as it was")


def image_digest(image: NDArray[np.generic]) -> str:
    """Return a digest of an image's shape, type and pixels: (H, W), (H, W, 3) or (H, W, 4)."""
    from napari_segany.engine.cache_key import image_digest_steps

    return drain(image_digest_steps(checked_image(image)))


def replay_steps(saved: SavedSession, image: Any, load: LoadPredictor) -> Steps[Replay]:
    """Make the objects of a session again.

    Parameters
    ----------
    saved : SavedSession
        A session with a log.
    image : array
        The image, as `session_image` returns it.
    load : callable
        Makes the predictor of an answer.

    Yields
    ------
    Progress
        Steps of the session.

    Returns
    -------
    Replay
        The labels, and how they compare with those that were saved.

    Raises
    ------
    ValueError
        For a session without a log, one that does not fit its image, or a model that is not to be had.
    """
    if saved.log is None:
        raise ValueError("the session was saved by an earlier version, without how its objects came about")
    shape = tuple(int(side) for side in image.shape[: int(saved.image.get("ndim", image.ndim))])
    labels = np.zeros(shape, np.uint32 if max(saved.objects, default=0) > np.iinfo(np.uint16).max else np.uint16)
    put_planes(labels, saved.log.start)
    player = Player(image, load)
    for number, step in enumerate(saved.log.steps):
        yield Progress(number, len(saved.log.steps), "Replaying the session")
        if isinstance(step, SavedPixels) or (isinstance(step, SavedDerived) and not step.asks):
            put_planes(labels, step.planes)
        else:
            yield from relabelled(player.play_steps(step, labels), partial(_within, number, len(saved.log.steps)))
    yield Progress(len(saved.log.steps), len(saved.log.steps), "Replaying the session")
    differing = _differing(labels, saved.planes)
    return Replay(labels, differing, len(saved.log.answers), tuple(player.notes))


def _within(number: int, total: int, progress: Progress) -> Progress:
    return Progress(number, total, progress.note)


def _differing(labels: NDArray[Any], planes: PlaneMasks) -> int:
    """Return in how many pixels labels are others than the masks by plane."""
    count = 0
    for index in np.ndindex(*labels.shape[:-2]):
        expected = np.zeros(labels.shape[-2:], labels.dtype)
        for label, mask in planes.get(index, {}).items():
            expected[mask.decode()] = label
        count += int(np.count_nonzero(labels[index] != expected))
    return count


@dataclass(frozen=True)
class _Plane:
    axes: tuple[int, ...]
    index: tuple[int, ...]
    digest: str

    @property
    def slicer(self) -> tuple[int | slice, ...]:
        return slicer_of(self.axes, self.index)


def _planes(saved: SavedSession) -> Iterator[_Plane]:
    for values in saved.image.get("planes") or ():
        if not isinstance(values, Mapping):
            raise ValueError("the session does not say which planes it is about")
        yield _Plane(tuple(values["axes"]), tuple(values["index"]), str(values["digest"]))
