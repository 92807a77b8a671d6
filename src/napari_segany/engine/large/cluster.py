"""The tiles of a large image on the workers of dask.distributed, as `engine.batch.cluster` does images.

Needs the extra `distributed`; nothing imports this module before it is asked for. A tile whose worker dies is given
to another one; tiles that were kept before are found by whoever gets them.
"""

from __future__ import annotations

import queue
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from distributed import Client, Future, KilledWorker, get_worker

from napari_segany.engine.batch.cluster import Cluster, ClusterError, WorkerModel
from napari_segany.engine.batch.model_source import ModelSource, NamedModel
from napari_segany.engine.large.job import ImageAtPath, LargeJob, Place
from napari_segany.engine.large.one_tile import TILE_ERRORS, Everything, TileResult, failed, tile_steps
from napari_segany.engine.large.raster import RasterAtPath
from napari_segany.engine.large.run import progress_of
from napari_segany.engine.progress import Progress, Steps, drain

_LOOK_SECONDS = 0.25  # how long closing may have to wait


@dataclass(frozen=True)
class TileCluster:
    """Workers of a dask cluster, for `large_steps`.

    Attributes
    ----------
    cluster : Cluster
        The cluster; its workers must see the image and the folder of the outputs under the same paths.
    """

    cluster: Cluster

    def tile_steps(
        self, job: LargeJob, places: Sequence[Place], model: ModelSource, results: dict[Place, TileResult]
    ) -> Steps[None]:
        """Do all tiles; closing the generator takes back what no worker has begun.

        Raises
        ------
        ClusterError
            Where no cluster answers, or it goes away.
        ValueError
            For an image or a model that only this process has.
        """
        if not isinstance(model, NamedModel):
            raise ValueError("workers of a cluster load the model themselves; give its name or file (NamedModel)")
        if not isinstance(job.image, (ImageAtPath, RasterAtPath)):
            raise ValueError(
                "workers of a cluster open the image themselves; save it and give its path (ImageAtPath)"
            )
        yield progress_of(len(places), results, Progress(0, 0, "Connecting to the workers"))
        with self.cluster.client() as client:
            yield from _steps(client, job, places, model.portable(), results)


def _do(job: LargeJob, place: Place, plugin: str) -> TileResult:
    """Do one tile on a worker."""
    model = get_worker().plugins[plugin]
    with model.turn:
        return drain(tile_steps(job, job.image.open(), place, Everything(model.predictor)))


def _steps(
    client: Client, job: LargeJob, places: Sequence[Place], model: ModelSource, results: dict[Place, TileResult]
) -> Steps[None]:
    name = f"segany-{uuid.uuid4().hex}"
    client.register_plugin(WorkerModel(name, model), name=name)
    finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
    futures = {
        client.submit(_do, job, place, name, key=f"{name}-{place.name}", pure=False): place for place in places
    }
    try:
        for future in futures:
            future.add_done_callback(finished.put)
        while len(results) < len(places):
            count = len(client.scheduler_info()["workers"])
            note = f"{count} workers" if count else "Waiting for workers"
            yield progress_of(len(places), results, Progress(0, 0, note))
            try:
                future = finished.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            place = futures[future]
            results[place] = _result(future, place)
            future.release()  # else it would be done again if its worker died
    finally:
        with suppress(OSError):  # a scheduler that is gone has nothing to take back
            client.cancel(list(futures))
            client.unregister_worker_plugin(name)


def _result(future: Future, place: Place) -> TileResult:
    if future.cancelled() or future.status == "lost":
        raise ClusterError("the cluster has gone away; run the same command again to go on")
    error = future.exception()
    if isinstance(error, KilledWorker):
        return TileResult(
            place, error=f"tile {place.name}: every worker that had it died, for want of memory perhaps"
        )
    if isinstance(error, TILE_ERRORS):
        return failed(place, error)
    result: TileResult = future.result()
    return result
