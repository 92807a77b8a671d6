"""Sessions saved where people want them: opened again, replayed without napari, written as a script that runs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer
from skimage.data import coins
from tests.widgets.sessions.scene import changed, run_script

from napari_segany.cli.main import main
from napari_segany.engine.mask_cleaning import CleanUp
from napari_segany.formats.coco import read_coco
from napari_segany.formats.labels import read_label_tiff
from napari_segany.formats.session_file import read_session
from napari_segany.formats.session_steps import SavedEach
from napari_segany.widgets.catalogue import predictor_loader
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.raster_data import RasterData
from napari_segany.widgets.session import PromptSession


def some_work(session):
    """Every kind of step: clicks that refine, another candidate, boxes, clean-up, rules, brush, undo, reopening."""
    viewer = session.viewer
    viewer.dims.set_current_step(0, 0)
    session.add_point((40, 45))
    session.select_candidate(1)
    session.add_point((60, 60), label=0)
    session.add_point((45, 50))
    session.accept()
    session.overlap = "overwrite"
    session.editor.cleaning, session.editor.clean_accepted = CleanUp(fill_holes=True, smooth=2), True
    session.add_box((20, 80, 70, 130))
    session.accept()
    session.undo()
    session.redo()
    session.add_point((100, 100))
    session.accept()
    session.undo()
    session.undo()
    viewer.dims.set_current_step(0, 2)
    session.overlap = "smaller"
    session.add_point((50, 50))
    session.next_candidate()
    session.accept()
    layer = session.objects.layer
    layer.brush_size = 9
    layer.selected_label = 7
    layer.paint((2, 100, 100), 7)
    session.use_object(layer, session.objects.labels[0] if (layer.data[2] == session.objects.labels[0]).any() else 7)
    session.add_point((104, 104))
    session.accept()
    session.one_each.from_points([(30, 30), (80, 90), (31, 30)])
    viewer.dims.set_current_step(0, 1)
    session.one_each.from_boxes([(10, 10, 60, 60), (20, 20, 50, 50), (70, 90, 130, 150)])
    session.add_point((70, 70))
    session.select_candidate(2)


@pytest.mark.parametrize("cached", [False, True])
def test_replay_gives_the_labels_of_the_viewer(begin, light, tmp_path, capsys, monkeypatch, cached):
    if cached:
        monkeypatch.setenv("SEGANY_CACHE", str(tmp_path / "cache"))
        from napari_segany.engine.cache_places import CachePlaces

        monkeypatch.setattr(light, "cache", CachePlaces().open())
    session = begin()
    some_work(session)
    labels = session.objects.layer.data.copy()
    assert len(np.unique(labels)) > 3
    session.files.save(tmp_path / "work")
    path = tmp_path / "work.session.json"
    assert "Saved" in session.status
    saved = read_session(path)
    assert saved.log.answers[0].questions[1].refines == 1
    each = [step for step in saved.log.steps if isinstance(step, SavedEach)]
    assert [(len(step.points), len(step.boxes), step.index) for step in each] == [(3, 0, (2,)), (0, 3, (1,))]
    assert each[0].cleaning == {"largest_part": False, "drop_islands": 0, "fill_holes": True, "smooth": 2}
    assert {answer.rounded for answer in saved.log.answers} == {cached}
    assert len(saved.log.answers[0].weights) == 32
    assert saved.versions["torch"]

    capsys.readouterr()
    monkeypatch.setenv("SEGANY_CACHE", str(tmp_path / "another"))  # nothing is looked up: all is computed again
    assert main(["replay", str(path), "-o", str(tmp_path / "out.tif")]) == 0
    assert "labels identical" in capsys.readouterr().out
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)


def test_the_script_gives_the_labels_of_the_viewer_and_uses_the_package_only(begin, tmp_path):
    session = begin()
    some_work(session)
    text = session.files.script()
    imports = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert imports == ["import sys", "import numpy as np", "import napari_segany as segany"]
    script = tmp_path / "script.py"
    script.write_text(
        f"{text}\nnp.save(sys.argv[2], mask)\nassert 'napari' not in sys.modules and 'qtpy' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, script, tmp_path / "out.tif", tmp_path / "mask.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), session.objects.layer.data)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), session.candidates[session.selected].mask)


@pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")
def test_what_was_computed_in_bfloat16_is_replayed_and_written_so(begin, tmp_path, capsys):
    """The script is run with the image's file and the package alone; files of before have no precision: float32."""
    session = begin(model=predictor_loader(None, precision="bfloat16")("light", "cpu"))
    some_work(session)
    labels, path = session.objects.layer.data.copy(), tmp_path / "one.json"
    session.files.save(path)
    saved = read_session(path)
    assert {answer.precision for answer in saved.log.answers} == {"bfloat16"}
    assert {len(answer.weights) for answer in saved.log.answers} == {32}
    capsys.readouterr()
    assert main(["replay", str(path), "-o", str(tmp_path / "out.tif")]) == 0
    assert "note:" not in capsys.readouterr().out
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)

    script = tmp_path / "script.py"
    script.write_text(f"{session.files.script()}\nnp.save(sys.argv[2], mask)\n")
    command = [sys.executable, script, tmp_path / "again.tif", tmp_path / "mask.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "again.tif"), labels)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), session.candidates[session.selected].mask)

    changed(path, lambda values: [step.pop("precision", None) for step in values["log"]["steps"]])
    assert main(["replay", str(path)]) == 1, "float32 gives other masks"
    assert "pixels differ" in capsys.readouterr().out


def test_another_viewer_goes_on_with_the_session_and_can_save_it_again(begin, tmp_path, capsys):
    session = begin()
    some_work(session)
    session.files.save(tmp_path / "one.json")
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    assert "Restored" in again.status, again.status
    np.testing.assert_array_equal(again.objects.layer.data, session.objects.layer.data)
    assert again.prompt_layers.marks == session.prompt_layers.marks
    assert again.overlap == "smaller"
    assert again.editor.cleaning == CleanUp(fill_holes=True, smooth=2)
    assert again.plane == session.plane
    assert len(again.candidates) == len(session.candidates) == 3
    for mine, others in zip(again.candidates, session.candidates, strict=True):
        np.testing.assert_array_equal(mine.mask, others.mask)
    assert again.selected == session.selected == 2
    again.viewer.dims.set_current_step(0, 1)
    again.accept()
    again.files.save(tmp_path / "two.json")
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "two.json")]) == 0
    assert again.undo()
    assert again.undo()
    assert not again.objects.layer.data.any()
    again.files.save(tmp_path / "three.json")
    assert read_session(tmp_path / "three.json").log.steps == ()


def test_classes_come_back_from_the_file_and_with_them_what_is_written_by_them(
    new_predictor, tmp_path, known_to_napari
):
    def begin():
        viewer = ViewerModel()
        session = PromptSession(viewer, SynchronousRunner(), lambda name, device: new_predictor())
        session.choose_image(viewer.add_image(np.zeros((40, 50), np.uint8), name="cells"))
        return session

    session = begin()
    for name, colour in (("nucleus", "#112233"), ("debris", None), ("a rare one", None)):
        session.classes.add(name, colour)
    for position, name in (((5, 6), "nucleus"), ((20, 20), "debris")):
        session.classes.use(name)
        session.add_point(position)
        session.accept()
    session.files.save(tmp_path / "one.json")
    again = begin()
    again.files.open(tmp_path / "one.json")
    assert again.classes.classes == session.classes.classes
    assert again.classes.current == "debris"
    again.classes.make_class_layer()
    assert again.viewer.layers["classes"].data[21, 21] == 2
    again.objects.layer.save(str(tmp_path / "a.coco.json"))
    assert dict(read_coco(tmp_path / "a.coco.json").categories) == {1: "nucleus", 2: "debris", 3: "a rare one"}
    again.undo()
    assert again.classes.classes == ()


def test_what_was_in_the_layer_before_is_the_start_of_the_log(begin, tmp_path):
    session = begin()
    before = np.zeros((3, 140, 160), np.uint16)
    before[1, 20:40, 30:50] = 4
    session.viewer.add_labels(before.copy(), name="objects")
    session.add_point((100, 100))
    session.accept()
    session.files.save(tmp_path / "one.json")
    assert main(["replay", str(tmp_path / "one.json"), "-o", str(tmp_path / "out.tif")]) == 0
    session.objects.layer.data = np.roll(session.objects.layer.data, 3, axis=1)  # by another program
    session.files.save(tmp_path / "two.json")
    assert read_session(tmp_path / "two.json").log.steps == ()
    assert main(["replay", str(tmp_path / "two.json"), "-o", str(tmp_path / "out.tif")]) == 0
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), session.objects.layer.data)


def test_labels_that_differ_are_told_by_the_exit_status(begin, tmp_path, capsys):
    session = begin()
    session.add_point((40, 45))
    session.accept()
    session.files.save(tmp_path / "one.json")
    values = json.loads((tmp_path / "one.json").read_text())
    values["log"]["steps"][0]["chosen"] = 2
    (tmp_path / "one.json").write_text(json.dumps(values))
    assert main(["replay", str(tmp_path / "one.json")]) == 1
    assert "pixels differ" in capsys.readouterr().out


BAD = {
    "no JSON": (lambda path: path.write_text("{"), "no JSON file"),
    "foreign": (lambda path: path.write_text('{"images": []}'), "no sound session file"),
    "no log": (lambda path: changed(path, lambda values: values.pop("log")), "earlier version"),
    "unknown step": (lambda path: changed(path, lambda v: v["log"]["steps"][0].update(kind="magic")), "'magic'"),
    "no question": (
        lambda path: changed(path, lambda v: v["log"]["steps"][0].update(questions=[])),
        "without a question",
    ),
    "candidate": (lambda path: changed(path, lambda v: v["log"]["steps"][0].update(chosen=9)), "candidate 9"),
    "cleaning": (lambda path: changed(path, lambda v: v["log"]["steps"][0].update(cleaning={"x": 1})), "clean-up"),
    "plane": (lambda path: changed(path, lambda v: v["log"]["steps"][0].update(index=[99])), "plane"),
    "model": (lambda path: changed(path, lambda v: v["log"]["steps"][0].update(model="vit_x")), "vit_x"),
    "image gone": (
        lambda path: changed(path, lambda v: v["image"].update(path=str(path.parent / "no.tif"))),
        "no.tif",
    ),
    "image of memory": (lambda path: changed(path, lambda v: v["image"].update(path=None)), "is in no file"),
}


@pytest.mark.parametrize("case", BAD, ids=list(BAD))
def test_bad_files_give_one_sentence(begin, tmp_path, capsys, case):
    session = begin()
    session.add_point((40, 45))
    session.accept()
    path = tmp_path / "one.json"
    session.files.save(path)
    spoil, expected = BAD[case]
    spoil(path)
    capsys.readouterr()
    assert main(["replay", str(path)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("segany replay: error:")
    assert expected in err[-1]


def test_a_changed_image_is_told_in_the_command_line_and_in_the_viewer(begin, tmp_path, image_file, capsys):
    session = begin()
    session.add_point((40, 45))
    session.accept()
    session.files.save(tmp_path / "one.json")
    pixels = tifffile.imread(image_file)
    pixels[:, 3, 3] ^= 1
    tifffile.imwrite(image_file, pixels, photometric="minisblack")
    assert main(["replay", str(tmp_path / "one.json")]) == 2
    assert "coins.tif has changed since" in capsys.readouterr().err
    again = begin()
    again.files.open(tmp_path / "one.json")
    assert "coins.tif has changed since" in again.status
    assert again.objects.layer is None
    for bad, words in ((tmp_path / "none.json", "No such file"), (image_file, "no JSON")):
        again.files.open(bad)
        assert words in again.status
    again.files.save(tmp_path / "no" / "folder.json")
    assert "was not saved" in again.status


def test_what_is_being_saved_when_the_session_closes_is_saved(slow_session, viewer, by_hand, tmp_path):
    slow_session.choose_image(viewer.add_image(np.zeros((40, 50), np.uint8)))
    by_hand.finish_all()
    slow_session.add_point((5, 5))
    by_hand.finish_all()
    slow_session.accept()
    slow_session.files.save(tmp_path / "one.json")
    by_hand.running[-1].step()
    slow_session.files.save_image(tmp_path / "one.npy")
    slow_session.choose_image(viewer.add_image(np.zeros((30, 30), np.uint8)))
    slow_session.close()
    assert by_hand.running == []
    assert read_session(tmp_path / "one.json").objects == (1,)
    assert np.load(tmp_path / "one.npy").shape == (40, 50)


def test_a_session_does_not_come_into_an_image_that_was_chosen_meanwhile(slow_session, viewer, by_hand, tmp_path):
    first = viewer.add_image(np.zeros((40, 50), np.uint8), name="first")
    second = viewer.add_image(np.ones((40, 50), np.uint8), name="second")
    slow_session.choose_image(first)
    by_hand.finish_all()
    slow_session.add_point((5, 5))
    by_hand.finish_all()
    slow_session.accept()
    slow_session.files.save(tmp_path / "one.json")
    by_hand.finish_all()
    slow_session.undo()
    said = []
    slow_session.status_changed.connect(said.append)
    slow_session.files.open(tmp_path / "one.json")
    slow_session.choose_image(second)
    by_hand.finish_all()
    assert "one.json cannot be opened: another image was chosen meanwhile; open it again" in said
    assert slow_session.objects.layer is None
    slow_session.choose_image(first)
    slow_session.files.open(tmp_path / "one.json")
    by_hand.finish_all()
    assert slow_session.objects.labels == (1,)


def test_without_an_image_nothing_is_saved(begin, tmp_path):
    session = begin(with_image=False)
    with pytest.raises(ValueError, match="no image"):
        session.files.save(tmp_path / "one.json")


@pytest.fixture
def raster_session(tmp_path, new_predictor):
    """A session in the second band of a raster whose left columns are nodata."""
    rasterio = pytest.importorskip("rasterio")
    from napari_segany.widgets.geo_reader import raster_layer

    pixels = np.random.default_rng(0).integers(0, 1000, (2, 60, 80)).astype(np.int16)
    pixels[:, :, :10] = -1
    profile = {"driver": "GTiff", "crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5.4e6)}
    with rasterio.open(
        tmp_path / "two.tif", "w", count=2, height=60, width=80, dtype="int16", nodata=-1, **profile
    ) as file:
        file.write(pixels)

    def begin(*, with_image=True):
        viewer = ViewerModel()
        session = PromptSession(viewer, SynchronousRunner(), lambda name, device: new_predictor())
        if with_image:
            session.choose_image(viewer.add_layer(Layer.create(*raster_layer(tmp_path / "two.tif", 2))))
        return session

    return begin


def test_a_session_of_a_raster_replays_identically_without_its_bands(raster_session, tmp_path, capsys):
    session, path, out = raster_session(), tmp_path / "s.session.json", tmp_path / "out.tif"
    for point in ((20, 12), (40, 30)):
        session.add_point(point)
        session.accept()
    session.files.save(path)
    assert main(["replay", str(path), "-o", str(out)]) == 0
    assert "2 objects" in capsys.readouterr().out
    np.testing.assert_array_equal(read_label_tiff(out), session.objects.layer.data)
    assert main(["replay", str(path), "--image", str(tmp_path / "two.tif")]) == 2
    assert "leave out the image" in capsys.readouterr().err
    again = raster_session()
    again.files.open(path)
    np.testing.assert_array_equal(again.objects.layer.data, session.objects.layer.data)


def test_a_session_of_a_raster_opens_its_bands_where_they_are_not_shown(raster_session, tmp_path):
    session, path = raster_session(), tmp_path / "s.session.json"
    session.add_point((20, 12))
    session.accept()
    session.files.save(path)
    elsewhere = raster_session(with_image=False)
    elsewhere.files.open(path)
    assert "Restored" in elsewhere.status, elsewhere.status
    view = RasterData.of(elsewhere.image).view
    assert view.choice.bands == (2,)
    assert view.stretch == RasterData.of(session.image).view.stretch
    np.testing.assert_array_equal(elsewhere.objects.layer.data, session.objects.layer.data)
    np.testing.assert_array_equal(elsewhere.objects.layer.affine, session.objects.layer.affine)
    assert str(tmp_path / "two.tif") in str(elsewhere.image.metadata)


def test_an_earlier_session_of_a_raster_asks_for_its_bands(raster_session, tmp_path):
    session, path = raster_session(), tmp_path / "s.session.json"
    session.add_point((20, 12))
    session.accept()
    session.files.save(path)
    values = json.loads(path.read_text(encoding="utf-8"))
    values["image"]["raster"] = values["image"]["raster"]["path"]  # what was saved before the bands were
    path.write_text(json.dumps(values), encoding="utf-8")
    elsewhere = raster_session(with_image=False)
    elsewhere.files.open(path)
    assert "two.tif: open that with these bands in napari" in elsewhere.status
    values["image"]["raster"] = {"path": str(tmp_path / "two.tif"), "bands": [1, 2]}
    path.write_text(json.dumps(values), encoding="utf-8")
    elsewhere.files.open(path)
    assert "does not tell which bands" in elsewhere.status


def test_the_script_of_a_raster_runs_and_keeps_its_place(raster_session, tmp_path):
    import rasterio

    session = raster_session()
    session.add_point((20, 12))
    session.accept()
    labels = np.array(session.objects.layer.data)
    for name in ("accepted", "under work"):
        script, out = tmp_path / f"{name}.py", tmp_path / f"{name}.tif"
        script.write_text(session.files.script(), encoding="utf-8")
        done = subprocess.run([sys.executable, script, out], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with rasterio.open(out) as file, rasterio.open(tmp_path / "two.tif") as raster:
            np.testing.assert_array_equal(file.read(1), labels)
            assert (file.crs, file.transform) == (raster.crs, raster.transform)
        session.add_point((40, 30))
    assert "The mask under work is left out" in script.read_text(encoding="utf-8")


def test_what_was_carried_through_a_stack_or_found_similar_is_replayed_with_the_real_model(
    begin, tmp_path, image_file, capsys
):
    """And the script writes the same labels: their pixels, for these objects."""
    picture = coins()
    tifffile.imwrite(image_file, np.stack([picture[at : at + 120, at : at + 140] for at in (0, 2, 4)]))
    session = begin()
    session.viewer.dims.set_current_step(0, 1)
    session.add_point((30, 40))
    session.next_candidate()
    session.stack.propagate()
    session.overlap = "overwrite"
    session.add_point((100, 40))
    accepted = session.accept()
    session.editor.select([accepted])
    session.similar.find()
    session.similar.threshold = 0.5
    assert session.similar.accept()
    labels, path = session.objects.layer.data.copy(), tmp_path / "one.json"
    assert (labels == 1).any(axis=(1, 2)).sum() > 1, session.status
    session.files.save(path)
    assert [type(step).__name__ for step in read_session(path).log.steps] == [
        "SavedCarried",
        "SavedAnswer",
        "SavedSimilar",
    ]
    capsys.readouterr()
    assert main(["replay", str(path), "-o", str(tmp_path / "out.tif")]) == 0
    assert "3 answers asked again; labels identical" in capsys.readouterr().out
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)
    done = run_script(session.files.script(), tmp_path, tmp_path / "again.tif")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "again.tif"), labels)
