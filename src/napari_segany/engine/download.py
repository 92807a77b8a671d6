"""Download the weights of a model into the folder of weights: whole and checked, or not at all.

This is the only module that uses the network, and only while somebody runs its generator.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from napari_segany.engine.digests import DigestBook, new_hasher
from napari_segany.engine.model_registry import MODELS, ModelEntry, readable_size
from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.weights import find_entry, resolve_steps, status_steps, weights_folder
from napari_segany.formats.atomic import replacing

_CHUNK_BYTES = 1 << 18
_REPORT_SECONDS = 0.1
# Seconds to wait for a connection, and for its next bytes; also how long closing waits for a server that is silent.
_TIMEOUTS = (10, 20)


class DownloadError(OSError):
    """A download that came to nothing; the message says why and what else to do."""


def download_steps(
    name: str, folder: str | os.PathLike[str] | None = None, models: Mapping[str, ModelEntry] = MODELS
) -> Steps[Path]:
    """Download the weights of a model, unless they are there; progress is in bytes.

    Closing the generator stops the download and leaves nothing of it. The file gets its name only when all of it has
    arrived and its hash is the published one. A damaged file of that name is replaced.

    Parameters
    ----------
    name : str
        A name of the registry.
    folder : path, optional
        The folder of weights, see `weights_folder`; it is made where it does not exist.
    models : mapping
        The registry.

    Returns
    -------
    pathlib.Path
        The file of weights.

    Raises
    ------
    UnknownModelError
        For a name that does not exist.
    DownloadError
        Without a connection, on an answer that is not the published file, or for want of disk space.
    """
    place = weights_folder(folder)
    entry = find_entry(name, place, models)
    book = DigestBook(place)
    status = yield from status_steps(entry, book, models)
    if entry.url is None or entry.hash is None or status.usable:
        return (yield from resolve_steps(name, place, models))
    place.mkdir(parents=True, exist_ok=True)
    if entry.size_bytes is not None:
        _check_space(entry, place, entry.size_bytes)
    target = place / entry.file_name
    algorithm, expected = entry.hash
    with replacing(target) as temporary:
        with temporary.open("wb") as file:
            transfer = _Transfer(entry, place, file, new_hasher(algorithm))
            yield from transfer.steps(entry.url)
        if transfer.hasher.hexdigest() != expected:
            raise DownloadError(
                f"what arrived for {name} ({transfer.done} bytes) is not the published file: its {algorithm} is "
                f"{transfer.hasher.hexdigest()} instead of {expected}, so it was thrown away; {_remedy(entry, place)}"
            )
    book.remember(target, algorithm, expected)
    return target


class _Stopped(Exception):  # noqa: N818 (a request, not an error)
    """Raised in the thread of a transfer that nobody wants any more."""


class _Transfer:
    """One download: pooch writes into it in a thread of its own, the generator looks how far it is.

    It hashes what it writes, so that gigabytes need not be read again before they count.
    """

    def __init__(self, entry: ModelEntry, folder: Path, file: BinaryIO, hasher: Any) -> None:
        self.entry = entry
        self.folder = folder
        self.file = file
        self.hasher = hasher
        self.done = 0
        self.total = entry.size_bytes or 0
        self._stop = threading.Event()
        self._response: Any = None

    def steps(self, url: str) -> Steps[None]:
        """Fetch `url` into the file; a closed generator stops the thread and waits for its end."""
        from pooch import HTTPDownloader

        downloader = HTTPDownloader(
            chunk_size=_CHUNK_BYTES,
            timeout=_TIMEOUTS,
            headers={"Accept-Encoding": "identity"},
            hooks={"response": self._on_response},
        )
        try:
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="segany-download") as pool:
                future = pool.submit(downloader, url, self, None)
                try:
                    while not future.done():
                        yield Progress(self.done, self.total, f"Downloading {self.entry.name}")
                        wait([future], timeout=_REPORT_SECONDS)
                finally:
                    self._abort()
        finally:
            if self._response is not None:
                self._response.close()
        try:
            future.result()
        except DownloadError:
            raise
        except OSError as error:
            reason = self._reason(error, url)
            raise DownloadError(
                f"{self.entry.name} could not be downloaded: {reason}; {_remedy(self.entry, self.folder)}"
            ) from error
        yield Progress(self.done, self.total, f"Downloading {self.entry.name}")

    def write(self, chunk: bytes) -> None:
        """Take a chunk from pooch."""
        if self._stop.is_set():
            raise _Stopped
        self.file.write(chunk)
        self.hasher.update(chunk)
        self.done += len(chunk)

    def flush(self) -> None:
        """Do what pooch asks for after each chunk."""
        self.file.flush()

    def _on_response(self, response: Any, *_args: Any, **_kwargs: Any) -> None:
        """Learn the size of what is coming, before it comes."""
        self._response = response
        if self._stop.is_set():
            raise _Stopped
        if response.ok and not response.is_redirect:
            self.total = int(response.headers.get("content-length", self.total))
            _check_space(self.entry, self.folder, self.total)

    def _abort(self) -> None:
        """Stop the thread: at its next chunk, or out of its wait for a server that has fallen silent."""
        self._stop.set()
        wake = getattr(getattr(self._response, "raw", None), "shutdown", None)
        if wake is not None:
            # The connection may have ended by itself, and older versions of urllib3 have no such call.
            with suppress(OSError, ValueError, RuntimeError):
                wake()

    def _reason(self, error: OSError, url: str) -> str:
        response = getattr(error, "response", None)
        if response is not None:
            return f"the server answered {response.status_code} {response.reason}".rstrip()
        if error.errno == errno.ENOSPC:
            return f"the disk of {self.folder} is full"
        if self.done == 0:
            return f"no connection to {urlsplit(url).hostname}"
        whole = f" of {readable_size(self.total)}" if self.total else ""
        return f"the connection broke off after {readable_size(self.done)}{whole}"


def _check_space(entry: ModelEntry, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{entry.name} needs {readable_size(needed)}, but only {readable_size(free)} are free in {folder}; "
            f"make room, or choose another folder with --folder or SEGANY_MODELS"
        )


def _remedy(entry: ModelEntry, folder: Path) -> str:
    return f"try again, or download {entry.url} by hand and save it as {folder / entry.file_name}"
