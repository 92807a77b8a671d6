"""Embeddings that are left and gone on with."""

from types import SimpleNamespace

import pytest

from napari_segany.engine.progress import Progress, drain
from napari_segany.widgets.half_done import Begun


class Work:
    """Two steps; counts how often it was begun."""

    def __init__(self):
        self.begun, self.kept, self.failure = 0, [], None

    def steps(self):
        self.begun += 1
        yield Progress(1, 2)
        if self.failure is not None:
            raise self.failure
        yield Progress(2, 2)
        return SimpleNamespace(nbytes=7)


@pytest.fixture
def work():
    return Work()


def test_what_was_left_is_gone_on_with(work):
    begun = Begun()
    first = begun.take_up("a", work.steps, work.kept.append).steps()
    assert next(first) == Progress(1, 2)
    first.close()
    again = begun.take_up("a", work.steps, work.kept.append)
    assert list(again.steps()) == [Progress(2, 2)]
    assert again.is_over
    assert again.nbytes == 7
    assert (work.begun, len(work.kept)) == (1, 1)


def test_what_is_over_is_begun_anew(work):
    begun = Begun()
    drain(begun.take_up("a", work.steps).steps())
    drain(begun.take_up("a", work.steps).steps())
    assert work.begun == 2


def test_what_has_failed_is_begun_anew(work):
    begun = Begun()
    work.failure = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        drain(begun.take_up("a", work.steps).steps())
    work.failure = None
    drain(begun.take_up("a", work.steps).steps())
    assert work.begun == 2


@pytest.mark.parametrize(("room", "first_is_kept"), [(1, False), (2, True)])
def test_only_the_last_ones_are_kept(work, room, first_is_kept):
    begun = Begun(room)
    first = begun.take_up("a", work.steps)
    begun.take_up("b", work.steps)
    assert (begun.take_up("a", work.steps) is first) == first_is_kept
    begun.drop()
    assert begun.take_up("a", work.steps) is not first


def test_what_is_over_is_let_go_of(work):
    begun = Begun()
    drain(begun.take_up("a", work.steps).steps())
    begun.tidy()
    assert begun._held == ()
