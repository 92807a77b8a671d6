"""What the outputs of a command must not be: its own inputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def check_no_input_is_replaced(outputs: Iterable[Path], inputs: Iterable[Path | None]) -> None:
    """Refuse an output that is one of the files that the command reads, under whatever name.

    Raises
    ------
    ValueError
        For such an output.
    """
    given = [path for path in inputs if path is not None and path.exists()]
    for output in outputs:
        if output.exists() and any(output.samefile(path) for path in given):
            raise ValueError(f"the output {output} is an input of this command, and would replace it; choose another")
