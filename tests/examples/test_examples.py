"""Every example runs as its user would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    answer = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert re.search(r"\b[1-9]\d* objects|predicted IoU 0\.[1-9]", answer.stdout), answer.stdout
    assert "Warning" not in answer.stderr


def test_there_are_examples() -> None:
    assert EXAMPLES
