"""What is done to session files."""

from __future__ import annotations

import json
import subprocess
import sys


def changed(path, change):
    """Change the values of a session file."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def run_script(text, folder, *arguments):
    """Run a script in a folder, in a Python of its own."""
    (folder / "script.py").write_text(text, encoding="utf-8")
    command = [sys.executable, folder / "script.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
