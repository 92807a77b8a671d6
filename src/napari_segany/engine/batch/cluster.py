"""The images of a batch on the workers of dask.distributed: an existing cluster, or one of this computer's processes.

Needs the extra `distributed`; nothing imports this module before it is asked for. A worker loads the model when its
first image needs it and does one image after the other. An image whose worker dies is given to another one, which
finds on the disk how far it was.
"""

from __future__ import annotations

import queue
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, KilledWorker, LocalCluster, WorkerPlugin, get_worker

from napari_segany.engine.batch.model_source import LazyPredictor, ModelSource, NamedModel
from napari_segany.engine.batch.one_image import ImageResult, image_steps
from napari_segany.engine.batch.run import BatchProgress, progress_of
from napari_segany.engine.batch.settings import BatchJob
from napari_segany.engine.batch.sources import BatchImage
from napari_segany.engine.progress import Progress, Steps, drain

_CONNECT_SECONDS = 5
_LOOK_SECONDS = 0.25  # how long closing may have to wait


class ClusterError(ConnectionError):
    """A cluster that does not answer, or has lost what it was given."""


@dataclass(frozen=True)
class Cluster:
    """Workers of a dask cluster, for `batch_steps`.

    Attributes
    ----------
    address : str or None
        Where the scheduler of an existing cluster answers ("tcp://10.0.0.1:8786"); its workers must see the
        inputs and the folder of the outputs under the same paths. None starts one here and ends it afterwards.
    workers : int or None
        Processes of the cluster that is started here; one for each processor core by default.
    """

    address: str | None = None
    workers: int | None = None

    def steps(
        self, images: Sequence[BatchImage], job: BatchJob, model: ModelSource, results: dict[int, ImageResult]
    ) -> Steps[None]:
        """Do all images; closing the generator takes back what no worker has begun.

        Raises
        ------
        ClusterError
            Where no cluster answers, or it goes away.
        OSError, ValueError
            What a worker met that is no fault of an image: no room for the outputs, weights that are missing. Or a
            model that has no name.
        """
        if not isinstance(model, NamedModel):
            raise ValueError("workers of a cluster load the model themselves; give its name or file (NamedModel)")
        yield progress_of(len(images), results, "", Progress(0, 0, "Connecting to the workers"))
        with self.client() as client:
            yield from _steps(client, images, job, model.portable(), results)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Connect; a cluster that is started here ends with it."""
        if self.address is None:
            if self.workers is not None and self.workers < 1:
                raise ValueError(f"the number of workers is {self.workers}; give at least 1")
            with (
                LocalCluster(
                    n_workers=self.workers, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL"
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        try:
            client = Client(self.address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ClusterError(f"no dask scheduler answers at {self.address} ({error})") from None
        with client:
            yield client


class WorkerModel(WorkerPlugin):
    """The model on one worker, loaded when it is first needed; one image at a time uses it."""

    def __init__(self, name: str, source: ModelSource) -> None:
        self.name = name
        self._source = source

    def setup(self, worker: Any) -> None:
        """Prepare a worker, also one that joins later or starts again."""
        self.predictor = LazyPredictor(self._source)
        self.turn = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_source": self._source}


def _do(image: BatchImage, job: BatchJob, plugin: str) -> ImageResult:
    """Do one image on a worker."""
    model = get_worker().plugins[plugin]
    with model.turn:
        return drain(image_steps(image, job, model.predictor))


def _steps(
    client: Client, images: Sequence[BatchImage], job: BatchJob, model: ModelSource, results: dict[int, ImageResult]
) -> Steps[None]:
    name = f"segany-{uuid.uuid4().hex}"
    client.register_plugin(WorkerModel(name, model), name=name)
    finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
    futures = {
        client.submit(_do, image, job, name, key=f"{name}-{number}", pure=False): number
        for number, image in enumerate(images)
    }
    try:
        for future in futures:
            future.add_done_callback(finished.put)
        while len(results) < len(images):
            yield _progress(client, images, results)
            try:
                future = finished.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            number = futures[future]
            results[number] = _result(future, images[number])
            future.release()  # else it would be done again if its worker died
    finally:
        with suppress(OSError):  # a scheduler that is gone has nothing to take back
            client.cancel(list(futures))
            client.unregister_worker_plugin(name)


def _progress(client: Client, images: Sequence[BatchImage], results: Mapping[int, ImageResult]) -> BatchProgress:
    count = len(client.scheduler_info()["workers"])
    note = f"{count} workers" if count else "Waiting for workers"
    return progress_of(len(images), results, "", Progress(0, 0, note))


def _result(future: Future, image: BatchImage) -> ImageResult:
    if future.cancelled() or future.status == "lost":
        raise ClusterError("the cluster has gone away; run the same command again to go on")
    error = future.exception()
    if isinstance(error, KilledWorker):
        text = f"{image.source.shown}: every worker that had it died, for want of memory perhaps"
        return ImageResult(image.name, image.source.shown, error=text)
    result: ImageResult = future.result()
    return result
