"""Tiles on the workers of a cluster; one of two is killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.model_source import LoadedModel, NamedModel
from napari_segany.engine.large.job import ImageAtHand, ImageAtPath, Place
from napari_segany.engine.large.run import large_steps
from napari_segany.engine.progress import drain
from napari_segany.engine.tiling import TilingSettings
from napari_segany.formats.lazy_image import lazy_image
from napari_segany.model import save_sam

distributed = pytest.importorskip("distributed")
batch_cluster = pytest.importorskip("napari_segany.engine.batch.cluster")
large_cluster = pytest.importorskip("napari_segany.engine.large.cluster")

SETTINGS = AutomaticSettings(
    points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None
)
TILING = TilingSettings(side=64)


def tree(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def watched(weights: Path, log: Path) -> NamedModel:
    class Watched(NamedModel):  # local, so that it travels to the workers as it is
        def load(self):
            predictor = super().load()
            encode_steps = predictor.encode_steps

            def steps(image, **options):
                with log.open("a") as file:
                    file.write(f"{os.getpid()}\n")
                time.sleep(0.15)  # long enough to be killed within
                return (yield from encode_steps(image, **options))

            predictor.encode_steps = steps
            return predictor

    return Watched(str(weights), "cpu")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
def test_a_worker_dies_and_nothing_is_lost(predictor, tmp_path):
    weights, log, path = tmp_path / "small.safetensors", tmp_path / "log", tmp_path / "big.tif"
    save_sam(predictor.sam, weights, dtype=None)
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 256, (160, 160), np.uint8))
    image = ImageAtPath(path, "big.tif")
    workers = large_cluster.TileCluster(batch_cluster.Cluster(workers=2))
    killed = []

    def watch(progress):
        if not killed and progress.done >= 3:
            killed.append(int(log.read_text().split()[-1]))
            os.kill(killed[0], signal.SIGKILL)

    model = watched(weights, log)
    steps = large_steps(image, "big", tmp_path / "out", model, SETTINGS, tiling=TILING, workers=workers)
    result = drain(steps, watch)
    assert killed
    assert result.failed == ()
    drain(large_steps(image, "big", tmp_path / "alone", NamedModel(str(weights), "cpu"), SETTINGS, tiling=TILING))
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")


def test_what_only_this_process_has_is_refused(predictor, tmp_path):
    workers = large_cluster.TileCluster(batch_cluster.Cluster(workers=1))
    image = ImageAtHand(lazy_image(np.zeros((90, 90), np.uint8)))
    for model, word in ((LoadedModel(predictor), "NamedModel"), (NamedModel("light", "cpu"), "ImageAtPath")):
        steps = large_steps(image, "big", tmp_path, model, SETTINGS, tiling=TILING, workers=workers)
        with pytest.raises(ValueError, match=word):
            drain(steps)


class Ended:
    """What a cluster gives back of a tile that ended with an error."""

    status = "error"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def cancelled(self):
        return False

    def exception(self):
        return self._error

    def result(self):
        raise self._error


@pytest.mark.parametrize("error", [RuntimeError("an error\nof torch"), MemoryError("an error of torch")])
def test_a_tile_that_failed_on_a_worker_is_one_that_failed(error):
    result = large_cluster._result(Ended(error), Place(0, 1, 2))
    assert result.error == f"tile {Place(0, 1, 2).name}: an error of torch"


def test_what_no_tile_can_do_about_ends_the_run():
    with pytest.raises(FileNotFoundError):
        large_cluster._result(Ended(FileNotFoundError("the weights are not here")), Place(0, 1, 2))
