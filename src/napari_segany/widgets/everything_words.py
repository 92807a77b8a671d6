"""Among the objects that were found, those that fit some words: what the dock does is a method here. Knows no Qt.

`widget.session.words` in napari's console is this object::

    words.look_for("a nucleus", "a cell")        # in the background; the objects that do not fit are left out
    words.look_for("a nucleus", background=["glass", "fibres"], threshold=0.7)
    words.set_threshold(0.4)                     # at once: what the objects look like is known
    words.forget()                               # all objects again

What an object looks like is asked of CLIP once, whatever the words. Objects that come later, by a lower threshold or
on another slice, are compared as they come; until then they stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_segany.engine.progress import Progress, Steps
from napari_segany.engine.text_query import TextQuery, download_size
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.everything_objects import Key, WordFit
from napari_segany.widgets.everything_results import EverythingResults
from napari_segany.widgets.geometry import Plane
from napari_segany.widgets.layers import full_resolution, intensity_limits, read_plane
from napari_segany.widgets.progress_runner import Runner, Task

if TYPE_CHECKING:
    from napari_segany.engine.clip import PictureEncoder

LoadClip = Callable[[str, bool], "PictureEncoder"]
"""Makes a CLIP of a name or a folder; the second says whether it may be fetched from the network."""

IDLE = "Type what you look for, such as: a nucleus. Objects that do not fit are left out; they are not lost."


@dataclass(frozen=True, eq=False)
class _Compared:
    """What came of comparing some objects of a plane; `texts` are the vectors of the query."""

    clip: Any
    query: TextQuery
    texts: NDArray[np.float32]
    plane: Plane | None
    vectors: dict[Key, NDArray[np.float32]]


class EverythingWords:
    """Chooses by words among the objects of one image.

    Parameters
    ----------
    runner : Runner
        Runs CLIP.

    Attributes
    ----------
    query : TextQuery or None
        What is looked for.
    status : str
        What is the matter, and what to do next.
    needs_download : bool
        Whether CLIP is not on this computer: `download` fetches it, once.
    load : callable
        Makes a CLIP of a name or a folder.
    """

    changed = Signal()

    def __init__(self, runner: Runner) -> None:
        self.query: TextQuery | None = None
        self._last: TextQuery | None = None
        self.status = IDLE
        self.needs_download = False
        self._runner = runner
        self.load: LoadClip = _load
        self._clip: tuple[str, Any] | None = None
        self._texts: tuple[TextQuery, NDArray[np.float32]] | None = None
        self._task: Task | None = None
        self._failed = self._advancing = False
        self._image: Image | None = None
        self._results: EverythingResults | None = None
        self._limits: tuple[float, float] | None = None
        self._vectors: dict[Plane, dict[Key, NDArray[np.float32]]] = {}

    def turn_to(self, image: Image | None, results: EverythingResults | None) -> None:
        """Choose among the objects of another image, by the same words."""
        self._stop()
        if self._results is not None:
            self._results.changed.disconnect(self._advance)
        self._vectors.clear()
        self._image, self._results = image, results
        if results is not None:
            results.word_fit = self.fit
            results.changed.connect(self._advance)
            self._advance()
        else:
            self._say(IDLE)

    # ------------------------------------------------------------------ what is done

    def look_for(
        self,
        *words: str,
        background: Sequence[str] | None = None,
        threshold: float | None = None,
        model: str | None = None,
    ) -> None:
        """Leave out the objects that do not fit any of the words, in the background.

        Parameters
        ----------
        *words : str
            One or several descriptions of what is looked for.
        background : sequence of str, optional
            Descriptions of everything else, which compete with the words; as before where not given.
        threshold : float, optional
            Least probability of an object that is kept, 0 to 1.
        model : str, optional
            A folder with a CLIP, or the name of a public one.

        Raises
        ------
        ValueError
            For no words, or a threshold out of its range.
        """
        before = self.query or self._last
        given = {
            "background": None if background is None else tuple(background),
            "threshold": threshold,
            "model": model,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        query = TextQuery(words, **changes) if before is None else replace(before, words=words, **changes)  # type: ignore[arg-type]
        if query != self.query:
            self._stop()
        self.query = self._last = query
        self._failed = self.needs_download = False
        if self._results is not None and self._is_ready():  # the same words again, or another threshold
            self._results.refit()
        self._advance()

    def set_threshold(self, threshold: float) -> None:
        """Keep the objects that reach another probability.

        Raises
        ------
        ValueError
            For a value that is no probability, or while nothing is looked for.
        """
        if self.query is None:
            raise ValueError("Nothing is looked for; type some words first.")
        self.query = self._last = replace(self.query, threshold=threshold)
        if self._results is not None and self._is_ready():
            self._results.refit()
        self._tell()

    def forget(self) -> None:
        """Look for nothing: all objects are there again."""
        self._stop()
        was_ready = self._is_ready()
        self.query, self._failed, self.needs_download = None, False, False
        if was_ready and self._results is not None:
            self._results.refit()
        self._say(IDLE)

    def download(self) -> None:
        """Fetch the CLIP that is looked with, once, and go on; only this goes to the network."""
        if self.query is not None:
            self._stop()
            self._failed = False
            self._start(None, [], fetch=True)

    @property
    def download_size(self) -> str:
        """How much `download` fetches, such as "0.6 GB"."""
        return download_size("" if self.query is None else self.query.model)

    @property
    def is_busy(self) -> bool:
        """Whether CLIP is at work."""
        return self._task is not None

    # ----------------------------------------------------------------- what is known

    def fit(self, plane: Plane) -> WordFit | None:
        """Return how well the objects of a plane fit; None while nothing is looked for, or CLIP is not ready."""
        if self.query is None or self._texts is None or self._clip is None or not self._is_ready():
            return None
        from napari_segany.engine.text_ranking import word_probabilities

        vectors = self._vectors.get(plane, {})
        stacked = np.stack(list(vectors.values())) if vectors else np.zeros((0, 0), np.float32)
        scores = word_probabilities(stacked, self._texts[1], len(self.query.words), self._clip[1].temperature)
        return WordFit(dict(zip(vectors, scores.tolist(), strict=True)), self.query.threshold)

    # --------------------------------------------------------------------- internal

    def _is_ready(self) -> bool:
        """Whether the vectors of these words are there."""
        return self.query is not None and self._texts is not None and _same_texts(self._texts[0], self.query)

    def _advance(self) -> None:
        """Compare what has not been compared. A loop, for a runner that works at once comes back here."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._begin_next():
                pass
        finally:
            self._advancing = False

    def _begin_next(self) -> bool:
        """Begin with a plane, the shown one first; return whether that is over already and others may come."""
        if self.query is None or self._results is None or self._image is None or self._task or self._failed:
            return False
        if (limits := intensity_limits(self._image)) != self._limits:
            self._vectors.clear()
            self._limits = limits
        results = self._results
        planes = sorted(results.planes, key=lambda plane: plane != results.shown_plane)
        for plane in planes:
            known = self._vectors.get(plane, {})
            new = [(key, record) for key, record in results.on(plane).found.items() if key not in known]
            if new:
                self._start(plane, new)
                return self._task is None
        if not self._is_ready():
            self._start(None, [])
            return self._task is None
        self._tell()
        return False

    def _start(self, plane: Plane | None, new: list[tuple[Key, MaskRecord]], *, fetch: bool = False) -> None:
        query, image = self.query, self._image
        if query is None:
            return
        held = self._clip[1] if self._clip is not None and self._clip[0] == query.model else None
        if held is None:
            self._vectors.clear()

        def read() -> Any:
            return None if image is None or plane is None else read_plane(full_resolution(image), plane)

        load = None if held is not None else lambda: self.load(query.model, fetch)
        note = "Fetching CLIP, once" if fetch else "Loading CLIP"
        steps = _compare_steps(held, load, note, query, plane, read, self._limits, new)
        done = False

        def ended(compared: _Compared) -> None:
            nonlocal done
            done, self._task = True, None
            self._compared(compared)

        def broke(error: Exception) -> None:
            nonlocal done
            done, self._task = True, None
            self._broke(error, fetch)

        self._say(f"Looking for {query.words[0]} ...")
        task = self._runner.start("Comparing with words", steps, done=ended, failed=broke, report=self._report)
        self._task = None if done else task

    def _compared(self, compared: _Compared) -> None:
        self.needs_download, was_ready = False, self._is_ready()
        self._clip = (compared.query.model, compared.clip)
        self._texts = (compared.query, compared.texts)
        if compared.plane is not None:
            self._vectors.setdefault(compared.plane, {}).update(compared.vectors)
        if self._results is not None:
            self._results.refit([compared.plane] if was_ready and compared.plane is not None else None)
        self._advance()

    def _broke(self, error: Exception, fetching: bool) -> None:
        from napari_segany.engine.clip import NotHereError

        self._failed = True
        if self._results is not None:
            self._results.refit()  # what fitted other words is no answer to these
        self.needs_download = fetching or isinstance(error, NotHereError)
        text = str(error) or type(error).__name__
        if isinstance(error, NotHereError):
            text = (
                f"The CLIP that compares with words is not on this computer. Press Download to fetch it once "
                f"({self.download_size}), or choose a folder that holds one."
            )
        self._say(f"{text[:1].upper()}{text[1:]}")

    def _report(self, progress: Progress) -> None:
        self._say(
            f"{progress.note}: {progress.done} of {progress.total}" if progress.total else f"{progress.note} ..."
        )

    def _tell(self) -> None:
        """Say how many fit."""
        if self.query is None or self._results is None or not self._is_ready() or self._task is not None:
            return
        scores = [score for plane in self._results.planes for score in self._scores(plane)]
        best = max(scores, default=0.0)
        kept = sum(score >= self.query.threshold for score in scores)
        words = " or ".join(f"“{word}”" for word in self.query.words)
        if not scores:
            self._say(f"Looking for {words}: press Run to find objects among which to choose.")
        elif not kept:
            self._say(f"None of {len(scores):,} objects fits {words}; the best has {best:.2f}: lower the threshold.")
        else:
            self._say(f"{kept:,} of {len(scores):,} objects fit {words}.")

    def _scores(self, plane: Plane) -> list[float]:
        fit = self.fit(plane)
        if fit is None or self._results is None:
            return []
        objects = self._results.on(plane)
        return [score for key, score in fit.scores.items() if key in objects.found and key not in objects.hidden]

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _say(self, text: str) -> None:
        self.status = text
        self.changed.emit()


def _same_texts(first: TextQuery, second: TextQuery) -> bool:
    return replace(first, threshold=second.threshold) == second


def _load(model: str, fetch: bool) -> PictureEncoder:
    from napari_segany.engine.clip import Clip

    return Clip(model, fetch=fetch)


def _compare_steps(
    held: Any,
    load: Callable[[], Any] | None,
    note: str,
    query: TextQuery,
    plane: Plane | None,
    read: Callable[[], Any],
    limits: tuple[float, float] | None,
    new: Sequence[tuple[Key, MaskRecord]],
) -> Steps[_Compared]:
    """Load CLIP unless it is held, and let it look at the words and at some objects."""
    from napari_segany.engine.text_ranking import eight_bits, picture_vector_steps

    if load is not None:
        yield Progress(0, 0, note)
        held = load()
    yield Progress(0, 0, f"Looking for {query.words[0]}")
    texts = held.words(query.texts)
    vectors: dict[Key, NDArray[np.float32]] = {}
    if new:
        records = [record for _, record in new]
        seen = yield from picture_vector_steps(
            held, eight_bits(read(), limits), records, f"Looking for {query.words[0]}"
        )
        vectors = {key: vector for (key, _), vector in zip(new, seen, strict=True)}
    return _Compared(held, query, texts, plane, vectors)
