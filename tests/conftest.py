"""Fixtures of the whole suite: where the reference numbers and the real images are, when they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


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
