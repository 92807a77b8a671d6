"""The folder of a batch's outputs: where each file is, what is complete, and masks kept for those who come again.

`.segany/images/NAME/` holds the masks of each plane and `done.json`, the record of its files (`ledger.py`). Nothing
in it depends on when or in which order it was written.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.ledger import STATE, Ledger
from napari_segany.engine.batch.sources import ONLY_PLANE
from napari_segany.engine.batch.tile_outputs import TileOutputs
from napari_segany.engine.digests import content_digest_steps
from napari_segany.engine.progress import drain
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import (
    image_size,
    integer,
    objects,
    optional_number,
    read_json_object,
    text,
)
from napari_segany.formats.record import MaskRecord

_PLACES = {  # output: folder, ending, whether each plane has its own
    "labels": ("labels", ".tif", False),
    "csv": ("tables", ".csv", False),
    "sa1b": ("sa1b", ".json", True),
    "yolo": ("yolo/labels/train", ".txt", True),
    "yolo images": ("yolo/images/train", ".png", True),
    "overlay": ("overlays", ".png", True),
    "gpkg": ("vectors", ".gpkg", False),
    "geojson": ("vectors", ".geojson", False),
    "shp": ("vectors", ".shp", False),
}
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{8}(\.\w+)?")  # what `replacing` leaves when the process is killed


class BatchFolderInUseError(OSError):
    """Another batch writes into the same folder."""


@dataclass(frozen=True)
class PlaneMasks:
    """The masks of one plane as they are kept.

    Attributes
    ----------
    key : str
        What they were made of.
    size : tuple of int
        (H, W), in pixels.
    objects : tuple of BatchObject
        The masks, each of that size.
    """

    key: str
    size: tuple[int, int]
    objects: tuple[BatchObject, ...]


@dataclass(frozen=True)
class Completion:
    """What an image's `done.json` holds.

    Attributes
    ----------
    key : str
        What the files were made of.
    masks_key : str
        What the masks were made of.
    planes : tuple of str
        Names of its planes.
    objects : int
        Masks in all planes.
    files : Mapping
        Hashes of its files, and of the masks that are kept, by their paths within the folder; "" for those that are
        about to be written.
    source : str
        Where its input was, "" for what was no file.
    content : str
        The hash of its input.
    """

    key: str
    masks_key: str
    planes: tuple[str, ...]
    objects: int
    files: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    content: str = ""


@dataclass(frozen=True)
class BatchFolder:
    """The folder; everything below is named after the images of the batch.

    Attributes
    ----------
    root : pathlib.Path
        The folder itself.
    """

    root: Path

    @property
    def subfolders(self) -> tuple[Path, ...]:
        """The folders within it that a batch writes into."""
        names = ("labels", "tables", "sa1b", "yolo", "overlays", "vectors", STATE)
        return tuple(self.root / name for name in names)

    def place(self, kind: str, name: str, plane: str = ONLY_PLANE) -> Path:
        """Return where a file of an image is."""
        folder, ending, by_plane = _PLACES[kind]
        parts = (name,) if plane == ONLY_PLANE or not by_plane else (name, plane)
        return self.root.joinpath(folder, *parts[:-1], f"{parts[-1]}{ending}")

    def output(self, kind: str, name: str, plane: str = ONLY_PLANE) -> Path:
        """Return where a file of an image is, and make its folder."""
        path = self.place(kind, name, plane)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def claim(
        self, name: str, files: Collection[Path], source: str = "", content: str = "", renamed: Collection[str] = ()
    ) -> None:
        """Write down which files of an image are about to be written, so that a killed run can go on with them.

        Parameters
        ----------
        name : str
            What the outputs of the image are called.
        files : collection of pathlib.Path
            The files.
        source, content : str
            Where its input is, "" for what is no file, and the hash of it.
        renamed : collection of str
            Where inputs are that get another name in this run, and so may lose this one.

        Raises
        ------
        ValueError
            Where one of them is there and no batch wrote it, as far as is written down: somebody's own file. Where
            an earlier run wrote them for another image that is still there.
        OSError
            Where the folder cannot be written to.
        """
        ledger, before = self.ledger(name), self.recorded(name)
        self._check_is_not_of_another(name, files, source, content, renamed)
        # A damaged record is still one of ours, and images that go by tiles write files of the same names.
        is_damaged, of_tiles = before is None and ledger.path.exists(), TileOutputs(self.root, name)
        foreign = [path for path in ledger.foreign(files) if not of_tiles.has_written(path)]
        if foreign and not is_damaged:
            raise ValueError(
                f"{ledger.within(foreign[0])} is there and was not written by segany; choose another folder"
            )
        ledger.claim(files, asdict(Completion("", "", (), 0)) if before is None else None)

    def claim_tiles(self, name: str, files: Collection[Path], source: str, plane: str = "") -> None:
        """Write down which files of a large image are about to be written, and of which file and plane.

        Raises
        ------
        ValueError
            Where an earlier run wrote `files` for another image that is still there.
        """
        self._check_is_not_of_another(name, files, source)
        TileOutputs(self.root, name).claim(files, source, plane)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other batches out, on this computer and where file locks reach, and clear what a killed one left.

        Raises
        ------
        BatchFolderInUseError
            Where another batch is at work.
        OSError
            Where the folder cannot be written to.
        """
        state = self.root / STATE
        state.mkdir(parents=True, exist_ok=True)
        lock = FileLock(state / "lock", thread_local=False)  # a batch may be closed by another thread
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BatchFolderInUseError(
                f"another batch is writing into {self.root}; wait for its end or choose another folder"
            ) from None
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def write_plane(self, name: str, plane: str, masks: PlaneMasks) -> None:
        """Keep the masks of a plane."""
        height, width = masks.size
        values = {
            "key": masks.key,
            "height": height,
            "width": width,
            "objects": [
                {"class_id": item.class_id, "score": item.score, "mask": item.record.to_dict()}
                for item in masks.objects
            ],
        }
        _write_json(self._state(name, plane), values)

    def read_plane(self, name: str, plane: str) -> PlaneMasks:
        """Return the masks of a plane; OSError or ValueError where they are missing or damaged."""
        values = read_json_object(self._state(name, plane), "mask")
        items = tuple(
            BatchObject(
                MaskRecord.from_dict(item.get("mask", {})), integer(item, "class_id"), optional_number(item, "score")
            )
            for item in objects(values, "objects")
        )
        return PlaneMasks(text(values, "key"), image_size(values), items)

    def has_plane(self, name: str, plane: str, key: str) -> bool:
        """Tell whether the masks of a plane are kept, made of what `key` stands for."""
        try:
            return self.read_plane(name, plane).key == key
        except (OSError, ValueError):
            return False

    def completion(self, name: str, key: str) -> Completion | None:
        """Return what was written for an image if it is whole: made of what `key` stands for and unchanged since."""
        completion = self.recorded(name)
        if completion is None or completion.key != key:
            return None
        is_whole = all(self.ledger(name).is_unchanged(path, digest) for path, digest in completion.files.items())
        return completion if is_whole else None

    def complete(self, name: str, completion: Completion, files: Collection[Path]) -> None:
        """Write down that an image is complete, its `files` written.

        What an earlier run wrote besides stays where it shows the same masks, and is removed where it shows others;
        what was changed since is somebody's work and stays.
        """
        ledger = self.ledger(name)
        masks = [self._state(name, plane) for plane in completion.planes]
        written = {ledger.within(path): drain(content_digest_steps(path)) for path in (*masks, *files)}
        before = self.recorded(name)
        kept: dict[str, str] = {}
        if before is not None:
            others = {path: digest for path, digest in before.files.items() if path not in written}
            if before.masks_key != completion.masks_key:
                ledger.remove(others)
            else:
                kept = {path: digest for path, digest in others.items() if ledger.is_unchanged(path, digest)}
        for path in ledger.path.parent.glob("*.json"):
            if path.stem not in (*completion.planes, "done"):
                path.unlink(missing_ok=True)
        ledger.write({**kept, **written}, asdict(completion))

    def recorded_names(self) -> tuple[str, ...]:
        """Return the names of all images that this or an earlier run wrote down."""
        return tuple(sorted(path.parent.name for path in (self.root / STATE / "images").glob("*/done.json")))

    def recorded(self, name: str) -> Completion | None:
        """Return what is written down of an image, whether it is whole or not; None where nothing can be read."""
        values = self.ledger(name).read()
        if values is None:
            return None
        try:
            planes = tuple(str(plane) for plane in values.get("planes") or ())
            keys = text(values, "key"), text(values, "masks_key")
            source, content = str(values.get("source") or ""), str(values.get("content") or "")
            return Completion(*keys, planes, integer(values, "objects"), values["files"], source, content)
        except ValueError:
            return None

    def moved(self, name: str, completion: Completion, source: str, content: str) -> None:
        """Write down that the input of a complete image is elsewhere now."""
        if (completion.source, completion.content) != (source, content):
            moved = replace(completion, source=source, content=content)
            self.ledger(name).write(completion.files, asdict(moved))

    def ledger(self, name: str) -> Ledger:
        """Return the record of an image's files."""
        return Ledger(self.root, f"images/{name}/done.json")

    def _check_is_not_of_another(
        self, name: str, files: Collection[Path], source: str, content: str = "", renamed: Collection[str] = ()
    ) -> None:
        sources = []
        before = self.recorded(name)
        if before is not None and not (content and before.content == content):
            sources.append(before.source)
        sources.append(TileOutputs(self.root, name).source)
        for other in sources:
            if other not in renamed and _is_another_image(other, source):
                taken = [path.relative_to(self.root).as_posix() for path in files if path.exists()]
                what, shown = taken[0] if taken else f"the name {name}", "/".join(Path(other).parts[-2:])
                raise ValueError(f"{what} is of {shown}; give both folders at once, or another output folder")

    def _state(self, name: str, item: str) -> Path:
        return self.root / STATE / "images" / name / f"{item}.json"

    def _sweep(self) -> None:
        """Remove what a killed batch left half-written under temporary names."""
        candidates = [path for path in self.root.iterdir() if path.name.startswith((".coco-", ".report-"))]
        for folder in self.subfolders:
            candidates += folder.rglob(".*")
        for path in candidates:
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def _is_another_image(recorded: str, source: str) -> bool:
    """Tell whether an input that is written down is still there, and neither `source` nor a copy; "" is no file."""
    if not (recorded and source):
        return False
    first, second = Path(recorded), Path(source)
    try:
        is_copy = first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)
        return not (first.samefile(second) or is_copy)
    except OSError:  # it was moved or removed
        return False


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")
