"""Average the weights of two models of one architecture, as those of `light` before and after a run were.

    python scripts/average_weights.py BEFORE AFTER 0.6 OUTPUT

writes 0.4 of BEFORE and 0.6 of AFTER (Wortsman et al. 2022, arXiv:2109.01903). What AFTER says about its training and
its data stays in the file, with the averaging.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_segany.model.checkpoint import save_sam
from napari_segany.model.state_file import read_state
from napari_segany.training.config import TrainingConfig
from napari_segany.training.network import start_network


def main() -> None:
    """Read two models, average every weight and running statistic, and write the result in half precision."""
    parser = argparse.ArgumentParser(description="Average the weights of two models.")
    parser.add_argument("before", help="a model's name or its file")
    parser.add_argument("after", type=Path, help="the file of another one, of the same architecture")
    parser.add_argument("share", type=float, help="how much of the second, 0 to 1")
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    if not 0 <= args.share <= 1:
        parser.error(f"the share is {args.share:g}; give a number from 0 to 1")
    # What was added to decoders since a file was written begins by changing nothing, and so is part of an average.
    before, after = (start_network(TrainingConfig(), str(name)).eval() for name in (args.before, args.after))
    if before.config != after.config:
        parser.error("the two models are of different architectures")
    first, second = before.state_dict(), after.state_dict()
    mixed = {
        key: value.float().lerp(second[key].float(), args.share) if value.is_floating_point() else second[key]
        for key, value in first.items()
    }
    after.load_state_dict(mixed)
    told = {key: value for key, value in read_state(args.after).metadata.items() if key.startswith("segany.")}
    # A file says nothing of where it was made.
    averaged = f"{args.share:g} of these weights and {1 - args.share:g} of those of {Path(args.before).stem}"
    save_sam(after, args.output, metadata={**told, "segany.averaged": averaged})
    print(args.output)


if __name__ == "__main__":
    main()
