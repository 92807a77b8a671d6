"""A saved session as a Python script that makes the same labels with the names of the package. Text only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pprint import pformat
from typing import Any

import numpy as np

from napari_segany.engine.precision_names import FLOAT32
from napari_segany.engine.replay import SAMPLE_KEY, saved_bands
from napari_segany.engine.replay_derived import numbers_of
from napari_segany.formats.session_derived import SavedCarried, SavedDerived
from napari_segany.formats.session_file import SavedSession
from napari_segany.formats.session_steps import (
    PlaneMasks,
    SavedAnswer,
    SavedEach,
    SavedPixels,
    SavedQuestion,
    slicer_of,
)

_WIDTH = 100


def session_script(saved: SavedSession) -> str:
    """Return a script that makes the objects of a session, in the array `labels`, and the mask under work, in `mask`.

    Run with the name of a TIFF, it writes the labels there. It reads the image from where the session has it, a
    sample image by its name; of an image in no file it says as what it is to be saved, and stops until it is.

    Raises
    ------
    ValueError
        For a session without a log.
    """
    if saved.log is None:
        raise ValueError("the session does not say how its objects came about")
    shape = tuple(int(side) for side in saved.image["shape"][: int(saved.image["ndim"])])
    wide = max(saved.objects, default=0) > np.iinfo(np.uint16).max
    lines = [*_head(saved), f"labels = np.zeros({shape}, np.{'uint32' if wide else 'uint16'})", ""]
    lines += _pixels("Objects that were there before.", saved.log.start)
    writer = _Writer()
    for step in saved.log.steps:
        if isinstance(step, SavedPixels):
            lines += _pixels("Painted, or edited by hand.", step.planes)
        elif isinstance(step, SavedDerived):
            lines += _pixels(_derivation(step), step.planes)
        elif isinstance(step, SavedEach):
            lines += writer.each(step)
        elif isinstance(step, SavedAnswer):
            lines += writer.object(step)
    lines += writer.under_work(saved)
    lines += ["if len(sys.argv) > 1:", *_writing(saved)]
    lines += ['print(f"{len(np.unique(labels[labels > 0]))} objects")', ""]
    return "\n".join(lines)


def _writing(saved: SavedSession) -> Iterator[str]:
    """Return what writes the labels, of a raster with its place on Earth."""
    bands = saved_bands(saved)
    if bands is None:
        yield "    segany.write_label_tiff(sys.argv[1], labels)"
        return
    yield "    from napari_segany.formats.geo_labels import write_label_geotiff"
    yield "    from napari_segany.formats.geo_raster import read_raster"
    yield ""
    yield f"    write_label_geotiff(sys.argv[1], labels, read_raster({bands.path!r}).grid)"


def _head(saved: SavedSession) -> Iterator[str]:
    name = str(saved.image.get("name", ""))
    package = saved.versions.get("napari-segany", "")
    yield f'"""Makes the objects of {_plain(name)!r} again, in `labels`; written by napari-segany {package}."""'
    yield ""
    path, sample = saved.image.get("path"), saved.image.get(SAMPLE_KEY)
    is_read = _asks(saved) or bool(questions_under_work(saved))
    if is_read and not (path or sample):
        yield "import os"
    yield "import sys"
    yield ""
    yield "import numpy as np"
    yield ""
    yield "import napari_segany as segany"
    yield ""
    if not is_read:
        yield f"# Nothing is asked about the image {_plain(name)!r}: the objects are kept as pixels."
        return
    if path:
        yield f"image = segany.read_array({str(path)!r})"
    elif sample:
        yield f"image = segany.sample_image({str(sample)!r})"
    else:
        yield from _read_when_saved(name)
    for plane in saved.image.get("planes") or ():
        where = _index(slicer_of(tuple(plane["axes"]), tuple(int(at) for at in plane["index"])))
        yield f"if segany.image_digest(image{where}) != {plane['digest']!r}:"
        yield '    sys.exit("The image is not the one that was worked on: its pixels are others.")'


def _read_when_saved(name: str) -> Iterator[str]:
    """Return what reads an image that is in no file yet, from where it is to be saved."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", name) or "image"
    files, plain = (f"{stem}.tif", f"{stem}.npy"), _plain(name)
    where = f"{files[0]} or {files[1]}"
    yield f"# The image {plain!r} was in no file when this was written. Save its layer beside this script as"
    yield f"# {where}: Save image ... in the dock's part Session, or File > Save Selected Layers."
    yield f"files = [file for file in {files!r} if os.path.exists(file)]"
    yield "if not files:"
    yield f"    sys.exit({f'Save the image {plain} here as {where}, and run this again.'!r})"
    yield "image = segany.read_array(files[0])"


def _asks(saved: SavedSession) -> bool:
    return saved.log is not None and any(isinstance(step, SavedAnswer | SavedEach) for step in saved.log.steps)


def questions_under_work(saved: SavedSession) -> tuple[SavedQuestion, ...]:
    """Return what was asked about the whole plane for the mask under work; nothing where there is none."""
    if saved.choices.get("candidate") is None:
        return ()
    questions = tuple(SavedQuestion.from_dict(one) for one in saved.choices.get("questions") or ())
    return () if any(one.window is not None for one in questions) else questions


def _plain(name: str) -> str:
    """Return a name that cannot end a docstring."""
    return "".join(letter for letter in name if letter.isprintable() and letter not in '"\\')


class _Writer:
    """Writes objects; the predictor and the embedding of the object before serve the next one."""

    def __init__(self) -> None:
        self._predictor: tuple[Any, ...] | None = None
        self._embedding: tuple[Any, ...] | None = None

    def object(self, step: SavedAnswer) -> Iterator[str]:
        """Return the lines that make an accepted object."""
        yield f"# Object {step.label}"
        yield from self._answer(step)
        mask = f"prediction.masks[{step.chosen}]"
        if step.cleaning is not None:
            mask = f"{_clean_up(step.cleaning)}.apply({mask})"
        yield f"segany.put_object(labels{_index(step.slicer)}, {mask}, {step.label}, overlap={step.overlap!r})"
        yield ""

    def each(self, step: SavedEach) -> Iterator[str]:
        """Return the lines that make an object of each of many prompts."""
        kind, given = ("points", step.points) if step.points else ("boxes", step.boxes)
        yield f"# One object for each of {len(given)} {kind}"
        yield from self._predictor_of(step)
        yield from self._embedding_of(step.slicer, step.contrast_limits)
        written = pformat([tuple(one) for one in given], width=_WIDTH, compact=True)
        yield f"found = segany.one_each(predictor, embedding, {kind}={written}, policy={step.policy!r})"
        numbers = pformat(list(step.labels), width=_WIDTH, compact=True)
        cleaning = "" if step.cleaning is None else f", cleaning={_clean_up(step.cleaning)}"
        yield f"segany.put_each(labels{_index(step.slicer)}, found, {numbers}, overlap={step.overlap!r}{cleaning})"
        yield ""

    def under_work(self, saved: SavedSession) -> Iterator[str]:
        """Return the lines that make the mask that was shown and not yet accepted."""
        choices, plane, questions = saved.choices, saved.choices.get("plane"), questions_under_work(saved)
        if not questions and choices.get("candidate") is not None:
            yield "# The mask under work is left out: it was found in a window of a large image, or of a raster."
        if not questions or plane is None:
            return
        step = SavedAnswer(
            axes=(int(plane["axes"][0]), int(plane["axes"][1])),
            index=tuple(int(place) for place in plane["index"]),
            questions=questions,
            chosen=int(choices["candidate"]),
            model=saved.model,
            weights="",
            device=str(choices.get("device", "auto")),
            rounded=bool(choices.get("rounded", False)),
            precision=str(choices.get("precision", FLOAT32)),
            label=0,
        )
        yield "# The mask under work, not accepted yet"
        yield from self._answer(step)
        yield f"mask = prediction.masks[{step.chosen}]"
        yield ""

    def _answer(self, step: SavedAnswer) -> Iterator[str]:
        yield from self._predictor_of(step)
        for question in step.questions:
            yield from self._embedding_of(step.slicer, question.contrast_limits)
            yield f"prediction = predictor.predict(embedding, {', '.join(_arguments(question))})"

    def _predictor_of(self, step: SavedAnswer | SavedEach) -> Iterator[str]:
        predictor = (step.model, step.device, step.rounded, step.precision)
        if predictor != self._predictor:
            self._predictor, self._embedding = predictor, None
            # A cache keeps embeddings in half precision: with it the masks are those of the session, to the pixel.
            cache = ", cache=segany.CachePlaces().open()" if step.rounded else ""
            precision = "" if step.precision == FLOAT32 else f", precision={step.precision!r}"
            yield f"predictor = segany.Predictor({step.model!r}, device={step.device!r}{precision}{cache})"

    def _embedding_of(
        self, slicer: tuple[int | slice, ...], contrast_limits: tuple[float, float] | None
    ) -> Iterator[str]:
        if (slicer, contrast_limits) != self._embedding:
            self._embedding = (slicer, contrast_limits)
            limits = "" if contrast_limits is None else f", contrast_limits={contrast_limits}"
            yield f"embedding = predictor.encode(image{_index(slicer)}{limits})"


def _clean_up(parameters: Mapping[str, Any]) -> str:
    return f"segany.CleanUp({', '.join(f'{name}={value!r}' for name, value in parameters.items())})"


def _arguments(question: SavedQuestion) -> Iterator[str]:
    if question.points:
        yield f"points={list(question.points)}"
        yield f"labels={list(question.labels)}"
    if question.box is not None:
        yield f"box={question.box}"
    if question.refines is not None:
        yield f"mask=prediction.logits[{question.refines}]"
    elif question.mask is not None:
        yield f"mask={_mask(question.mask.to_dict())}"


def _derivation(step: SavedDerived) -> str:
    """Return where objects came from whose pixels are written as they are."""
    if isinstance(step, SavedCarried):
        return f"Objects {numbers_of(step)}, carried through the stack: `segany replay` carries them again."
    return f"Objects {numbers_of(step)}, found by their likeness to others: `segany replay` looks for them again."


def _pixels(title: str, planes: PlaneMasks) -> Iterator[str]:
    for number, (index, masks) in enumerate(planes.items()):
        if not number:
            yield f"# {title}"
        for label, mask in masks.items():
            where = f"[{', '.join(str(place) for place in index)}]" if index else ""
            yield f"labels{where}[{_mask(mask.to_dict())}] = {label}"
    if planes:
        yield ""


def _mask(values: Mapping[str, Any]) -> str:
    written = pformat(dict(values), width=_WIDTH, compact=True)
    return f"segany.RunLengths.from_dict({written}).decode()"


def _index(slicer: tuple[int | slice, ...]) -> str:
    """Return "[3]", "[:, 3]" ... ; nothing for a 2-D image."""
    parts = [":" if isinstance(part, slice) else str(part) for part in slicer]
    while parts and parts[-1] == ":":
        parts.pop()
    return f"[{', '.join(parts)}]" if parts else ""
