from __future__ import annotations

import pytest

from napari_segany.engine.progress import Progress
from napari_segany.widgets.progress_runner import SynchronousRunner


def work(error=None):
    yield Progress(1, 2)
    if error is not None:
        raise error
    return "result"


def test_everything_has_happened_when_start_returns():
    done, failed, progress = [], [], []
    task = SynchronousRunner().start("Work", work(), done=done.append, failed=failed.append, report=progress.append)
    assert (done, failed, progress) == (["result"], [], [Progress(1, 2)])
    task.cancel()


def test_errors_arrive_at_failed():
    done, failed = [], []
    error = ValueError("wrong")
    SynchronousRunner().start("Work", work(error), done=done.append, failed=failed.append)
    assert (done, failed) == ([], [error])


def test_an_error_of_the_callback_is_the_callers():
    def fail(result):
        raise KeyError(result)

    failed = []
    with pytest.raises(KeyError):
        SynchronousRunner().start("Work", work(), done=fail, failed=failed.append)
    assert failed == []
