"""Long work of the command line: a bar with its remaining time on stderr. Imports no torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

if TYPE_CHECKING:
    from napari_segany.engine.progress import Steps

Result = TypeVar("Result")

_REFRESH_SECONDS = 1.0
_REFRESH_SECONDS_IN_A_LOG = 30.0


def watched(steps: Steps[Result], unit: str) -> Result:
    """Run work with a bar and its remaining time on stderr; rarely refreshed where nobody watches.

    Parameters
    ----------
    steps : generator of Progress
        The work.
    unit : str
        What its progress counts, in one word.
    """
    from napari_segany.engine.progress import Progress, drain

    interval = _REFRESH_SECONDS if sys.stderr.isatty() else _REFRESH_SECONDS_IN_A_LOG
    with tqdm(unit=unit, mininterval=interval, maxinterval=interval, file=sys.stderr) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total
            bar.set_description(progress.note, refresh=False)
            bar.update(progress.done - bar.n)

        return drain(steps, report)
