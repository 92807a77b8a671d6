"""A CLIP with random weights in a folder, as it would be downloaded."""

from __future__ import annotations

from pathlib import Path

WORDS = ("a", "nucleus", "disc", "bright", "dark", "background")


def write_tiny_clip(folder: Path) -> Path:
    """Write one that knows `WORDS` into a folder and return it."""
    from napari_segany.training.small_clip import small_clip

    small_clip(WORDS, folder, layers=2)
    return folder
