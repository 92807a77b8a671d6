"""From edge scores to a table with the published numbers beside it, and to the curve of precision over recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_segany.evaluation.edge_scores import EdgeScore, edge_intervals, measure_edges
from napari_segany.evaluation.plots import new_figure
from napari_segany.evaluation.report import Heading, Row

HEADINGS = (Heading("ODS", "ods"), Heading("OIS", "ois"), Heading("AP", "ap"), Heading("R50", "r50"))

EDGE_NOTE = (
    "F-measure of edges with one threshold for all images (ODS) and with the best one for each image (OIS), area "
    "under precision over recall (AP), recall at 50 % precision (R50); each ± half of its 95 % bootstrap interval "
    "over images. 'objects' counts the drawings of all annotators."
)

PUBLISHED: Mapping[str, tuple[str, str, str, str]] = {
    "Sobel, published": ("0.539", "-", "-", "-"),
    "Canny, published": ("0.600", "0.640", "0.580", "-"),
    "SAM ViT-H, published": ("0.768", "0.786", "0.794", "0.928"),
}
"""ODS, OIS, AP, R50 on all 200 test images of BSDS500: Kirillov et al. 2023 (arXiv:2304.02643), table 3."""


def edge_rows(scores: Mapping[str, Sequence[EdgeScore]], seed: int = 0) -> list[Row]:
    """Return a line per detector."""
    return [
        Row(name, len(own), sum(score.annotators for score in own), edge_intervals(own, seed))
        for name, own in scores.items()
        if own
    ]


def published_markdown() -> str:
    """Return the lines of the published numbers, for a Markdown table of four numbers."""
    return "\n".join(f"| {name} | 200 | | {' | '.join(cells)} |" for name, cells in PUBLISHED.items())


def plot_edges(scores: Mapping[str, Sequence[EdgeScore]], path: Path) -> None:
    """Draw precision over recall of each detector, and write the picture.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(5, 4.5)
    axes = figure.subplots()
    for name, own in scores.items():
        if own:
            found = measure_edges(own)
            axes.plot(found.recall, found.precision, marker=".", label=f"{name}: ODS {found.ods:.3f}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
