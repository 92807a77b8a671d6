from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import xxhash

from napari_segany.engine.download import DownloadError, download_steps
from napari_segany.engine.model_registry import ModelEntry, UnknownModelError
from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.weights import list_models, resolve

CONTENT = bytes(range(256)) * 4096 * 3  # 3 MiB
MEMORY = ".segany-digests.json"


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /good and in worse ways elsewhere; `release` lets it go on where it waits."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.release = threading.Event()
        self.requests: list[str] = []

    def entry(self, way: str, size_bytes: int | None = len(CONTENT)) -> dict[str, ModelEntry]:
        """A registry of one model that is served in this way."""
        return {
            "model": ModelEntry(
                "model",
                "vit_b",
                "model.pt",
                f"http://127.0.0.1:{self.server_port}/{way}",
                sha256=hashlib.sha256(CONTENT).hexdigest(),
                size_bytes=size_bytes,
            )
        }


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        way = self.path.strip("/")
        self.server.requests.append(way)
        if way == "missing":
            self.send_error(404)
            return
        if way == "moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        if way != "unannounced":
            length = 10**18 if way == "gigantic" else len(CONTENT)
            self.send_header("Content-Length", str(length))
        self.end_headers()
        body = CONTENT[::-1] if way == "corrupt" else CONTENT
        if way in ("stalled", "truncated", "gigantic"):
            body = body[: 1 << 20]
        try:
            self.wfile.write(body)
            if way == "stalled":
                self.wfile.flush()
                self.server.release.wait(60)
        except ConnectionError:
            return

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("segany")]


def left(folder: Path) -> list[str]:
    """What is in the folder, but for the memory of hashes."""
    return sorted(path.name for path in folder.iterdir() if path.name != MEMORY)


@pytest.mark.parametrize("way", ["good", "moved", "unannounced"])
def test_a_model_arrives_whole_under_its_own_name(server: Server, tmp_path: Path, way: str) -> None:
    folder = tmp_path / "new" / "folder"
    models = server.entry(way)
    reports: list[Progress] = []
    path = drain(download_steps("model", folder, models), reports.append)
    assert path == folder / "model.pt"
    assert path.read_bytes() == CONTENT
    assert left(folder) == ["model.pt"]
    assert resolve("model", folder, models) == path
    assert reports[0].done < reports[-1].done == reports[-1].total == len(CONTENT)
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert {report.note for report in reports} == {"Downloading model"}


def test_an_xxh128_serves_as_well(server: Server, tmp_path: Path) -> None:
    url = server.entry("good")["model"].url
    models = {"model": ModelEntry("model", "vit_b", "model.pt", url, xxh128=xxhash.xxh128(CONTENT).hexdigest())}
    assert drain(download_steps("model", tmp_path, models)).read_bytes() == CONTENT


def test_what_was_hashed_while_it_arrived_is_not_hashed_again(server: Server, tmp_path: Path) -> None:
    models = server.entry("good")
    drain(download_steps("model", tmp_path, models))
    reports: list[Progress] = []
    drain(download_steps("model", tmp_path, models), reports.append)
    assert not reports


def test_a_model_that_is_there_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    by_hand = tmp_path / "by hand.pt"
    by_hand.write_bytes(CONTENT)
    assert drain(download_steps("model", tmp_path, server.entry("good"))) == by_hand
    assert not server.requests


def test_the_light_model_needs_no_network(tmp_path: Path) -> None:
    assert drain(download_steps("light", tmp_path / "none")).name == "light.safetensors"
    assert not (tmp_path / "none").exists()


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="no model 'vit_q'"):
        drain(download_steps("vit_q", tmp_path))


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    models = server.entry("good")
    (tmp_path / "model.pt").write_bytes(CONTENT[:-1])
    assert list_models(tmp_path, models)[0].state == "damaged"
    drain(download_steps("model", tmp_path, models))
    assert list_models(tmp_path, models)[0].state == "present"


@pytest.mark.parametrize("way", ["good", "stalled"])
def test_closing_leaves_nothing_behind(server: Server, tmp_path: Path, way: str) -> None:
    """On a stalled server this returns at once, or else it would wait 20 s for the next bytes."""
    models = server.entry(way)
    with closing(download_steps("model", tmp_path, models)) as steps:
        for progress in steps:
            if progress.done > 0:
                break
    assert left(tmp_path) == []
    assert list_models(tmp_path, models)[0].state == "not downloaded"


def test_closing_before_the_server_answers_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    steps = download_steps("model", tmp_path, server.entry("good"))
    next(steps)
    steps.close()
    assert left(tmp_path) == []


def test_a_stalled_download_goes_on_reporting(server: Server, tmp_path: Path) -> None:
    with closing(download_steps("model", tmp_path, server.entry("stalled"))) as steps:
        reports = [next(steps).done for _ in range(8)]
    assert reports[-1] == reports[-2] == 1 << 20


def test_half_a_file_left_by_a_killed_program_is_not_taken_for_the_model(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".model-1a2b3c4d.pt").write_bytes(CONTENT)  # even a whole one: it was never checked
    assert list_models(tmp_path, server.entry("good"))[0].state == "not downloaded"


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("missing", "the server answered 404 Not Found"),
        ("truncated", "the connection broke off after 1 MB of 3 MB"),
        ("corrupt", f"its sha256 is {hashlib.sha256(CONTENT[::-1]).hexdigest()} instead of"),
    ],
)
def test_a_download_that_fails_says_why_and_what_else_to_do(
    server: Server, tmp_path: Path, way: str, reason: str
) -> None:
    models = server.entry(way)
    with pytest.raises(DownloadError) as caught:
        drain(download_steps("model", tmp_path, models))
    message = str(caught.value)
    assert reason in message
    assert f"or download {models['model'].url} by hand and save it as {tmp_path / 'model.pt'}" in message
    assert "\n" not in message
    assert left(tmp_path) == []


def test_a_failed_download_leaves_the_file_that_was_there(server: Server, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"mine")
    with pytest.raises(DownloadError):
        drain(download_steps("model", tmp_path, server.entry("corrupt")))
    assert (tmp_path / "model.pt").read_bytes() == b"mine"
    assert left(tmp_path) == ["model.pt"]


def test_without_a_network_the_host_is_named(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/model.pt"
        models = {"model": ModelEntry("model", "vit_b", "model.pt", url, sha256="0" * 64)}
        with pytest.raises(
            DownloadError, match=r"no connection to 127\.0\.0\.1; try again, or download http.* by hand"
        ):
            drain(download_steps("model", tmp_path, models))
    assert left(tmp_path) == []


@pytest.mark.parametrize(("way", "size_bytes", "asked"), [("good", 10**18, 0), ("gigantic", None, 1)])
def test_a_full_disk_is_told_before_it_is_full(
    server: Server, tmp_path: Path, way: str, size_bytes: int | None, asked: int
) -> None:
    with pytest.raises(DownloadError, match=r"model needs 1000000000\.0 GB, but only .* free in .*; make room"):
        drain(download_steps("model", tmp_path, server.entry(way, size_bytes)))
    assert len(server.requests) == asked
    assert left(tmp_path) == []
