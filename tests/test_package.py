"""The package as a whole: what importing it costs and which names it offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import napari_segany


def modules_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after running `code`."""
    script = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import napari_segany")
    heavy = {"torch", "numpy", "scipy", "skimage", "pandas", "napari", "qtpy", "PyQt6", "PySide6", "pooch", "PIL"}
    assert "napari_segany" in loaded
    assert not loaded & heavy


def test_listing_the_names_loads_nothing_heavy() -> None:
    loaded = modules_after("import napari_segany; dir(napari_segany); napari_segany.__version__")
    assert not loaded & {"torch", "numpy", "napari"}


@pytest.mark.parametrize("name", [name for name in napari_segany.__all__ if name != "__version__"])
def test_every_scripting_name_resolves(name: str) -> None:
    value = getattr(napari_segany, name)
    assert value.__name__ == name
    assert value.__doc__


def test_an_unknown_name_says_what_is_offered() -> None:
    with pytest.raises(AttributeError, match="Predictor"):
        napari_segany.Predicter  # noqa: B018


def test_the_scripting_layers_load_without_napari_or_qt() -> None:
    blocked = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in {'napari', 'qtpy', 'PyQt6', 'PySide6', 'magicgui', 'superqt'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        "import napari_segany\n"
        "napari_segany.Predictor, napari_segany.MaskRecord, napari_segany.to_labels\n"
    )
    assert "torch" in modules_after(blocked)
