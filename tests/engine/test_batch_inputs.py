from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_segany.engine.batch.inputs import distinct_names, find_images, images_of_arrays
from napari_segany.engine.batch.sources import ImageContent
from napari_segany.engine.batch.zarr_inputs import find_files_and_zarrs, split_zarr


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def found(*inputs, **options):
    return [(image.name, image.file_name) for image in find_images(inputs, **options)]


def test_a_folder_gives_its_images_by_name(tmp_path):
    touch(tmp_path, "b.png", "a.ome.tif", "c.JPG", "notes.txt", ".hidden.png", "deeper/d.tif", ".cache/e.png")
    assert found(tmp_path) == [("a", "a.ome.tif"), ("b", "b.png"), ("c", "c.JPG")]
    assert found(tmp_path, recursive=True)[-1] == ("d", "deeper/d.tif")
    assert len(found(tmp_path, recursive=True)) == 4


def a_zarr(*places: Path) -> None:
    """Make folders that look like zarrs, with a picture among their pieces."""
    for place in places:
        touch(place, "zarr.json", "0/c/0.png", "thumbnail.png")


def names_of(zarrs, root) -> list[str]:
    return [path.relative_to(root).as_posix() for path in zarrs]


def test_zarrs_of_a_folder_are_images_and_their_pieces_are_none(tmp_path):
    folder = tmp_path / "in"
    touch(folder, "a.png", "deeper/b.png", ".hidden.zarr/zarr.json", "out/labels/c.zarr/zarr.json")
    a_zarr(
        folder / "z.ome.zarr", folder / "by its pieces", folder / "deeper" / "d.zarr", folder / "a.zarr" / "in.zarr"
    )
    skip = [folder / "out" / "labels"]
    others, zarrs = split_zarr([str(folder)], skip)
    assert others == [str(folder)]
    assert names_of(zarrs, folder) == ["a.zarr", "by its pieces", "z.ome.zarr"]
    _, zarrs = split_zarr([str(folder)], skip, recursive=True)
    assert names_of(zarrs, folder) == ["a.zarr", "by its pieces", "deeper/d.zarr", "z.ome.zarr"]
    assert found(folder) == [("a", "a.png")]
    assert found(folder, recursive=True) == [("a", "a.png"), ("b", "deeper/b.png")]
    assert split_zarr([str(folder)], skip, of_folders=False) == ([str(folder)], [])


def test_files_and_zarrs_have_names_that_no_two_share(tmp_path):
    touch(tmp_path, "a.png", "b/c.tif")
    a_zarr(tmp_path / "a.ome.zarr", tmp_path / "b" / "c.zarr", tmp_path / "b" / "d.zarr", tmp_path / "e" / "d.zarr")
    files, zarrs = find_files_and_zarrs([tmp_path], recursive=True)
    assert [image.name for image in files] == ["a", "c"]
    assert [image.name for image in zarrs] == ["a_zarr", "c_zarr", "b_d", "e_d"]
    assert [image.file_name for image in zarrs] == ["a.ome.zarr", "b/c.zarr", "b/d.zarr", "e/d.zarr"]
    assert [image.source.path for image in zarrs] == [tmp_path / image.file_name for image in zarrs]
    with pytest.raises(ValueError, match="no image is given"):
        find_files_and_zarrs([])


def test_a_folder_of_zarrs_alone_is_no_folder_without_images(tmp_path):
    a_zarr(tmp_path / "plate1" / "a.zarr", tmp_path / "plate2" / "b.zarr")
    touch(tmp_path, "plate3/c.tif", "empty/notes.txt")
    assert split_zarr([str(tmp_path / "plate1")], []) == ([], [tmp_path / "plate1" / "a.zarr"])
    others, zarrs = split_zarr([str(tmp_path / "plate*")], [])
    assert others == [str(tmp_path / "plate*")]
    assert names_of(zarrs, tmp_path) == ["plate1/a.zarr", "plate2/b.zarr"]
    assert split_zarr([str(tmp_path / "plate[12]")], []) == ([], zarrs)
    assert split_zarr([str(tmp_path / "empty")], []) == ([str(tmp_path / "empty")], [])


def test_patterns_files_and_folders_together_give_each_image_once(tmp_path):
    touch(tmp_path, "1/a.tif", "2/b.tif", "2/c.odd")
    assert found(tmp_path / "2/c.odd", tmp_path / "*" / "*.tif", tmp_path / "1", tmp_path / "**" / "b.tif") == [
        ("c", "2/c.odd"), ("a", "1/a.tif"), ("b", "2/b.tif"),
    ]  # fmt: skip


def test_a_pattern_that_finds_folders_gives_their_images(tmp_path):
    touch(tmp_path, "plates/p1/x.png", "plates/p2/y.png", "plates/p2/deeper/z.png", "plates/notes.tif")
    assert [name for name, _ in found(tmp_path / "plates" / "*")] == ["notes", "x", "y"]
    assert [name for name, _ in found(tmp_path / "plates" / "p*", recursive=True)] == ["x", "z", "y"]


def test_images_are_called_in_a_report_as_they_were_given(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.tif")
    monkeypatch.chdir(tmp_path)
    (image,) = find_images(["in"])
    assert Path(image.source.shown) == Path("in/a.tif")
    assert image.source.path == tmp_path / "in/a.tif"


def test_colliding_names_never_hold_what_lies_above_the_inputs(tmp_path):
    touch(tmp_path, "b/COINS.png", "b/coins.png")
    assert found(tmp_path / "b") == [("COINS", "COINS.png"), ("coins-2", "coins.png")]
    touch(tmp_path, "b/c/coins.png", "b/Coins.tif")
    names = [name for name, _ in found(tmp_path / "b", recursive=True)]
    assert names == ["COINS_png", "Coins_tif", "c_coins", "coins_png-2"]


def test_outputs_among_the_inputs_are_left_out(tmp_path):
    touch(tmp_path, "a.tif", "labels/a.tif")
    assert found(tmp_path, recursive=True, skip=[tmp_path / "labels"]) == [("a", "a.tif")]
    with pytest.raises(ValueError, match="lies among the outputs"):
        found(tmp_path / "labels/a.tif", skip=[tmp_path / "labels"])


def test_what_earlier_runs_and_sessions_wrote_within_a_folder_is_no_image(tmp_path):
    touch(tmp_path, "a.png", "labels/mine.png", "one/b.png", "segany/series.json", "segany/a.png.labels.tif")
    touch(tmp_path / "done", ".segany/a/record.json", "labels/a.tif", "overlays/a.png", "yolo/images/a.png", "c.png")
    a_zarr(tmp_path / "done" / "labels" / "slide.zarr")
    names = [name for _, name in found(tmp_path, recursive=True)]
    assert names == ["a.png", "done/c.png", "labels/mine.png", "one/b.png"]
    assert found(tmp_path / "done" / "labels") == [("a", "a.tif")], "but for those that are asked for"
    assert split_zarr([str(tmp_path)], (), recursive=True)[1] == []


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ("missing.tif", FileNotFoundError, "No such file"),
        ("empty", ValueError, "holds no image .*--recursive"),
        ("*.gif", ValueError, "no file matches"),
    ],
)
def test_what_holds_no_image_is_refused(tmp_path, given, kind, words):
    (tmp_path / "empty").mkdir()
    with pytest.raises(kind, match=words):
        find_images([tmp_path / given])
    with pytest.raises(ValueError, match="no image is given"):
        find_images([])


def test_equal_names_are_told_apart_by_what_differs():
    paths = [PurePosixPath(path) for path in ("/d/a/cells.tif", "/d/b/cells.tif", "/d/a/worm.tif", "/d/a/worm.png")]
    assert distinct_names(paths) == ["a_cells", "b_cells", "worm_tif", "worm_png"]
    assert distinct_names([PurePosixPath("/d/Cells.tif"), PurePosixPath("/e/cells.tif")]) == ["d_Cells", "e_cells"]
    assert distinct_names([PurePosixPath("/x.ome.tif")]) == ["x"]


PARTS = st.sampled_from(["a", "A", "b", "a_b", "b_a", "c-2"])
PATHS = st.builds(
    lambda folders, stem, ending: PurePosixPath("/", *folders, stem + ending),
    st.lists(PARTS, max_size=3), PARTS, st.sampled_from([".tif", ".png", ".ome.tif", ".TIF", ""]),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PATHS, unique=True, max_size=12))
def test_names_differ_on_every_file_system_and_are_always_the_same(paths):
    names = distinct_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    assert names == distinct_names(paths)
    assert not any("/" in name for name in names)


def test_layers_get_names_that_files_can_have():
    content = ImageContent(np.zeros((4, 4)))
    images = images_of_arrays([("cells [1]", content), ("a/b:c", content), ("A_b_c", content), ("..", content)])
    assert [image.name for image in images] == ["cells [1]", "a_b_c", "A_b_c-2", "image"]
    assert images[1].source.shown == "a/b:c"
