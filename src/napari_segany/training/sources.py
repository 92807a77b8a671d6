"""Where annotated images are: folders of images and label images, of SA-1B's pairs, and COCO files. Reads no pixels.

What a folder holds is told by its content, not by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_segany.evaluation.data import IMAGE_SUFFIXES, find_samples
from napari_segany.formats.coco import read_coco
from napari_segany.formats.coco_index import home_of_images
from napari_segany.training.annotated import (
    AnnotatedImage,
    CocoPicture,
    LabelledImage,
    MissingLabels,
    SA1BPicture,
    UnreadableSet,
)

_INDEX = "index.json"
_ALLOWED = (
    "give a folder with images/ and labels/, a folder of images with a JSON of masks beside each (SA-1B), "
    "a COCO file, or a folder of such folders"
)


def find_images(place: Path, images: Path | None = None) -> list[AnnotatedImage]:
    """List annotated images.

    Parameters
    ----------
    place : pathlib.Path
        A folder with `images` and `labels`, whose files pair up by name without suffix; a folder of images, each
        with a JSON of SA-1B of the same name beside it; a COCO file, or a folder that holds some (or holds them in
        `annotations`); or a folder of such folders.
    images : pathlib.Path, optional
        The folder that the file names in COCO files start from; where it is not given, it is looked for around the
        file.

    Returns
    -------
    list of AnnotatedImage
        In the order of data sets and names. Images without labels are among them, and data sets that cannot be opened
        where others can: these say so when they are read.

    Raises
    ------
    FileNotFoundError
        Where `place` or `images` does not exist.
    ValueError
        Where nothing annotated is found, or what is found cannot be opened.
    """
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"{images} is not a folder; give the one that holds the images of the COCO file")
    if place.is_file():
        return list(_of_coco_file(place, images))
    if not place.is_dir():
        raise FileNotFoundError(f"{place} does not exist; {_ALLOWED}")
    found = list(_in_folder(place, images))
    if not found:
        raise ValueError(f"{place} holds no annotated images; {_ALLOWED}")
    refused = [image for image in found if isinstance(image, UnreadableSet)]
    if len(refused) == len(found):
        raise ValueError(refused[0].reason)
    return found


def _in_folder(folder: Path, images: Path | None) -> Iterator[AnnotatedImage]:
    """Go through a folder; one that is a data set by itself is not searched for others."""
    if _is_labelled(folder):
        yield from _opened(folder, _labelled(folder))
        return
    own = [*_pairs(folder), *_coco_images(folder, images)]
    if own:
        yield from own
        return
    children = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    for child in filter(_is_labelled, children):
        # From here, where an index.json may tell more of them.
        yield from _opened(child, _labelled(folder, [child.name]))
    for child in children:
        if not _is_labelled(child):
            yield from _in_folder(child, images)


def _opened(place: Path, found: Iterator[AnnotatedImage]) -> Iterator[AnnotatedImage]:
    """Go through a data set; one that cannot be opened leaves its reason."""
    try:
        yield from found
    except (ValueError, OSError) as error:
        yield UnreadableSet(place.resolve().parent.name, place.name, str(error))


def _is_labelled(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _labelled(folder: Path, names: Sequence[str] | None = None) -> Iterator[AnnotatedImage]:
    """Go through the pairs of a folder, or of some folders in it, and the images that have no label image."""
    samples = find_samples(folder, names)
    yield from (LabelledImage(sample) for sample in samples)
    known = {sample.image_path for sample in samples}
    homes = {sample.image_path.parent: sample.dataset for sample in samples}
    for home, dataset in homes.items():
        yield from (MissingLabels(dataset, path.stem) for path in _image_files(home) if path not in known)


def _pairs(folder: Path) -> Iterator[AnnotatedImage]:
    for path in _image_files(folder):
        annotation = path.with_suffix(".json")
        if annotation.is_file():
            yield SA1BPicture(folder.resolve().name, path.stem, path, annotation)


def _coco_images(folder: Path, images: Path | None) -> Iterator[AnnotatedImage]:
    for place in (folder, folder / "annotations"):
        for path in sorted(place.glob("*.json")):
            if path.name != _INDEX and _looks_like_coco(path):
                yield from _opened(path, _of_coco_file(path, images))


def _looks_like_coco(path: Path) -> bool:
    # A file of all of COCO has 450 MB: it is parsed once, by its reader.
    content = path.read_bytes()
    return b'"images"' in content and b'"annotations"' in content


def _of_coco_file(path: Path, images: Path | None) -> Iterator[AnnotatedImage]:
    content = read_coco(path)
    home = images if images is not None else home_of_images(path, (image.file_name for image in content.images))
    for image in content.images:
        masks = tuple(item.record.rle for item in image.objects if not item.is_crowd)
        yield CocoPicture(path.stem, Path(image.file_name).stem, home / image.file_name, image.size, masks)


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
