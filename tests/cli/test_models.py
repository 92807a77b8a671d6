from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_segany.cli import models
from napari_segany.cli.main import main
from napari_segany.engine.model_registry import MODELS, ModelEntry
from napari_segany.engine.weights import DamagedWeightsError, register_user_model

CONTENT = b"weights" * 100_000


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Mapping[str, ModelEntry]]:
    """A registry of one model that is served from this computer."""
    published = tmp_path / "published"
    published.mkdir()
    (published / "model.pt").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/model.pt"
        digest = hashlib.sha256(CONTENT).hexdigest()
        yield {"model": ModelEntry("model", "vit_b", "model.pt", url, digest, licence="MIT")}
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


def run(registry: Mapping[str, ModelEntry], *argv: object) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args([str(argument) for argument in argv]), registry)


def test_without_an_action_all_models_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--folder", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert lines[0].split() == ["name", "architecture", "size", "licence", "state"]
    assert [line.split()[0] for line in lines[1 : len(MODELS) + 1]] == list(MODELS)
    rows = {line.split()[0]: line for line in lines[1 : len(MODELS) + 1]}
    assert rows["light"].endswith("bundled")
    assert rows["vit_b"].split() == ["vit_b", "vit_b", "375", "MB", "Apache-2.0", "not", "downloaded"]
    assert lines[-1] == f"Weights are kept in {tmp_path}"
    assert main(["models", "list", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == output


def test_models_of_the_users_own_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "mine.safetensors"
    checkpoint.write_bytes(b"mine")
    register_user_model("my-cells", checkpoint, tmp_path, architecture="light")
    main(["models", "--folder", str(tmp_path)])
    row = capsys.readouterr().out.splitlines()[len(MODELS) + 1]
    assert row.split() == ["my-cells", "light", "4", "bytes", "not", "stated", "present"]


def test_a_download_shows_a_bar_and_prints_where_the_file_is(
    registry: Mapping[str, ModelEntry], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    assert run(registry, "download", "model", "--folder", folder) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder / 'model.pt'}\n"
    assert "Downloading model: 100%" in captured.err
    assert (folder / "model.pt").read_bytes() == CONTENT
    assert run(registry, "--folder", folder, "where", "model") == 0
    assert capsys.readouterr().out == captured.out


def test_a_slip_in_a_name_is_found_before_anything_is_downloaded(
    registry: Mapping[str, ModelEntry], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no model 'modle'"):
        run(registry, "download", "model", "modle", "--folder", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_where_prints_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGANY_MODELS", str(tmp_path))
    assert main(["models", "where"]) == 0
    assert main(["models", "--folder", str(tmp_path / "a"), "where"]) == 0
    assert main(["models", "--folder", str(tmp_path / "a"), "where", "--folder", str(tmp_path / "b")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "b")]


def test_verify_finds_what_is_damaged(
    registry: Mapping[str, ModelEntry], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    run(registry, "download", "model", "--folder", folder)
    capsys.readouterr()
    assert run(registry, "verify", "--folder", folder) == 0
    assert capsys.readouterr().out == f"model: good, its sha256 is the published one ({folder / 'model.pt'})\n"
    (folder / "model.pt").write_bytes(CONTENT[1:])
    assert run(registry, "verify", "model", "--folder", folder) == 1
    assert "model: damaged" in capsys.readouterr().out
    with pytest.raises(DamagedWeightsError):
        run(registry, "where", "model", "--folder", folder)


def test_verify_of_an_empty_folder_knows_the_model_in_the_package(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("light: bundled")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["where", "vit_b"], "the weights of vit_b (sam_vit_b_01ec64.pth, 375 MB) are not in"),
        (["verify", "vit_b"], "the weights of vit_b (sam_vit_b_01ec64.pth, 375 MB) are not in"),
        (["download", "vit_q"], "there is no model 'vit_q'; known are light, vit_t, vit_b"),
        (["download"], "the following arguments are required: NAME"),
        (["fetch"], "invalid choice: 'fetch'"),
    ],
)
def test_errors_are_one_line_and_status_2(
    argv: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "--folder", str(tmp_path), *argv]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("segany models")
    assert captured.err.count("\n") == 1


def test_without_a_network_a_download_fails_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Port 9 of this computer answers nobody: requests cannot get out.
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert main(["models", "download", "vit_t", "--folder", str(tmp_path)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(
        "segany models: error: vit_t could not be downloaded: no connection to raw.githubusercontent"
    )
    assert list(tmp_path.iterdir()) == []


def test_neither_torch_nor_napari_nor_qt_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from napari_segany.cli.main import main; "
        f"main(['models', '--folder', {str(tmp_path)!r}]); "
        "print(sorted({'torch', 'napari', 'qtpy', 'PyQt6', 'PySide6'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
