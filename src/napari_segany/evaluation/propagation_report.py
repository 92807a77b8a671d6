"""From outcomes of stacks to the table of the documentation: per kind of object, IoU and identity errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_segany.evaluation.metrics import mean_interval
from napari_segany.evaluation.propagation import ObjectOutcome, StackOutcome

PROPAGATION_NOTE = (
    "IoU: mean over objects of the IoU of all pixels of the stack, with its 95 % bootstrap interval. Lost: slices of "
    "an object without its mask, of all its slices. Switched: slices whose mask fits another object better. False: "
    "slices with a mask where the object is not. In brackets: how often it begins."
)

_HEADINGS = ("objects", "slices", "IoU", "lost", "switched", "false")


def propagation_table(columns: Mapping[str, Sequence[StackOutcome]]) -> str:
    """Return a Markdown table: a line for each kind of object and one for all, for each of the columns' names.

    Parameters
    ----------
    columns : Mapping
        What was compared (a model, a way of prompting) to its stacks.
    """
    lines = [["", "kind", *_HEADINGS, "divisions"], ["---", "---", *["---:"] * (len(_HEADINGS) + 1)]]
    for name, stacks in columns.items():
        objects = [single for stack in stacks for single in stack.objects]
        lines += [
            [name, kind, *_cells([single for single in objects if single.kind == kind]), ""]
            for kind in sorted({single.kind for single in objects})
        ]
        lines.append([name, "**all**", *_cells(objects), _divisions(stacks)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(objects: Sequence[ObjectOutcome]) -> list[str]:
    iou = mean_interval(np.array([single.iou for single in objects]))
    total = sum(single.slices for single in objects)

    def events(slices: str, runs: str) -> str:
        count = sum(getattr(single, slices) for single in objects)
        return f"{count} ({sum(getattr(single, runs) for single in objects)})"

    return [
        str(len(objects)),
        str(total),
        f"{iou.mean:.3f} ({iou.low:.3f} to {iou.high:.3f})",
        events("lost", "losses"),
        events("switched", "switches"),
        events("false", "continuations"),
    ]


def _divisions(stacks: Sequence[StackOutcome]) -> str:
    found, true, false = (
        sum(getattr(stack, name) for stack in stacks) for name in ("divisions_found", "divisions", "divisions_false")
    )
    return f"{found} of {true}, {false} false"
