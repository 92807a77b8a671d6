"""What a model of the data engine was taught, and which images are kept aside to measure on. Knows no model.

Images kept aside stay aside in all rounds: a model that has learned from an image is never measured on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import read_json_object, reading

FILE_NAME = "lessons.json"


@dataclass(frozen=True)
class Lessons:
    """What came of the rounds so far.

    Attributes
    ----------
    aside : tuple of str
        Images to measure on; no round learns from them.
    learned : tuple of str
        Images that the present weights have learned from.
    weights : str
        The file of the present weights, from the folder of the records; "" while they are those it began with.
    """

    aside: tuple[str, ...] = ()
    learned: tuple[str, ...] = ()
    weights: str = ""

    def for_round(self, images: Sequence[str], share: float, seed: int = 0) -> Lessons:
        """Return them with more images aside, until a share of those of a round is, and one at least.

        Only images that nothing was learned from are taken, by chance; one is always left to learn from.

        Raises
        ------
        ValueError
            Where all images have been learned from, or none is left to learn from.
        """
        aside = [name for name in images if name in self.aside]
        free = [name for name in images if name not in self.aside and name not in self.learned]
        wanted = max(round(share * len(images)), 1)
        order = np.random.default_rng(seed).permutation(len(free))
        room = len(images) - 1
        more = [free[number] for number in order][: max(min(wanted, room) - len(aside), 0)]
        if not aside and not more:
            raise ValueError(
                "the model has learned from all images that are done; finish one more, so that it can be measured"
            )
        if len(aside) + len(more) == len(images):
            raise ValueError("all images that are done are kept to measure on; finish one more to learn from")
        return replace(self, aside=(*self.aside, *more))


def read_lessons(work: Path) -> Lessons:
    """Read what `write_lessons` wrote; nothing was taught where there is no such file.

    Raises
    ------
    ValueError
        For a damaged file.
    """
    path = work / FILE_NAME
    if not path.is_file():
        return Lessons()
    values = read_json_object(path, "lessons")
    with reading(path.name):
        lists = [values.get(name, []) for name in ("aside", "learned")]
        if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists):
            raise ValueError("'aside' and 'learned' are lists of names")
        return Lessons(tuple(lists[0]), tuple(lists[1]), str(values.get("weights", "")))


def write_lessons(work: Path, lessons: Lessons) -> None:
    """Write them, whole or not at all; OSError where that fails."""
    with replacing(work / FILE_NAME) as temporary:
        temporary.write_text(json.dumps(asdict(lessons), indent=1) + "\n", encoding="utf-8")
