"""Images with the boundaries that several people drew: BSDS500 as it is published, or packed. Knows no models."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segany.evaluation.data import IMAGE_SUFFIXES, Sample

TRUTH_FOLDERS = ("groundTruth", "gt")
TRUTH_SUFFIXES = (".mat", ".npz")
_DAMAGE = (ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def find_edge_images(folder: Path, count: int | None = None) -> list[Sample]:
    """List images with drawn boundaries by name.

    Parameters
    ----------
    folder : pathlib.Path
        A folder with `images`, and with `groundTruth` or `gt`, whose files pair up by name without suffix.
    count : int, optional
        Take the first so many.

    Raises
    ------
    FileNotFoundError
        If `folder` does not exist.
    ValueError
        If nothing pairs up, or `count` is less than 1.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    if count is not None and count < 1:
        raise ValueError(f"the number of images is {count}; it must be 1 or more")
    truths = {
        path.stem: path
        for name in TRUTH_FOLDERS
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
        if path.suffix in TRUTH_SUFFIXES
    }
    images = sorted((folder / "images").iterdir()) if (folder / "images").is_dir() else []
    samples = [
        Sample(folder.resolve().name, path.stem, path, truths[path.stem])
        for path in images
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stem in truths
    ]
    if not samples:
        raise ValueError(
            f"{folder} has no images/NAME.jpg with groundTruth/NAME.mat (or gt/NAME.npz): nothing to compare with"
        )
    return samples[:count]


def read_boundaries(path: Path) -> NDArray[np.bool_]:
    """Read the boundaries that people drew, (annotators, H, W) bool.

    Parameters
    ----------
    path : pathlib.Path
        BSDS500's `.mat` (a cell `groundTruth` of structures with `Boundaries`), or an `.npz` with `shape`
        (annotators, H, W) and `boundaries`, packed to bits along the rows.

    Raises
    ------
    ValueError
        For a file that is damaged or holds something else.
    OSError
        Where it cannot be read.
    """
    try:
        boundaries = _from_mat(path) if path.suffix == ".mat" else _from_npz(path)
    except _DAMAGE:
        # What numpy and scipy say of it is about their own options.
        raise ValueError(f"{path.name} is damaged, or holds no boundaries as BSDS500 has them") from None
    if boundaries.ndim != 3 or not len(boundaries):
        raise ValueError(f"{path.name} holds boundaries of shape {boundaries.shape}; (annotators, H, W) is needed")
    return boundaries


def _from_mat(path: Path) -> NDArray[np.bool_]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        cells = loadmat(path)["groundTruth"].ravel()
    except (MatReadError, NotImplementedError):  # the latter for MATLAB's own HDF5
        raise ValueError("it is no MAT file up to version 7") from None
    return np.stack([np.asarray(cell["Boundaries"][0, 0], bool) for cell in cells])


def _from_npz(path: Path) -> NDArray[np.bool_]:
    with np.load(path) as values:
        annotators, height, width = (int(number) for number in values["shape"])
        bits = np.unpackbits(values["boundaries"], axis=-1, count=width)
    return bits.reshape(annotators, height, width).astype(bool)
