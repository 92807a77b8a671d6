"""How good people find masks: ratings from 1 to 10 in random order, blind, and what they say.

Kirillov et al. 2023 (arXiv:2304.02643), section 7.4 and appendix E: masks of two models for the same objects are
mixed and rated by people who do not know which is whose; means with 95 % intervals, a paired t-test, and a paired
bootstrap of the difference with a 99 % interval.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from napari_segany.evaluation.metrics import Interval
from napari_segany.evaluation.plots import new_figure
from napari_segany.formats.atomic import replacing
from napari_segany.formats.record import MaskRecord
from napari_segany.formats.sa1b import SA1BImage, SA1BSample, iterate_sa1b, read_sa1b

LOWEST, HIGHEST = 1, 10
BOOTSTRAP = 10_000
_SAME_OBJECT = 0.5
_COLUMNS = ("source", "image", "mask", "object", "rating")

CRITERIA = (
    "1: no object to be seen. 3: much of the object is missing, or much else is in the mask. 5: the object is there, "
    "with large errors at its border. 7: its border has small errors. 9: hardly an error. 10: nothing to mend."
)
"""In our words, after the paper's guidelines."""


@dataclass(frozen=True)
class ReviewItem:
    """A mask to be rated.

    Attributes
    ----------
    source : str
        Whose it is; not shown to who rates it.
    image : str
        Name of its image: of the file it was made of, where the data engine has written it down, else its own.
    mask : int
        Its number in the image, from 1.
    object : str
        Of masks of two sources that are of one object: the same word; otherwise its own.
    record : MaskRecord
        The mask.
    path : pathlib.Path
        The image.
    """

    source: str
    image: str
    mask: int
    object: str
    record: MaskRecord
    path: Path

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from all others."""
        return self.source, self.image, self.mask


class Review:
    """Masks in random order, and their ratings, which are written down at once.

    Parameters
    ----------
    items : sequence of ReviewItem
        The masks.
    path : pathlib.Path
        The CSV file of the ratings; those that are there are gone on with.
    seed : int
        Of the order.

    Raises
    ------
    ValueError
        For no masks, or a file that is no table of ratings.
    """

    def __init__(self, items: Sequence[ReviewItem], path: Path, seed: int = 0) -> None:
        if not items:
            raise ValueError("there are no masks to rate")
        self.path = path
        self._ratings: dict[tuple[str, str, int], int] = {}
        self._others: list[dict[str, str]] = []  # ratings of masks that are not shown now
        self._items = {item.key: item for item in items}
        order = np.random.default_rng(seed).permutation(len(items))
        self.order = tuple(items[number] for number in order)
        if path.is_file():
            # Tables of before name images by their number in the export.
            by_number = {(item.source, item.path.stem, item.mask): item.key for item in items}
            for row in read_ratings(path):
                key = (row["source"], row["image"], int(row["mask"]))
                key = key if key in self._items else by_number.get(key, key)
                if key in self._items:
                    self._ratings[key] = int(row["rating"])
                else:
                    self._others.append(row)
        self.position = 0
        self._to_next()

    @property
    def current(self) -> ReviewItem | None:
        """The mask that is to be rated; None when all are."""
        return self.order[self.position] if self.position < len(self.order) else None

    @property
    def rated(self) -> int:
        """How many masks are rated."""
        return len(self._ratings)

    def rate(self, rating: int) -> None:
        """Rate the present mask and go on.

        Raises
        ------
        ValueError
            For a rating that is not from 1 to 10.
        OSError
            Where the file cannot be written; the rating does not count then.
        """
        if not LOWEST <= rating <= HIGHEST:
            raise ValueError(f"the rating is {rating}; give {LOWEST} to {HIGHEST}")
        item = self.current
        if item is None:
            return
        before = dict(self._ratings)
        self._ratings[item.key] = rating
        try:
            self._write()
        except OSError:
            self._ratings = before
            raise
        self.skip()

    def skip(self) -> None:
        """Go on to the next mask that is not rated."""
        self.position += 1
        self._to_next()

    def back(self) -> None:
        """Go back to the mask before, to rate it anew."""
        self.position = max(self.position - 1, 0)

    def _to_next(self) -> None:
        while self.position < len(self.order) and self.order[self.position].key in self._ratings:
            self.position += 1

    def _write(self) -> None:
        with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows([row[column] for column in _COLUMNS] for row in self._others)
            for key, rating in self._ratings.items():
                writer.writerow([*key, self._items[key].object, rating])


def review_items(folders: Mapping[str, Path], count: int | None = None, seed: int = 0) -> list[ReviewItem]:
    """Return the masks of one or two folders in SA-1B's layout, of which those of one object are paired.

    Parameters
    ----------
    folders : mapping of str to pathlib.Path
        By the name of whose masks they are.
    count : int, optional
        Objects, at random, where there are more.
    seed : int
        Of the choice.

    Raises
    ------
    ValueError, OSError
        For a folder without masks, or one that cannot be read.
    """
    found: dict[str, list[ReviewItem]] = {}
    for source, folder in folders.items():
        samples = list(iterate_sa1b(folder))
        if not samples:
            raise ValueError(f"{folder} has no sa_N.jpg with sa_N.json beside it")
        for sample in samples:
            image = read_sa1b(sample.annotation_path)
            others = found.setdefault(_name_of(image, sample), [])
            others += _items_of(source, sample, image, list(others))
    items = [item for own in found.values() for item in own]
    objects = sorted({(item.image, item.object) for item in items})
    if count is not None and count < len(objects):
        chosen = np.random.default_rng(seed).choice(len(objects), count, replace=False)
        kept = {objects[number] for number in chosen}
        items = [item for item in items if (item.image, item.object) in kept]
    return items


def read_ratings(path: Path) -> list[dict[str, str]]:
    """Read a table of ratings; ValueError for another one."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            rows = [] if missing else list(reader)
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{path} is no table of ratings, nor any CSV file") from None
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it is no table of ratings")
    for number, row in enumerate(rows, 2):
        if not (row["rating"] or "").isdigit() or not LOWEST <= int(row["rating"]) <= HIGHEST:
            raise ValueError(f"{path}, line {number}: the rating is {row['rating']!r}; it must be 1 to 10")
    return rows


@dataclass(frozen=True)
class Comparison:
    """What ratings of the same objects by two sources say.

    Attributes
    ----------
    first, second : str
        The sources.
    objects : int
        Objects that have a rating of both.
    difference : Interval
        Mean of first minus second, with its 99 % interval by a paired bootstrap.
    t, p : float
        Of the paired t-test; NaN where all differences are equal, of which it says nothing.
    """

    first: str
    second: str
    objects: int
    difference: Interval
    t: float
    p: float


def mean_rating(ratings: Sequence[float]) -> Interval:
    """Return the mean with its 95 % interval by Student's t; of one rating the interval is not known."""
    values = np.asarray(ratings, float)
    if len(values) < 2 or not values.std():
        mean = float(values.mean()) if len(values) else float("nan")
        return Interval(mean, mean if len(values) > 1 else float("nan"), mean if len(values) > 1 else float("nan"))
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return Interval(float(values.mean()), float(low), float(high))


def compare(rows: Sequence[Mapping[str, str]], seed: int = 0) -> Comparison | None:
    """Compare the two sources of a table; None where there are not two, or less than two common objects."""
    sources = sorted({row["source"] for row in rows})
    if len(sources) != 2:
        return None
    ratings = [
        {(row["image"], row["object"]): int(row["rating"]) for row in rows if row["source"] == source}
        for source in sources
    ]
    common = sorted(set(ratings[0]) & set(ratings[1]))
    if len(common) < 2:
        return None
    pairs = np.array([[own[name] for own in ratings] for name in common], float)
    differences = pairs[:, 0] - pairs[:, 1]
    rng = np.random.default_rng(seed)
    means = np.array([differences[rng.integers(len(common), size=len(common))].mean() for _ in range(BOOTSTRAP)])
    low, high = np.quantile(means, [0.005, 0.995])
    difference = Interval(float(differences.mean()), float(low), float(high))
    t = p = float("nan")
    if np.ptp(differences):
        test: Any = stats.ttest_rel(pairs[:, 0], pairs[:, 1])
        t, p = float(test.statistic), float(test.pvalue)
    return Comparison(sources[0], sources[1], len(common), difference, t, p)


def review_text(rows: Sequence[Mapping[str, str]]) -> str:
    """Return what the ratings say, as a Markdown table with sentences."""
    lines = ["| masks of | ratings | mean | 95 % interval |", "|---|---:|---:|---|"]
    for source in sorted({row["source"] for row in rows}):
        own = [int(row["rating"]) for row in rows if row["source"] == source]
        cell = mean_rating(own)
        interval = "-" if np.isnan(cell.low) else f"{cell.low:.2f} to {cell.high:.2f}"
        lines.append(f"| {source} | {len(own)} | {cell.mean:.2f} | {interval} |")
    found = compare(rows)
    if found is not None:
        one = found.difference
        test = "-" if np.isnan(found.t) else f"t = {found.t:.2f}, p = {found.p:.2g}"
        lines += [
            "",
            f"{found.first} minus {found.second}, {found.objects} objects: {one.mean:+.2f} (99 % interval by "
            f"a paired bootstrap {one.low:+.2f} to {one.high:+.2f}); paired t-test: {test}.",
        ]
    return "\n".join(lines)


def plot_ratings(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Draw how often each rating was given, by source.

    Raises
    ------
    MatplotlibMissingError
        If matplotlib is not installed.
    """
    figure = new_figure(5.5, 3.2)
    axes = figure.subplots()
    sources = sorted({row["source"] for row in rows})
    width = 0.8 / max(len(sources), 1)
    for number, source in enumerate(sources):
        own = [int(row["rating"]) for row in rows if row["source"] == source]
        counts = np.bincount(own, minlength=HIGHEST + 1)[LOWEST:]
        places = np.arange(LOWEST, HIGHEST + 1) + (number + 0.5) * width - 0.4
        axes.bar(places, 100 * counts / len(own), width, label=f"{source}: {np.mean(own):.2f}")
    axes.set(xlabel="rating", ylabel="masks, %", xticks=range(LOWEST, HIGHEST + 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def _name_of(image: SA1BImage, sample: SA1BSample) -> str:
    """Return the file that an image was made of; an export numbers its images by what is done, so sa_2 is any."""
    source = image.extra.get("source_file")
    return source if isinstance(source, str) and source else sample.image_path.stem


def _items_of(source: str, sample: SA1BSample, image: SA1BImage, others: Sequence[ReviewItem]) -> list[ReviewItem]:
    """Return the masks of an image; each is of the object of the other source's mask that it overlaps most."""
    from napari_segany.engine.data_engine.masks import mask_iou

    name, taken, items = _name_of(image, sample), set(), []
    for number, record in enumerate(_records_of(image), 1):
        word = f"{source} {number}"
        free = [other for other in others if other.object not in taken]
        overlaps = [mask_iou(record, other.record) for other in free]
        if overlaps and max(overlaps) >= _SAME_OBJECT:
            word = free[int(np.argmax(overlaps))].object
            taken.add(word)
        items.append(ReviewItem(source, name, number, word, record, sample.image_path))
    return items


def _records_of(image: SA1BImage) -> list[MaskRecord]:
    """Return the masks of an image with their whole prompts, where the data engine has written them beside."""
    told = image.extra.get("provenance")
    found = [_prompt_of(one) for one in told] if isinstance(told, list) else []
    found += [{}] * (len(image.records) - len(found))
    return [
        replace(record, prompt=prompt) if prompt else record
        for record, prompt in zip(image.records, found, strict=False)
    ]


def _prompt_of(provenance: Any) -> Mapping[str, Any]:
    """Return the prompt of an entry of a file; {} for one that cannot be drawn."""
    prompt = provenance.get("prompt") if isinstance(provenance, Mapping) else None
    if not isinstance(prompt, Mapping):
        return {}
    try:
        points = np.array(prompt.get("points") or np.zeros((0, 2)), float)
        box = np.array(prompt.get("box") or np.zeros(4), float)
        labels = np.array(prompt.get("labels") or np.ones(len(points)), float)
    except (ValueError, TypeError):
        return {}
    return prompt if points.shape == (len(labels), 2) and box.shape == (4,) else {}
