"""Numbers of things in the lines that commands print."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return "1 image", "2 images", "28,884 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
