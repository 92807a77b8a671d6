"""Images on the workers of a cluster; one of two is killed in the middle."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.model_source import LoadedModel, NamedModel
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.model import save_sam

distributed = pytest.importorskip("distributed")
module = pytest.importorskip("napari_segany.engine.batch.cluster")
Cluster = module.Cluster

IMAGES = 12
SETTINGS = BatchSettings(
    ("labels", "coco"),
    AutomaticSettings(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None),
)


@pytest.fixture(scope="module")
def weights(predictor, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_sam(predictor.sam, path, dtype=None)
    return path


@pytest.fixture
def inputs(tmp_path) -> Path:
    """Pictures whose first pixel is their number."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (64, 64), np.uint8)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def watched_model(weights: Path, log: Path) -> NamedModel:
    """A model that writes down, wherever it is, when it is loaded and which image it begins and ends."""

    class Watched(NamedModel):  # local, so that it travels to the workers as it is
        def load(self) -> Predictor:
            note(f"load {os.getpid()}")
            predictor = super().load()
            encode_steps = predictor.encode_steps

            def steps(image, **options):
                note(f"begin {os.getpid()} {image[0, 0]}")
                embedding = yield from encode_steps(image, **options)
                time.sleep(0.2)  # long enough to be killed within
                note(f"end {os.getpid()} {image[0, 0]}")
                return embedding

            predictor.encode_steps = steps
            return predictor

    def note(line: str) -> None:
        with log.open("a") as file:
            file.write(line + "\n")

    return Watched(str(weights), "cpu")


def events(log: Path) -> list[tuple[str, int, int]]:
    """What, in which process, and with which image (-1 for none)."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [(words[0], int(words[1]), int(words[2]) if len(words) > 2 else -1) for words in lines]


def kill_one_at_work(log: Path) -> tuple[int, int] | None:
    """Kill a worker within an image, if one is; return its process and the image."""
    seen = events(log)
    for what, process, image in reversed(seen):
        if what == "begin" and ("end", process, image) not in seen:
            os.kill(process, signal.SIGKILL)
            return process, image
    return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
def test_a_worker_dies_and_every_image_is_done_once(inputs, weights, tmp_path):
    log = tmp_path / "log.txt"
    steps = batch_steps(
        find_images([inputs]), tmp_path / "out", watched_model(weights, log), SETTINGS, workers=Cluster(workers=2)
    )
    killed = None

    def watch(progress):
        nonlocal killed
        if killed is None and progress.done >= 3:
            killed = kill_one_at_work(log)

    result = drain(steps, watch)
    assert killed is not None
    assert result.failed == ()
    seen = events(log)
    ended = sorted(image for what, _, image in seen if what == "end")
    assert ended == list(range(IMAGES))
    begun = sorted(image for what, _, image in seen if what == "begin")
    assert begun == sorted([*range(IMAGES), killed[1]])
    assert ("begin", *killed) in seen
    assert ("end", *killed) not in seen
    loads = [process for what, process, _ in seen if what == "load"]
    assert len(loads) == len(set(loads)) >= 2
    drain(batch_steps(find_images([inputs]), tmp_path / "alone", NamedModel(weights, "cpu"), SETTINGS))
    assert tree(tmp_path / "out") == tree(tmp_path / "alone")


def test_closing_takes_back_what_was_not_begun_and_leaves_the_cluster(inputs, weights, tmp_path):
    log = tmp_path / "log.txt"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        steps = batch_steps(
            find_images([inputs]),
            tmp_path / "out",
            watched_model(weights, log),
            SETTINGS,
            workers=Cluster(cluster.scheduler_address),
        )
        for progress in steps:
            if progress.done == 2:
                break
        steps.close()
        with distributed.Client(cluster) as client:
            assert client.submit(sum, [1, 2]).result(timeout=60) == 3
    assert len([event for event in events(log) if event[0] == "begin"]) < IMAGES
    assert not (tmp_path / "out/report.csv").exists()


def test_no_scheduler_answers(inputs, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CONNECT_SECONDS", 0.2)
    steps = batch_steps(
        find_images([inputs]), tmp_path / "out", NamedModel(weights), SETTINGS, workers=Cluster("tcp://127.0.0.1:9")
    )
    with pytest.raises(module.ClusterError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        drain(steps)


def test_a_loaded_model_is_refused(inputs, predictor, tmp_path):
    steps = batch_steps(find_images([inputs]), tmp_path, LoadedModel(predictor), SETTINGS, workers=Cluster())
    with pytest.raises(ValueError, match="NamedModel"):
        drain(steps)


def test_a_cluster_without_workers_is_refused(inputs, weights, tmp_path):
    steps = batch_steps(find_images([inputs]), tmp_path, NamedModel(weights), SETTINGS, workers=Cluster(workers=0))
    with pytest.raises(ValueError, match="at least 1"):
        drain(steps)
