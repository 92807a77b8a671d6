from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pooch
import pytest
import xxhash

from napari_segany.engine import weights
from napari_segany.engine.model_registry import MODELS, ModelEntry, UnknownModelError
from napari_segany.engine.progress import Progress, drain
from napari_segany.engine.weights import (
    DamagedWeightsError,
    ModelStatus,
    WeightsNotFoundError,
    list_models,
    list_steps,
    register_user_model,
    resolve,
    resolve_steps,
    verify_steps,
    weights_folder,
)

LONG_AGO = 1_600_000_000
BASE = b"weights of the base model"
LIGHT_MICROSCOPY = b"weights for light microscopy"
ELECTRONS = b"weights for electron microscopy"

BASE_ENTRY = ModelEntry(
    "base", "vit_b", "base_01.pth", "https://x.org/base_01.pth", hashlib.sha256(BASE).hexdigest(), None, len(BASE)
)
REGISTRY = {
    "base": BASE_ENTRY,
    "base_lm": ModelEntry(
        "base_lm",
        "vit_b",
        "base_lm.pt",
        "https://x.org/lm/base.pt",
        xxh128=xxhash.xxh128(LIGHT_MICROSCOPY).hexdigest(),
    ),
    "base_em": ModelEntry(
        "base_em", "vit_b", "base_em.pt", "https://x.org/em/base.pt", xxh128=xxhash.xxh128(ELECTRONS).hexdigest()
    ),
}


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Put a file into the folder of weights, as if long ago."""

    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        return path

    return write


def states(statuses: tuple[ModelStatus, ...]) -> dict[str, str]:
    return {status.entry.name: status.state for status in statuses}


class TestFolder:
    def test_it_is_in_the_users_cache_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SEGANY_MODELS", raising=False)
        assert weights_folder() == weights_folder("") == Path(pooch.os_cache("napari-segany"))

    def test_the_environment_names_another(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SEGANY_MODELS", str(tmp_path))
        assert weights_folder() == tmp_path

    def test_the_argument_goes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SEGANY_MODELS", str(tmp_path / "no"))
        assert weights_folder(tmp_path / "yes") == tmp_path / "yes"

    def test_a_tilde_is_the_home_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEGANY_MODELS", "~/weights")
        assert weights_folder() == Path.home() / "weights"
        assert weights_folder("~/others") == Path.home() / "others"

    def test_asking_does_not_make_it(self, tmp_path: Path) -> None:
        list_models(tmp_path / "none", REGISTRY)
        assert not (tmp_path / "none").exists()


class TestResolve:
    def test_the_light_model_is_in_the_package(self, tmp_path: Path) -> None:
        path = resolve("light", tmp_path)
        assert path.name == "light.safetensors"
        assert path.parent.parent == Path(weights.__file__).parents[1]
        assert path.stat().st_size < 16_000_000

    def test_a_file_of_our_name_is_found(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        path = put("base_01.pth", BASE)
        assert resolve("base", tmp_path, REGISTRY) == path

    @pytest.mark.parametrize("name", ["base.pt", "base_lm", "base (1).pt", "whatever.PTH"])
    def test_a_file_put_there_by_hand_is_known_by_its_hash(
        self, put: Callable[[str, bytes], Path], tmp_path: Path, name: str
    ) -> None:
        put("an other.pt", b"something else")
        path = put(name, LIGHT_MICROSCOPY)
        assert resolve("base_lm", tmp_path, REGISTRY) == path

    def test_models_published_under_one_file_name_are_told_apart(
        self, put: Callable[[str, bytes], Path], tmp_path: Path
    ) -> None:
        path = put("base.pt", ELECTRONS)
        assert resolve("base_em", tmp_path, REGISTRY) == path
        digest = REGISTRY["base_lm"].xxh128
        with pytest.raises(WeightsNotFoundError, match=f"base.pt is there, but its xxh128 is not {digest}"):
            resolve("base_lm", tmp_path, REGISTRY)

    def test_a_missing_file_is_named_with_its_size_and_both_remedies(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsNotFoundError) as caught:
            resolve("vit_b", tmp_path)
        message = str(caught.value)
        assert "\n" not in message
        assert "sam_vit_b_01ec64.pth, 375 MB" in message
        assert str(tmp_path) in message
        assert f"`segany models download vit_b --folder {tmp_path}`" in message
        assert "put the file from https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth" in message

    def test_the_remedy_names_no_folder_where_that_is_the_usual_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SEGANY_MODELS", str(tmp_path))
        with pytest.raises(FileNotFoundError, match="`segany models download vit_b`"):
            resolve("vit_b")

    def test_an_unknown_name_gets_a_list_of_those_that_exist(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownModelError, match=r"no model 'vit_x'; known are light, vit_t, vit_b, .*imaging$"):
            resolve("vit_x", tmp_path)

    @pytest.mark.parametrize("content", [BASE[:-1], BASE + b"!", BASE.upper(), b""])
    def test_a_file_that_is_not_the_published_one_is_refused(
        self, put: Callable[[str, bytes], Path], tmp_path: Path, content: bytes
    ) -> None:
        path = put("base_01.pth", content)
        with pytest.raises(DamagedWeightsError) as caught:
            resolve("base", tmp_path, REGISTRY)
        message = str(caught.value)
        assert "\n" not in message
        assert str(path) in message
        assert f"expected sha256 {BASE_ENTRY.sha256}" in message
        assert "`segany models download base" in message

    @pytest.mark.parametrize("content", [BASE[:-1], BASE.upper()])
    def test_a_file_that_was_good_and_is_changed_is_refused(
        self, put: Callable[[str, bytes], Path], tmp_path: Path, content: bytes
    ) -> None:
        path = put("base_01.pth", BASE)
        resolve("base", tmp_path, REGISTRY)
        path.write_bytes(content)
        with pytest.raises(DamagedWeightsError):
            resolve("base", tmp_path, REGISTRY)

    def test_a_good_copy_makes_up_for_a_damaged_file(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        put("base_01.pth", BASE[:-1])
        copy = put("copy.pth", BASE)
        assert resolve("base", tmp_path, REGISTRY) == copy

    def test_a_file_is_hashed_on_first_use_only(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        put("base_01.pth", BASE)
        reports: list[Progress] = []
        drain(resolve_steps("base", tmp_path, REGISTRY), reports.append)
        assert [(report.done, report.total) for report in reports] == [(len(BASE), len(BASE))]
        reports.clear()
        drain(resolve_steps("base", tmp_path, REGISTRY), reports.append)
        assert not reports

    def test_a_file_of_another_size_need_not_be_hashed(
        self, put: Callable[[str, bytes], Path], tmp_path: Path
    ) -> None:
        put("base_01.pth", BASE + b"!")
        steps = resolve_steps("base", tmp_path, REGISTRY)
        with pytest.raises(DamagedWeightsError):
            next(steps)

    def test_hashing_can_be_given_up(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        path = put("base_01.pth", BASE)
        steps = resolve_steps("base", tmp_path, REGISTRY)
        next(steps)
        steps.close()
        assert list(tmp_path.iterdir()) == [path]


class TestList:
    def test_every_state_is_told(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        put("base_01.pth", BASE[:-1])
        lm = put("base.pt", LIGHT_MICROSCOPY)
        statuses = list_models(tmp_path, {"light": MODELS["light"], **REGISTRY})
        assert states(statuses) == {
            "light": "bundled",
            "base": "damaged",
            "base_lm": "present",
            "base_em": "not downloaded",
        }
        by_name = {status.entry.name: status for status in statuses}
        assert by_name["base_lm"].path == lm
        assert by_name["base_em"].path is None
        assert [name for name, status in by_name.items() if status.usable] == ["light", "base_lm"]

    def test_a_file_is_hashed_once_for_all_models(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        (tmp_path / ".segany-digests.json").mkdir()  # nothing can be remembered for the next time
        put("unknown.pt", bytes(100))
        reports: list[Progress] = []
        drain(list_steps(tmp_path, REGISTRY), reports.append)
        assert [report.note for report in reports] == ["Checking unknown.pt"]

    def test_sizes_are_those_of_the_files_that_are_there(
        self, put: Callable[[str, bytes], Path], tmp_path: Path
    ) -> None:
        put("base.pt", LIGHT_MICROSCOPY)
        by_name = {status.entry.name: status for status in list_models(tmp_path, REGISTRY)}
        assert by_name["base_lm"].size_text == f"{len(LIGHT_MICROSCOPY)} bytes"
        assert by_name["base_em"].size_text == "about 375 MB"

    def test_a_strangers_file_that_cannot_be_read_does_not_hide_the_models(
        self, put: Callable[[str, bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put("base_lm.pt", LIGHT_MICROSCOPY)
        put("a stranger.pt", bytes(9))
        opened = Path.open

        def refusing(path: Path, *arguments: Any, **options: Any) -> Any:
            if path.name == "a stranger.pt":
                raise PermissionError(13, "Permission denied", str(path))
            return opened(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", refusing)
        found = states(list_models(tmp_path, REGISTRY))
        assert found == {"base": "not downloaded", "base_lm": "present", "base_em": "not downloaded"}


class TestVerify:
    def test_what_is_remembered_does_not_count(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        path = put("base_01.pth", BASE[::-1])
        list_models(tmp_path, REGISTRY)
        memory = tmp_path / ".segany-digests.json"
        content = json.loads(memory.read_text())
        content[path.name]["digests"]["sha256"] = BASE_ENTRY.sha256
        memory.write_text(json.dumps(content))
        assert states(list_models(tmp_path, REGISTRY))["base"] == "present"
        assert states(drain(verify_steps(None, tmp_path, REGISTRY))) == {"base": "damaged"}

    def test_named_models_must_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsNotFoundError, match="base_01"):
            drain(verify_steps(["base"], tmp_path, REGISTRY))
        with pytest.raises(UnknownModelError):
            drain(verify_steps(["nobody"], tmp_path, REGISTRY))


class TestUserModels:
    def test_a_checkpoint_gets_a_name(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        checkpoint = put("mine.safetensors", b"mine")
        folder = tmp_path / "models"
        entry = register_user_model("my-cells", checkpoint, folder, architecture="light", description="yeast")
        assert resolve("my-cells", folder) == checkpoint
        status = list_models(folder)[-1]
        assert (status.entry, status.state) == (entry, "present")
        assert (entry.architecture, entry.description, entry.size_bytes) == ("light", "yeast", 4)

    def test_it_stays_when_others_come(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        first, second = put("first.pt", b"1"), put("second.pt", b"2")
        register_user_model("first", first, tmp_path)
        register_user_model("second", first, tmp_path)
        register_user_model("second", second, tmp_path)
        assert resolve("first", tmp_path) == first
        assert resolve("second", tmp_path) == second

    def test_registered_at_once_all_stay(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        checkpoint = put("mine.pt", b"mine")
        names = [f"model-{number}" for number in range(24)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: register_user_model(name, checkpoint, tmp_path), names))
        assert set(json.loads((tmp_path / "user-models.json").read_text())) == set(names)

    def test_a_checkpoint_within_the_folder_moves_with_it(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        old.mkdir()
        (old / "mine.pt").write_bytes(b"mine")
        register_user_model("mine", old / "mine.pt", old)
        old.rename(new)
        assert resolve("mine", new) == new / "mine.pt"

    def test_a_checkpoint_that_is_gone_is_told(self, put: Callable[[str, bytes], Path], tmp_path: Path) -> None:
        checkpoint = put("mine.pt", b"mine")
        register_user_model("mine", checkpoint, tmp_path)
        checkpoint.unlink()
        assert list_models(tmp_path)[-1].state == "missing"
        with pytest.raises(WeightsNotFoundError, match=r"'mine' is not at .*mine\.pt any more; put it back"):
            resolve("mine", tmp_path)

    @pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "vit_b", "light", "x" * 65])
    def test_names_that_cannot_be_used_are_refused(
        self, put: Callable[[str, bytes], Path], tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(ValueError, match="name of a"):
            register_user_model(name, put("mine.pt", b"mine"), tmp_path)

    def test_a_checkpoint_that_does_not_exist_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"there is no file .*mine\.pt"):
            register_user_model("mine", tmp_path / "mine.pt", tmp_path)

    @pytest.mark.parametrize("content", ["{", "[]", '{"mine": {}}', '{"mine": "path"}'])
    def test_a_listing_that_cannot_be_read_is_named(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "user-models.json").write_text(content)
        with pytest.raises(ValueError, match=r"user-models\.json is not .*; repair it, or delete it"):
            resolve("mine", tmp_path)

    def test_published_models_do_not_depend_on_it(self, tmp_path: Path) -> None:
        (tmp_path / "user-models.json").write_text("{")
        assert resolve("light", tmp_path).is_file()


def test_neither_import_nor_listing_nor_the_light_model_touches_the_network(tmp_path: Path) -> None:
    code = """
import socket, sys

def refuse(*args, **kwargs):
    raise SystemExit(f"the network was asked for: {args}")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
from napari_segany.engine import download, weights
print(weights.resolve("light").name, len(weights.list_models()))
print(sorted({"torch", "napari", "qtpy"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SEGANY_MODELS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"light.safetensors {len(MODELS)}", "[]"]
