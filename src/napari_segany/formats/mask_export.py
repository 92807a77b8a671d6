"""Images with named masks written in the formats that other tools read, each file whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_segany.formats.coco import OBJECT, CocoObject, CocoWriter, Form, writing_coco
from napari_segany.formats.export_names import FORMATS, VECTORS
from napari_segany.formats.geo_grid import GeoGrid
from napari_segany.formats.geo_labels import write_label_geotiff
from napari_segany.formats.labels import write_label_tiff
from napari_segany.formats.masked_images import MaskedImage
from napari_segany.formats.painting import paint
from napari_segany.formats.sa1b import write_sa1b
from napari_segany.formats.table import property_table, write_table
from napari_segany.formats.yolo import YoloData, YoloObject, write_data_yaml, write_yolo_labels


@dataclass(frozen=True)
class ExportSettings:
    """How masks are written.

    Attributes
    ----------
    formats : tuple of str
        Keys of `FORMATS`.
    coco_form : {"rle", "polygons", "only polygons"}
        See `writing_coco`.
    tolerance : float
        How far, in pixels, simplified polygons may be from the exact ones; for vector files see `VectorSettings`.
    min_area : float
        Smaller objects are left out of vector files, in m2.
    """

    formats: tuple[str, ...]
    coco_form: Form = "rle"
    tolerance: float = 0.0
    min_area: float = 0.0

    def __post_init__(self) -> None:
        """Refuse formats that are not known."""
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise ValueError(f"the formats are {', '.join(unknown) or 'none'}; known are {', '.join(FORMATS)}")


class MaskExport:
    """Writes images one after the other into a folder; use it in a `with` block, whose end finishes common files.

    Parameters
    ----------
    folder : Path
        Where; it is made.
    categories : Mapping
        The names of all categories by their numbers in COCO; YOLO counts them from 0 in this order.
    settings : ExportSettings
        What and how.
    sources : iterable of Path
        The files that are exported, none of which may be replaced.

    Attributes
    ----------
    remarks : list of str
        What the files do not say as the sources do, so far.
    """

    def __init__(
        self, folder: Path, categories: Mapping[int, str], settings: ExportSettings, sources: Iterable[Path] = ()
    ) -> None:
        self.remarks: list[str] = []
        self._folder = folder
        self._categories = dict(categories)
        self._numbers = {name: number for number, name in categories.items()}
        self._classes = {name: index for index, name in enumerate(categories.values())}
        self._settings = settings
        self._sources = {_identity(path) for path in sources} - {None}
        self._yolo_names: set[str] = set()
        self._coco: CocoWriter | None = None
        self._stack = ExitStack()
        self._names: set[str] = set()
        self._coco_names: set[str] = set()

    def __enter__(self) -> MaskExport:
        self._folder.mkdir(parents=True, exist_ok=True)
        if "coco" in self._settings.formats:
            writing = writing_coco(
                self._place("", "coco.json"), self._categories, form=self._settings.coco_form,
                tolerance=self._settings.tolerance,
            )  # fmt: skip
            self._coco = self._stack.enter_context(writing)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None and "yolo" in self._settings.formats:
                names = {index: name for name, index in self._classes.items()}
                write_data_yaml(self._place("yolo", "data.yaml"), YoloData(names, ".", "images", "images"))
        finally:
            self._stack.__exit__(*error)  # type: ignore[arg-type]

    def add(self, image: MaskedImage, grid: GeoGrid | None = None) -> Generator[tuple[int, int], None, str]:
        """Write an image; yields (outlines traced, in all) while vectors are written, and returns its name there.

        Parameters
        ----------
        image : MaskedImage
            The image with its masks.
        grid : GeoGrid, optional
            Where its pixels lie on Earth; vectors need it, and label images keep it.

        Raises
        ------
        ValueError
            For vectors without a grid, for what the formats cannot hold, and where a source would be replaced.
        OSError
            Where a file cannot be written.
        """
        vectors = [name for name in VECTORS if name in self._settings.formats]
        if vectors and grid is None:
            raise ValueError(
                f"{image.file_name} has no place on Earth, which {', '.join(vectors)} needs; give a label GeoTIFF, "
                "or choose other formats"
            )
        name = self._own_name(image.file_name)
        records = [mask.record for mask in image.masks]
        numbers = [self._numbers[mask.category or OBJECT] for mask in image.masks]
        for form in self._settings.formats:
            if form == "labels":
                painted = paint(records, [mask.label for mask in image.masks], image.size)
                path = self._place("labels", f"{name}.tif")
                if grid is None:
                    write_label_tiff(path, painted, pixel_size=image.pixel_size)
                else:
                    write_label_geotiff(path, painted, grid)
            elif form == "sa1b":
                write_sa1b(
                    self._place("sa1b", f"{name}.json"), records, file_name=image.file_name, size=image.size,
                    image_id=len(self._names), labels=[mask.label for mask in image.masks],
                )  # fmt: skip
            elif form == "yolo":
                self._write_yolo(image)
            elif form == "csv":
                self._write_table(image, self._place("tables", f"{name}.csv"))
        if grid is not None:
            for form in vectors:
                yield from self._write_vectors(image, grid, self._place("vectors", f"{name}.{form}"))
        if self._coco is not None:
            found_by_category = [
                CocoObject(mask.record, number, mask.is_crowd, mask.label)
                for mask, number in zip(image.masks, numbers, strict=True)
            ]
            self._coco.add(self._coco_name(image.file_name, name), image.size, found_by_category)
        return name

    def _own_name(self, file_name: str) -> str:
        """Return a name for the files of an image that no other image has."""
        stem = re.sub(r"[^\w.,-]+", "_", Path(re.sub(r"\.\w+(?=\[|$)", "", file_name)).name).strip("_") or "image"
        name, count = stem, 1
        while name.lower() in self._names:
            count += 1
            name = f"{stem}-{count}"
        self._names.add(name.lower())
        return name

    def _write_yolo(self, image: MaskedImage) -> None:
        """Write the text of an image, without crowds: YOLO would take each for one object."""
        masks = [mask for mask in image.masks if not mask.is_crowd]
        found = [YoloObject(mask.record, self._classes[mask.category or OBJECT]) for mask in masks]
        if len(masks) < len(image.masks):
            count = len(image.masks) - len(masks)
            self.remarks.append(f"{image.file_name}: {count} of its masks are crowds, which YOLO does not know")
        name = self._yolo_name(image.file_name)
        path = self._place("yolo/labels", f"{name}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_yolo_labels(path, found, tolerance=self._settings.tolerance)

    def _yolo_name(self, file_name: str) -> str:
        """Return the name of a text, folders included: the name of its picture, by which YOLO finds it."""
        stem = re.sub(r"\.\w+(\[[\d,]+\])?$", r"\1", re.sub(r"^[A-Za-z]:", "", file_name).replace("\\", "/"))
        parts = [part for part in stem.split("/") if part not in ("", ".", "..")] or ["image"]
        own = "/".join(re.sub(r'[<>:"|?*\x00-\x1f]', "_", part) for part in parts)
        name, count = own, 1
        while name.casefold() in self._yolo_names:
            count += 1
            name = f"{own}-{count}"
        self._yolo_names.add(name.casefold())
        if name != "/".join(parts):
            self.remarks.append(f"{file_name}: its text is yolo/labels/{name}.txt; name the picture accordingly")
        return name

    def _coco_name(self, file_name: str, name: str) -> str:
        """Return the name of an image in COCO's file, which has each but once."""
        own = file_name if file_name not in self._coco_names else f"{file_name} ({name})"
        self._coco_names.add(own)
        return own

    def _place(self, folder: str, name: str) -> Path:
        (self._folder / folder).mkdir(parents=True, exist_ok=True)
        path = self._folder / folder / name
        if self._sources and _identity(path) in self._sources:
            raise ValueError(f"{path} is one of the files to export, and would be replaced; choose another folder")
        return path

    def _write_table(self, image: MaskedImage, path: Path) -> None:
        table = property_table([mask.record for mask in image.masks], pixel_size=image.pixel_size)
        table["label"] = np.array([mask.label for mask in image.masks], np.int64)
        category = np.array([mask.category or OBJECT for mask in image.masks], np.str_)
        write_table(path, {"label": table.pop("label"), "category": category, **table})

    def _write_vectors(self, image: MaskedImage, grid: GeoGrid, path: Path) -> Generator[tuple[int, int], None, None]:
        from napari_segany.formats.geo_measure import usual_measure
        from napari_segany.formats.geo_vectors import VectorObject, VectorSettings, write_vectors

        found = [VectorObject(mask.record, mask.label, mask.category or "") for mask in image.masks]
        settings = VectorSettings(self._settings.tolerance, self._settings.min_area, usual_measure(grid.crs))
        yield from write_vectors(path, found, grid, settings)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what a file has in common with itself under other names; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def category_numbers(images: Sequence[MaskedImage]) -> dict[int, str]:
    """Return the names of all categories by their numbers.

    Those that the files give begin, in the order of their numbers, also where no mask has them; they keep these where
    all files agree. Other names of masks follow; `OBJECT` is among them where a mask has none.
    """
    by_file = {id(image.categories): image.categories for image in images}
    given = dict.fromkeys(item for categories in by_file.values() for item in sorted(categories.items()))
    names = dict.fromkeys(name for _, name in given)
    agree = len(names) == len(given) == len({number for number, _ in given})
    found = dict(sorted(given)) if agree else dict(enumerate(names, 1))
    others = {mask.category or OBJECT for image in images for mask in image.masks} - set(names)
    found |= dict(enumerate(sorted(others), max(found, default=0) + 1))
    return found or {1: OBJECT}
