"""What an error says, in one line. Knows nothing of who raised it."""

from __future__ import annotations


def sentence_of(error: BaseException) -> str:
    """Return what an error says in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
