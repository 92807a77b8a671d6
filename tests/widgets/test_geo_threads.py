"""Reference systems in threads that Qt began: pyproj up to 3.7.2 ended the program there at its second use."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pyproj = pytest.importorskip("pyproj")

from qtpy.QtCore import QRunnable, QThreadPool  # noqa: E402

from napari_segany.formats.geo_crs import in_a_python_thread, is_same_crs, metres_per_unit, reprojection  # noqa: E402


class Work(QRunnable):
    def __init__(self, function) -> None:
        super().__init__()
        self.setAutoDelete(False)
        self.function, self.result = function, None

    def run(self) -> None:
        self.result = self.function()


@in_a_python_thread
def where() -> str:
    return threading.current_thread().name


def test_pyproj_never_works_in_a_thread_of_qt(qapp):
    pool = QThreadPool()
    works = [
        Work(where),
        Work(lambda: metres_per_unit("EPSG:2263")),
        Work(lambda: is_same_crs("EPSG:4326", "OGC:CRS84")),
        Work(lambda: reprojection("EPSG:4326", "EPSG:32633")(np.array([[15.0, 0.0]]))[0, 0]),
    ]
    for work in works:
        pool.start(work)
        assert pool.waitForDone(20_000)
    assert not works[0].result.startswith("Dummy-")
    assert works[1].result == pytest.approx(0.3048, rel=1e-4)
    assert works[2].result
    assert works[3].result == pytest.approx(500_000)
    assert where() == threading.main_thread().name
