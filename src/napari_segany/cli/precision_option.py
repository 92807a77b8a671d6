"""The option --precision: in which the image encoder computes. Imports torch only when it runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from napari_segany.engine.precision_names import AUTO, FLOAT32, PRECISIONS

if TYPE_CHECKING:
    from napari_segany.engine.batch.model_source import NamedModel


def add_precision_option(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument(
        "--precision", choices=(AUTO, *(name for name in PRECISIONS if name != AUTO)), default=AUTO,
        help="of the image encoder; auto is bfloat16 where the processor is faster so (default: auto)",
    )  # fmt: skip


def model_of_batch(args: argparse.Namespace) -> NamedModel:
    """Return the model that a batch asks for.

    The machines of a cluster at an address may be others than this one: what is faster here says nothing of them.
    """
    from napari_segany.engine.batch.model_source import NamedModel

    elsewhere = args.dask not in (None, "local")
    precision = FLOAT32 if elsewhere and args.precision == AUTO else args.precision
    return NamedModel(args.model, args.device, precision=precision)
