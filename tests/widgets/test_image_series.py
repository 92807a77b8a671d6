"""A folder worked through: what was done is kept, comes back, and is never lost on the way. Without Qt."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from napari_segany.formats.session_file import read_session
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

NAMES = ("a.png", "b.png", "c.tif")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in NAMES[:2]:
        Picture.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / name)
    tifffile.imwrite(tmp_path / NAMES[2], rng.integers(0, 999, (40, 50), dtype=np.uint16))
    return tmp_path


@pytest.fixture
def series(session, folder):
    session.series.open(folder)
    return session.series


def names(viewer):
    return [layer.name for layer in viewer.layers if layer.name in ("a", "b", "c", "objects")]


def test_what_was_done_is_saved_when_it_is_left_and_comes_back(series, session, viewer, folder):
    assert (names(viewer), series.position, series.statuses) == (["a"], 0, ("untouched",) * 3)
    session.add_point((10, 20))
    session.accept()
    session.add_point((30, 5))  # not accepted: the click is kept too
    first = session.objects.layer.data.copy()
    series.next()
    assert names(viewer) == ["b"]
    assert session.image.name == "b"
    assert not session.prompts
    assert series.statuses == ("started", "untouched", "untouched")
    np.testing.assert_array_equal(tifffile.imread(folder / "segany" / "a.png.labels.tif"), first)
    series.next()
    assert session.image.ndim == 2
    series.next()
    assert session.status == "This is the last image."
    assert series.statuses[1:] == ("untouched", "untouched"), "looking at an image is no work"
    series.go_to(0)
    np.testing.assert_array_equal(session.objects.layer.data, first)
    assert session.prompts.points == ((30, 5),)
    assert session.objects.row(1)["predicted_iou"] == pytest.approx(0.9)
    series.previous()
    assert session.status == "This is the first image."


def test_done_images_are_remembered_by_the_next_session(series, session, folder, viewer, predictor):
    series.done_and_next()
    assert (series.statuses[0], series.position) == ("done", 1)
    series.go_to(2)
    known = json.loads((folder / "segany" / "series.json").read_text())
    assert (known["done"], known["at"]) == (["a.png"], "c.tif")
    session.close()
    another = PromptSession(type(viewer)(), SynchronousRunner(), lambda model, device: predictor)
    another.series.open(folder)
    assert (another.series.position, another.series.statuses[0]) == (2, "done")
    another.series.go_to(0)
    another.series.mark_done(False)
    assert another.series.statuses[0] == "untouched"


def accept(session, position, name):
    session.classes.use(name)
    session.add_point(position)
    session.accept()


def listed(session):
    return [(one.number, one.name, one.colour) for one in session.classes.classes]


def begun_anew(session, predictor):
    """Return the session of the next day."""
    session.close()
    return PromptSession(type(session.viewer)(), SynchronousRunner(), lambda model, device: predictor)


def test_all_images_share_a_list_of_classes_today_and_tomorrow(series, session, folder, predictor):
    session.classes.add("nucleus", "#112233")
    session.classes.add("debris", "#445566")
    accept(session, (10, 20), "debris")
    series.next()
    session.classes.add("a rare one", "#778899")
    accept(session, (10, 20), "a rare one")
    series.next()
    session.classes.use("nucleus")
    classes = [(1, "nucleus", "#112233"), (2, "debris", "#445566"), (3, "a rare one", "#778899")]
    series.go_to(0)
    assert (listed(session), session.classes.current) == (classes, "nucleus"), "though it was saved before the third"
    series.go_to(2)
    another = begun_anew(session, predictor)
    another.series.open(folder)
    assert another.image.name == "c"
    assert (listed(another), another.classes.current) == (classes, "nucleus")
    another.classes.use("debris")
    for position in (1, 0):
        another.series.go_to(position)
        assert (listed(another), another.classes.current) == (classes, "debris")
    third = begun_anew(another, predictor)
    third.classes.add("of another folder")
    third.series.open(folder)
    assert (listed(third), third.classes.current) == (classes, "debris"), "the folder's list holds"


def test_a_folder_takes_the_classes_that_there_are_and_removals_are_kept(session, folder, predictor):
    session.classes.add("nucleus", "#112233")
    session.classes.add("debris", "#445566")
    session.series.open(folder)
    session.classes.remove("nucleus")
    another = begun_anew(session, predictor)
    another.series.open(folder)
    assert listed(another) == [(2, "debris", "#445566")]
    another.undo()
    another.classes.remove("debris")
    third = begun_anew(another, predictor)
    third.classes.add("x")
    third.series.open(folder)
    assert listed(third) == [], "an empty list is a list"


def test_classes_of_an_image_that_is_none_of_the_folder_do_not_come_into_its_list(series, session, viewer, folder):
    session.classes.add("nucleus", "#112233")
    session.choose_image(viewer.add_image(np.zeros((40, 50)), name="second channel"))
    session.classes.add("vesicle")
    session.classes.remove("nucleus")
    known = json.loads((folder / "segany" / "series.json").read_text())
    assert [one["name"] for one in known["classes"]] == ["nucleus"]
    session.choose_image(viewer.layers["a"])
    assert listed(session) == [(1, "nucleus", "#112233")]
    series.next()
    assert listed(session) == [(1, "nucleus", "#112233")]


def test_a_session_of_an_earlier_version_takes_the_numbers_of_the_folder(series, session, folder):
    session.classes.add("nucleus")
    session.classes.add("debris")
    accept(session, (10, 20), "debris")
    series.next()
    path = folder / "segany" / "a.png.session.json"
    values = json.loads(path.read_text())
    del values["choices"]["classes"], values["choices"]["class"]
    path.write_text(json.dumps(values))
    series.previous()
    assert session.classes.counts == {"debris": 1}
    assert [(one.number, one.name) for one in session.classes.classes] == [(1, "nucleus"), (2, "debris")]


def test_a_list_of_an_earlier_version_has_no_classes_and_a_damaged_one_is_told(session, folder):
    path = folder / "segany" / "series.json"
    path.parent.mkdir()
    values = {"format": "napari-segany series", "version": 1, "done": ["a.png"], "at": "b.png"}
    path.write_text(json.dumps(values))
    session.series.open(folder)
    assert (session.image.name, session.series.statuses[0], listed(session)) == ("b", "done", [])
    path.write_text(json.dumps({**values, "classes": [{}], "class": ""}))
    session.series.attempt(str(folder))
    assert "series.json is damaged: the list of classes" in session.status


def test_the_next_images_are_embedded_ahead(series, session, predictor):
    assert len(predictor.encoded) == 3, "the shown one and two ahead"
    assert [series.ahead.is_ready(path) for path in series.images] == [False, True, True]
    series.next()
    assert session.embedding_state.phase == "ready"
    assert len(predictor.encoded) == 3, "nothing is encoded twice"
    assert predictor.limits[2] == tuple(session.series.ahead._layers[series.images[2]].contrast_limits)
    series.next()
    assert len(predictor.encoded) == 3


def test_what_is_done_while_the_next_image_is_read_is_saved_too(viewer, predictor, by_hand, folder):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.series.open(folder)
    by_hand.finish_all()
    session.series.ahead.want(())  # as if the next one was not ready yet
    session.series.next()
    session.add_point((10, 20))
    while not session.candidates:
        by_hand.run_waiting()
        asking = [task for task in by_hand.running if not task.title.startswith("Opening")]
        for task in asking:
            task.finish()
    assert session.accept() == 1
    by_hand.finish_all()
    assert session.image.name == "b"
    assert tifffile.imread(folder / "segany" / "a.png.labels.tif").max() == 1


def test_an_image_that_cannot_be_saved_is_not_left(series, session, folder, viewer):
    session.add_point((10, 20))
    session.accept()
    (folder / "segany" / "a.png.session.json").mkdir()  # a folder is in the way
    series.next()
    assert session.status.startswith("The session was not saved")
    assert names(viewer) == ["a", "objects"]
    assert not series.is_moving
    (folder / "segany" / "a.png.session.json").rmdir()
    series.next()
    assert session.image.name == "b"


def test_damaged_images_and_lists_are_told_in_a_sentence(session, folder, viewer, tmp_path):
    (folder / "b.png").write_bytes(b"no picture")
    session.series.open(folder)
    session.series.next()
    assert "b.png cannot be read" in session.status
    assert session.image is None
    session.series.next()
    assert session.image.name == "c"
    (folder / "segany" / "series.json").write_text("{}")
    session.series.attempt(str(folder))
    assert "series.json is damaged" in session.status
    session.series.attempt(str(folder / "nowhere"))
    assert session.status.startswith("there is no folder")
    (tmp_path / "empty").mkdir()
    session.series.attempt(str(tmp_path / "empty"))
    assert "no image" in session.status
    assert session.image.name == "c", "nothing was left for a folder that will not do"


def test_images_of_other_people_stay(session, folder, viewer):
    mine = viewer.add_image(np.zeros((20, 20)), name="mine")
    session.choose_image(mine)
    session.series.open(folder)
    session.series.next()
    assert mine in viewer.layers
    assert session.image.name == "b"


def test_work_is_saved_though_another_image_is_chosen_when_it_is_left(series, session, viewer, folder):
    session.add_point((10, 20))
    session.accept()
    session.add_point((30, 5))
    first = session.objects.layer.data.copy()
    session.choose_image(viewer.add_image(np.zeros((40, 50)), name="second channel"))
    series.next()
    assert session.image.name == "b"
    np.testing.assert_array_equal(tifffile.imread(folder / "segany" / "a.png.labels.tif"), first)
    series.previous()
    np.testing.assert_array_equal(session.objects.layer.data, first)
    assert session.prompts.points == ((30, 5),)


def with_an_object(viewer, predictor, by_hand, folder):
    """Return a session that has accepted an object in the first image, whose work goes on when `by_hand` says so."""
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.series.open(folder)
    by_hand.finish_all()
    session.add_point((10, 20))
    by_hand.finish_all()
    session.accept()
    return session


def test_the_labels_saved_are_those_of_the_image_that_is_left(viewer, predictor, by_hand, folder):
    session = with_an_object(viewer, predictor, by_hand, folder)
    session.series.next()
    session.choose_image(viewer.add_image(np.zeros((40, 50)), name="second channel"))  # while it is saved
    by_hand.finish_all()
    assert session.image.name == "b"
    assert tifffile.imread(folder / "segany" / "a.png.labels.tif").max() == 1


def test_nothing_else_is_begun_while_a_folder_is_opened(viewer, predictor, by_hand, folder, tmp_path):
    session = with_an_object(viewer, predictor, by_hand, folder)
    other = tmp_path / "other"
    other.mkdir()
    Picture.fromarray(np.zeros((40, 50), np.uint8)).save(other / "d.png")
    session.series.open(other)
    session.series.next()
    by_hand.finish_all()
    assert [path.name for path in session.series.images] == ["d.png"]
    assert session.image.name == "d"
    assert tifffile.imread(folder / "segany" / "a.png.labels.tif").max() == 1


def test_a_session_that_cannot_be_opened_is_kept_beside_the_new_one(series, session, folder):
    for position in ((10, 20), (30, 5)):
        session.add_point(position)
        session.accept()
    series.next()
    store = folder / "segany"
    before = {name: (store / f"a.png.{name}").read_bytes() for name in ("session.json", "labels.tif")}
    Picture.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / "a.png")
    series.ahead.want(())  # what was read ahead is of the old file
    series.previous()
    assert "has changed since" in session.status
    assert "It stays as it is" in session.status
    session.add_point((20, 20))
    session.accept()
    series.next()
    assert session.image.name == "b"
    assert tifffile.imread(store / "a.png.labels.tif").max() == 1
    for name, content in before.items():
        (aside,) = store.glob(f"a.png.earlier-*.{name}")
        assert aside.read_bytes() == content
    series.previous()
    assert session.objects.labels == (1,)


def test_objects_of_an_image_that_people_removed_stay(series, session, viewer):
    session.add_point((10, 20))
    session.accept()
    objects = session.objects.layer
    viewer.layers.remove(session.image)
    series.next()
    assert objects in viewer.layers


def test_what_is_being_saved_when_the_session_closes_is_saved_with_its_labels(viewer, predictor, by_hand, folder):
    session = with_an_object(viewer, predictor, by_hand, folder)
    session.series.save()
    session.close()
    assert by_hand.running == []
    assert tifffile.imread(folder / "segany" / "a.png.labels.tif").max() == 1
    assert read_session(folder / "segany" / "a.png.session.json").objects == (1,)
