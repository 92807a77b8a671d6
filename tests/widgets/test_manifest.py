"""The manifest, in the points that `npe2 validate` does not check."""

from __future__ import annotations

from importlib import import_module, metadata

import numpy as np
import pytest
import yaml
from npe2 import PluginManifest

from napari_segany.widgets import samples
from napari_segany.widgets.settings import Settings, read_settings

KINDS = ("widgets", "readers", "writers", "sample_data")


@pytest.fixture(scope="module")
def manifest(project):
    return yaml.safe_load((project / "src/napari_segany/napari.yaml").read_text())


def test_it_is_valid_and_its_names_are_the_distributions(manifest, project):
    assert PluginManifest.from_file(project / "src/napari_segany/napari.yaml").name == "napari-segany"
    assert manifest["display_name"] == manifest["name"] == metadata.metadata("napari-segany")["Name"]


def test_every_command_is_there_and_importable(manifest):
    contributions = manifest["contributions"]
    commands = {command["id"]: command["python_name"] for command in contributions["commands"]}
    for python_name in commands.values():
        module, name = python_name.split(":")
        assert callable(getattr(import_module(module), name))
    named = [item["command"] for kind in KINDS for item in contributions[kind]]
    named += [item["command"] for items in contributions["menus"].values() for item in items if "command" in item]
    assert set(named) <= set(commands)
    assert set(commands) == set(named), "a command that nothing leads to"


def test_every_menu_takes_contributions(manifest):
    from napari._app_model.constants import MenuId

    allowed = {str(menu.value) for menu in MenuId.contributables()}
    own = {item["id"] for item in manifest["contributions"].get("submenus", [])}
    assert set(manifest["contributions"]["menus"]) <= allowed | own


def test_the_settings_page_builds_with_the_defaults_of_the_code(manifest):
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-segany").segany.reset()
    assert read_settings() == Settings()
    values = get_plugin_settings("napari-segany").segany
    values.cache_gb, values.weights_dir, values.device = 0.5, "~/models", "cpu"
    try:
        settings = read_settings()
        assert (settings.cache_bytes, settings.device) == (2**29, "cpu")
        assert settings.weights_folder.is_absolute()
        assert settings.weights_folder.name == "models"
    finally:
        values.reset()


@pytest.mark.parametrize("name", ["micrograph", "cell", "coins"])
def test_samples_come_from_the_wheel(name, monkeypatch):
    import socket

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    ((image, meta, kind),) = getattr(samples, name)()
    assert kind == "image"
    assert image.dtype == np.uint8
    assert meta.get("rgb", False) == (image.ndim == 3)
    assert image.std() > 10
