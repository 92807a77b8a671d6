"""The folder of a batch's outputs: where each file is, what is complete, and masks kept for those who come again.

`.segany/images/NAME/` holds the masks of each plane and `done.json`: which files are about to be written and, once
all of them are, their hashes. Nothing in it depends on when or in which order it was written.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock, Timeout

from napari_segany.engine.batch.detection import BatchObject
from napari_segany.engine.batch.sources import ONLY_PLANE
from napari_segany.engine.batch.tile_outputs import TileOutputs
from napari_segany.engine.digests import new_hasher
from napari_segany.formats.atomic import replacing
from napari_segany.formats.json_fields import (
    a_mapping,
    image_size,
    integer,
    objects,
    optional_number,
    read_json_object,
    text,
)
from napari_segany.formats.record import MaskRecord

_STATE = ".segany"
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
        names = ("labels", "tables", "sa1b", "yolo", "overlays", "vectors", _STATE)
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
        record = self._state(name, "done")
        before = self.recorded(name)
        self._check_is_not_of_another(name, files, source, content, renamed)
        # A damaged record is still one of ours, and images that go by tiles write files of the same names.
        is_damaged, of_tiles = before is None and record.exists(), TileOutputs(self.root, name)
        before = before or Completion("", "", (), 0)
        new = {path.relative_to(self.root).as_posix(): path for path in files}
        new = {written: path for written, path in new.items() if written not in before.files}
        foreign = [written for written, path in new.items() if path.exists() and not of_tiles.has_written(path)]
        if foreign and not is_damaged:
            raise ValueError(f"{foreign[0]} is there and was not written by segany; choose another folder")
        if new:
            _write_json(record, asdict(replace(before, files={**before.files, **dict.fromkeys(new, "")})))

    def claim_tiles(self, name: str, files: Collection[Path], source: str) -> None:
        """Write down which file the tiles of a large image are of.

        Raises
        ------
        ValueError
            Where an earlier run wrote `files` for another image that is still there.
        """
        self._check_is_not_of_another(name, files, source)
        path = self._source_of_tiles(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(source, encoding="utf-8")

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
        state = self.root / _STATE
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
        is_whole = all(self._has(path, digest) for path, digest in completion.files.items())
        return completion if is_whole else None

    def complete(self, name: str, completion: Completion, files: Collection[Path]) -> None:
        """Write down that an image is complete, its `files` written.

        What an earlier run wrote besides stays where it shows the same masks, and is removed where it shows others;
        what was changed since is somebody's work and stays.
        """
        masks = [self._state(name, plane) for plane in completion.planes]
        written = {path.relative_to(self.root).as_posix(): _digest(path) for path in (*masks, *files)}
        before = self.recorded(name)
        kept = {}
        if before is not None:
            unchanged = {path: digest for path, digest in before.files.items() if self._has(path, digest)}
            kept = {path: digest for path, digest in unchanged.items() if path not in written}
            if before.masks_key != completion.masks_key:
                for stale in kept:
                    (self.root / stale).unlink()
                kept = {}
        for path in self._state(name, "done").parent.glob("*.json"):
            if path.stem not in (*completion.planes, "done"):
                path.unlink(missing_ok=True)
        values = {**asdict(completion), "files": dict(sorted({**kept, **written}.items()))}
        _write_json(self._state(name, "done"), values)

    def recorded_names(self) -> tuple[str, ...]:
        """Return the names of all images that this or an earlier run wrote down."""
        return tuple(sorted(path.parent.name for path in (self.root / _STATE / "images").glob("*/done.json")))

    def recorded(self, name: str) -> Completion | None:
        """Return what is written down of an image, whether it is whole or not; None where nothing can be read."""
        try:
            values = read_json_object(self._state(name, "done"), "completion")
            planes = tuple(str(plane) for plane in values.get("planes") or ())
            files = a_mapping(values, "files")
            keys = text(values, "key"), text(values, "masks_key")
            source, content = str(values.get("source") or ""), str(values.get("content") or "")
            return Completion(*keys, planes, integer(values, "objects"), files, source, content)
        except (OSError, ValueError):
            return None

    def moved(self, name: str, completion: Completion, source: str, content: str) -> None:
        """Write down that the input of a complete image is elsewhere now."""
        if (completion.source, completion.content) != (source, content):
            _write_json(self._state(name, "done"), asdict(replace(completion, source=source, content=content)))

    def forget(self, name: str) -> bool:
        """Remove an image and all its files and tell whether they went; if one was changed by hand, all stay."""
        completion = self.recorded(name)
        if completion is None or not all(self._may_go(path, digest) for path, digest in completion.files.items()):
            return False
        places = [self.root / path for path in completion.files]
        for place in (*places, self._state(name, "done")):  # the record last, so that the next run can go on with it
            place.unlink(missing_ok=True)
            if place.parent.name == name:  # a folder of its own: of planes, or of its masks
                with suppress(OSError):  # something of somebody else is in it
                    place.parent.rmdir()
        return True

    def is_same(self, name: str, other: str) -> bool:
        """Tell whether two names are one on this file system, which may not tell upper from lower case."""
        places = self._state(name, "done"), self._state(other, "done")
        return all(place.exists() for place in places) and places[0].samefile(places[1])

    def _check_is_not_of_another(
        self, name: str, files: Collection[Path], source: str, content: str = "", renamed: Collection[str] = ()
    ) -> None:
        sources = []
        before = self.recorded(name)
        if before is not None and not (content and before.content == content):
            sources.append(before.source)
        with suppress(OSError, UnicodeDecodeError):
            sources.append(self._source_of_tiles(name).read_text(encoding="utf-8"))
        for other in sources:
            if other not in renamed and _is_another_image(other, source):
                taken = [path.relative_to(self.root).as_posix() for path in files if path.exists()]
                what, shown = taken[0] if taken else f"the name {name}", "/".join(Path(other).parts[-2:])
                raise ValueError(f"{what} is of {shown}; give both folders at once, or another output folder")

    def _source_of_tiles(self, name: str) -> Path:
        return self.root / _STATE / "tiles" / name / "source"

    def _may_go(self, path: str, digest: str) -> bool:
        """Tell whether one of our files is unchanged, or gone."""
        return self._has(path, digest) or not (self.root / path).exists()

    def _has(self, path: str, digest: str) -> bool:
        """Tell whether one of our files is there, unchanged."""
        parts = PurePosixPath(path).parts
        return (
            ".." not in parts and (self.root / path).is_relative_to(self.root) and _digest(self.root / path) == digest
        )

    def _state(self, name: str, item: str) -> Path:
        return self.root / _STATE / "images" / name / f"{item}.json"

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


def _digest(path: Path) -> str | None:
    """Return the hash of a file; None where it cannot be read."""
    hasher = new_hasher("xxh128")
    try:
        with path.open("rb") as file:
            while chunk := file.read(8 << 20):
                hasher.update(chunk)
    except OSError:
        return None
    digest: str = hasher.hexdigest()
    return digest


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values), encoding="utf-8")
