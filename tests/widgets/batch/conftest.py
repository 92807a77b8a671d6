"""Batches over drawn discs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as Picture
from tests.widgets.batch.scene import LOOSE, ONE, SHAPE, TWO, Maker

from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.progress_runner import SynchronousRunner


@pytest.fixture
def finder(discs):
    return discs.DiscFinder()


@pytest.fixture
def maker(finder):
    return Maker(finder)


@pytest.fixture
def session(viewer, maker, tmp_path) -> BatchSession:
    session = BatchSession(viewer, SynchronousRunner(), maker)
    session.change(**LOOSE)
    session.choose_output(tmp_path / "out")
    return session


@pytest.fixture
def slow(viewer, maker, by_hand, tmp_path) -> BatchSession:
    """A session whose work goes on when the runner `by_hand` says so."""
    session = BatchSession(viewer, by_hand, maker)
    session.change(**LOOSE)
    session.choose_output(tmp_path / "out")
    return session


@pytest.fixture
def folder(tmp_path, discs) -> Path:
    """Two pictures, of one disc and of two."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, found in (("one", ONE), ("two", TWO)):
        Picture.fromarray(discs.disc_image(SHAPE, found)).save(folder / f"{name}.png")
    return folder
