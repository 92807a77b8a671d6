"""Fixtures of the whole suite: where the reference numbers and the real images are, when they are there."""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pytest
from hypothesis import settings
from npe2.manifest import _bases as manifests

# The suite tries the same few examples each time, so that it says the same of the same code;
# `--hypothesis-profile thorough` searches.
settings.register_profile("suite", max_examples=25, derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=500, deadline=None)
settings.load_profile("suite")

PROJECT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process ends with one while the other has nothing left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, "canvas" not in item.path.parts))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep what the tests cache and save out of the user's folders, and what is there out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGANY_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SEGANY_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _manifests_are_parsed_once() -> Iterator[None]:
    """Each viewer of a test discovers all plugins anew; parsing their manifests took a fifth of opening it."""
    parse, parsed = manifests._load_yaml_no_duplicates, {}

    def load(stream: IO[bytes]) -> Any:
        text = stream.read()
        if text not in parsed:
            parsed[text] = parse(text)
        return deepcopy(parsed[text])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "_load_yaml_no_duplicates", load)
        yield


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and images beside the checkout; tests that need it are skipped without it."""
    folder = Path(os.environ.get("SEGANY_SHARED", PROJECT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"the shared folder is not beside the checkout ({folder.name} not found)")
    return folder


@pytest.fixture(scope="session")
def parity(shared: Path) -> Path:
    """Reference numbers of the published implementations."""
    folder = shared / "parity"
    if not folder.is_dir():
        pytest.skip("the shared folder has no parity numbers")
    return folder


@pytest.fixture(scope="session")
def discs(project: Path) -> ModuleType:
    """Images of discs, and a predictor that finds them without weights: the module beside this file."""
    return _beside(project, "discs")


@pytest.fixture(scope="session")
def tiles(project: Path) -> ModuleType:
    """Arrays and a predictor for large images: the module beside this file."""
    return _beside(project, "tiles")


def _beside(project: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, project / "tests" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    """Undo what a test sets for torch: two test processes with two threads each would wait for each other."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if before is not None and sys.modules["torch"].get_num_threads() != before:
        sys.modules["torch"].set_num_threads(before)


@pytest.fixture
def without_geo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python in which none of the libraries of the extra `geo` is installed."""
    names = ("rasterio", "pyproj", "shapely", "pyogrio")
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        monkeypatch.delitem(sys.modules, name)
    real, real_find = builtins.__import__, importlib.util.find_spec

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in names:
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    def find(name: str, *args: Any) -> Any:
        return None if name.partition(".")[0] in names else real_find(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr("napari_segany.formats.geo_extra.import_module", refuse)
    monkeypatch.setattr("napari_segany.formats.geo_recognition.find_spec", find)
