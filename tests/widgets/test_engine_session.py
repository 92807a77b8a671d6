"""The data engine in a viewer without a canvas: what is kept, taken out, gone on with, and told."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image
from tests.widgets.conftest import SquarePredictor

from napari_segany.engine.data_engine import stages
from napari_segany.engine.data_engine.clock import HINT
from napari_segany.engine.data_engine.folder import DataEngine
from napari_segany.engine.data_engine.lessons import Lessons, write_lessons
from napari_segany.engine.data_engine.masks import EngineMask, Origin
from napari_segany.engine.progress import Progress
from napari_segany.evaluation.engine_times import person_seconds
from napari_segany.formats.record import MaskRecord
from napari_segany.widgets.engine_session import EngineSession
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession


class Now:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def folder(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 99, (40, 50)).astype(np.uint8)
    for name in ("a", "b"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def now():
    return Now()


@pytest.fixture
def session(folder, now):
    runner, viewer, predictor = SynchronousRunner(), ViewerModel(), SquarePredictor()
    prompting = PromptSession(viewer, runner, lambda model, device: predictor)
    made = EngineSession(viewer, runner, prompting, lambda model, device: predictor, now, lambda: "abc")
    made.prompting = prompting
    made.open(folder)
    yield made
    made.close()
    prompting.close()


def filled_mask(where, stage="semi-automatic"):
    mask = np.zeros((40, 50), bool)
    mask[where] = True
    return EngineMask(MaskRecord.from_mask(mask), Origin(stage))


def test_objects_are_timed_kept_in_their_order_and_taken_out(session, folder, now):
    prompting = session.prompting
    assert session.name == "a"
    prompting.add_point((20, 20))
    now.seconds = 31
    assert session.hint() == HINT
    prompting.accept()
    prompting.add_point((3, 3))
    now.seconds = 35
    prompting.accept()
    assert session.hint() == ""
    session.finish()
    assert session.name == "b"
    masks = DataEngine(folder, folder / "segany").masks("a")
    assert [one.origin for one in masks] == [Origin("assisted", time, 1, "light", "abc") for time in (31, 4)]
    assert masks[0].record.mask[20, 20]
    assert person_seconds(session.engine).tolist() == [31, 4]
    assert session.tell_counts() == "1 of 2 images done; 2 assisted, 17.5 s and 1.0 clicks each"
    session.show("a")
    session.remove(1)
    assert len(session.engine.masks("a")) == 1
    session.remove(7)
    assert session.message == "There is no mask 7 in the layer 'filled in': click on one there first."
    session.show("b")
    session.show("a")
    assert len(session.engine.masks("a")) == 1, "what was kept is not kept twice"


def test_masks_are_counted_when_a_record_has_changed_and_not_at_each_report(session, monkeypatch):
    counted = []
    counts = DataEngine.counts
    monkeypatch.setattr(DataEngine, "counts", lambda engine: counted.append(engine.revision) or counts(engine))
    for _ in range(5):
        session.tell_counts()
    session.engine.add("b", [filled_mask((slice(3, 9), slice(3, 9)))])
    for _ in range(5):
        assert "1 semi-automatic" in session.tell_counts()
    assert len(counted) == 2


def test_what_cannot_be_done_is_told(session, folder, tmp_path):
    session.retrain()
    assert session.message.startswith("It did not work: 0 images are done and have masks that you made")
    session.export(tmp_path / "out")
    assert session.message == "It did not work: there is nothing to export: no image is done"
    (folder / "b.png").write_bytes(b"no image")
    session.show("b")
    assert session.message.startswith("b cannot be shown: ")
    assert session.name == "a"
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(folder / "c.png")
    session.open(folder)
    session.finish()
    assert session.name == "c"
    assert "(b cannot be shown: " in session.message
    session.finish()
    assert session.message.startswith("b cannot be shown: ")
    session.open(tmp_path / "nowhere")
    assert "is not a folder" in session.message


def test_another_folder_takes_the_place_of_the_first(session, folder, tmp_path):
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(np.zeros((30, 30), np.uint8)).save(other / "c.png")
    session.open(other)
    assert session.name == "c"
    assert len(DataEngine(folder, folder / "segany").masks("a")) == 1
    assert session.engine.masks("c") == ()


def paint(session, at, label, seconds, now):
    """A stroke of a person: napari calls back when the mouse is pressed, and tells of the pixels when it is over."""
    layer = session.prompting.objects.ready()
    layer.mode, layer.brush_size, layer.selected_label = "paint", 4, label
    assert session._efforts._pressed in layer.mouse_drag_callbacks
    session._efforts._pressed(layer, None)
    now.seconds += seconds
    with layer.block_history():
        layer.paint(at, label)


def test_what_somebody_else_made_of_the_same_image_is_shown_and_kept(session, folder):
    mask = np.zeros((40, 50), bool)
    mask[1:9, 41:49] = True
    theirs = EngineMask(MaskRecord.from_mask(mask), Origin("assisted"))
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    DataEngine(folder, folder / "segany").add("a", [theirs])
    session.finish()
    assert "another program has changed the record of a" in session.message
    assert session._viewer.layers["filled in"].data[5, 45] == 1
    session.finish()
    assert session.name == "b"
    kept = DataEngine(folder, folder / "segany").masks("a")
    assert kept[0] == theirs
    assert kept[1].record.mask[20, 20]


def test_what_somebody_else_made_meanwhile_stays_when_masks_are_kept_by_themselves(session, folder):
    theirs = filled_mask(np.s_[1:9, 41:49], "assisted")
    DataEngine(folder, folder / "segany").add("a", [theirs])
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    other, own = DataEngine(folder, folder / "segany").masks("a")
    assert other == theirs
    assert own.record.mask[20, 20]
    assert session._viewer.layers["filled in"].data[5, 45]


def test_the_same_folder_opened_again_has_what_was_accepted(session, folder):
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    session.open(folder)
    assert [one.record.mask[20, 20] for one in session.engine.masks("a")] == [True]


def test_what_is_painted_is_timed_and_no_models(session, folder, now):
    paint(session, (8, 8), 1, 3, now)
    now.seconds += 30
    paint(session, (9, 9), 1, 1, now)
    assert session.hint() == HINT
    session.prompting.add_point((30, 30))
    assert session.hint() == ""
    now.seconds += 2
    session.prompting.accept()
    paint(session, (31, 31), 2, 4, now)
    assert session.keep()
    painted, corrected = session.engine.masks("a")
    assert painted.origin == Origin("assisted", 34, 2, "", "")
    assert painted.record.prompt == {}
    assert corrected.origin == Origin("assisted", 6, 2, "light", "abc")
    assert corrected.record.prompt == {"points": [[30, 30]], "labels": [1]}
    assert corrected.record.predicted_iou == pytest.approx(0.9)


def test_an_image_that_is_done_can_be_worked_on(session, folder):
    prompting = session.prompting
    session.finish()
    prompting.add_point((20, 20))
    prompting.accept()
    session.finish()
    assert session.message.startswith("All images are done")
    prompting.add_point((3, 3))
    prompting.accept()
    prompting.objects.layer.fill((20, 20), 0)
    session.finish()
    (only,) = session.engine.masks("b")
    assert only.record.mask[3, 3], "later objects are kept, and those that were deleted are not"
    assert "filled in" not in session._viewer.layers


def test_removing_the_layer_of_an_image_that_is_done_takes_nothing_out_of_its_record(session, folder):
    prompting = session.prompting
    session.show("b")
    prompting.add_point((20, 20))
    prompting.accept()
    session.engine.finish("a")
    session.finish()
    assert session.message.startswith("All images are done")
    session._viewer.layers.remove(prompting.objects.layer)
    assert session.keep()
    assert [one.record.mask[20, 20] for one in session.engine.masks("b")] == [True]
    prompting.add_point((3, 3))
    prompting.accept()
    session._viewer.layers.clear()  # as napari does when its window closes
    session.close()
    assert [one.record.mask[20, 20] for one in DataEngine(folder, folder / "segany").masks("b")] == [True, False]


@pytest.mark.parametrize("image_first", [False, True])
def test_what_was_accepted_is_on_record_when_its_layers_are_removed(session, folder, image_first):
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    layers = sorted(session._viewer.layers, key=lambda layer: (layer is not session.prompting.image) == image_first)
    for layer in layers:
        if layer in session._viewer.layers:
            session._viewer.layers.remove(layer)
    session.close(keep_layers=True)
    assert [one.record.mask[20, 20] for one in DataEngine(folder, folder / "segany").masks("a")] == [True]


def test_objects_whose_layer_came_back_are_on_record_once(session, folder):
    prompting = session.prompting
    prompting.add_point((20, 20))
    prompting.accept()
    session._viewer.layers.remove(prompting.objects.layer)
    assert len(session.engine.masks("a")) == 1
    assert prompting.undo()
    assert prompting.redo()
    assert prompting.objects.layer.data[20, 20]
    assert session.keep()
    assert len(session.engine.masks("a")) == 1
    assert prompting.undo()
    assert session.keep()
    assert session.engine.masks("a") == (), "what was undone is taken out"


def test_the_model_that_was_taught_here_goes_on(session, folder, tmp_path):
    weights = folder / "segany" / "round_0" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    write_lessons(folder / "segany", Lessons(weights="round_0/weights.safetensors"))
    session.open(folder)
    assert session.prompting.model == str(weights)
    assert "The model is the one that was taught here" in session.message


def test_what_the_person_makes_takes_the_place_of_what_was_filled_in(session):
    filled = np.zeros((40, 50), bool)
    filled[20:23, 20:23] = True
    other = np.roll(filled, -15, axis=0)
    session.engine.add(
        "a", [EngineMask(MaskRecord.from_mask(one), Origin("semi-automatic")) for one in (filled, other)]
    )
    session.prompting.add_point((20, 20))
    session.prompting.accept()
    session.finish()
    kept = [(one.origin.stage, one.record.bbox[:2]) for one in session.engine.masks("a")]
    assert kept == [("semi-automatic", (5, 20)), ("assisted", (20, 20))]


def test_every_change_of_the_objects_is_on_disk_before_the_image_is_done(session, folder, now):
    def on_disk():
        return [one.record.bbox for one in DataEngine(folder, folder / "segany").masks("a")]

    prompting = session.prompting
    prompting.add_point((20, 20))
    now.seconds = 3
    prompting.accept()
    (accepted,) = DataEngine(folder, folder / "segany").masks("a")
    assert accepted.record.mask[20, 20]
    assert accepted.origin == Origin("assisted", 3, 1, "light", "abc")
    prompting.undo()
    assert on_disk() == []
    prompting.redo()
    assert on_disk() == [accepted.record.bbox]
    paint(session, (5, 40), 2, 1, now)
    assert len(on_disk()) == 2
    prompting.editor.delete([1])
    assert len(on_disk()) == 1
    prompting.objects.layer.data = np.zeros((40, 50), np.uint16)
    assert on_disk() == []


def test_masks_that_are_encoded_too_late_are_not_written(folder):
    """The image that they are of is kept as it is left, and the next one gets none of them."""

    class HeldRunner(SynchronousRunner):
        held = ()

        def start(self, title, steps, *, done, failed, report=None):
            if title == "Keeping the masks":
                self.held = (*self.held, lambda: SynchronousRunner().start(title, steps, done=done, failed=failed))
            else:
                super().start(title, steps, done=done, failed=failed, report=report)

    viewer, predictor, held = ViewerModel(), SquarePredictor(), HeldRunner()
    prompting = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session = EngineSession(viewer, held, prompting, lambda model, device: predictor)
    session.open(folder)
    prompting.add_point((20, 20))
    prompting.accept()
    prompting.add_point((3, 3))
    prompting.accept()
    assert len(held.held) == 1, "one encoding at a time"
    session.show("b")
    held.held[0]()
    assert [len(DataEngine(folder, folder / "segany").masks(name)) for name in "ab"] == [2, 0]
    session.close()
    prompting.close()


def test_a_filled_mask_that_is_corrected_gives_way_and_is_back_when_that_is_undone(session, folder):
    wrong, right = filled_mask(np.s_[20:40, 20:28]), filled_mask(np.s_[2:9, 40:49])
    session.engine.add("a", [right, wrong])
    session.show("a")
    prompting, layer = session.prompting, session._viewer.layers["filled in"]
    prompting.use_object(layer, int(layer.data[25, 25]))
    prompting.add_point((20, 20))
    prompting.accept()
    other, corrected = DataEngine(folder, folder / "segany").masks("a")
    assert (other, corrected.origin.stage) == (right, "assisted")
    assert not layer.data[39, 27]
    session.remove(int(layer.data[5, 45]))
    assert [one.origin.stage for one in session.engine.masks("a")] == ["assisted"], "the right number is removed"
    prompting.undo()
    assert session.engine.masks("a") == (wrong,)
    assert session._viewer.layers["filled in"].data[39, 27]


def test_the_shown_image_shown_again_keeps_its_name(session):
    session.show("a")
    assert [layer.name for layer in session._viewer.layers if layer.name.startswith("a")] == ["a"]


def test_one_mask_is_told_as_one(session, monkeypatch):
    def model_masks(engine, name, predictor, stage, there):
        yield Progress(0, 1, "Asking the points")
        return len(found)

    monkeypatch.setattr(stages, "model_masks", model_masks)
    found = [1]
    session.fill_in()
    assert session.message.startswith("1 mask is filled in.")
    found = []
    session.fill_in()
    assert session.message.startswith("0 masks are filled in.")


def test_the_layer_of_filled_masks_cannot_be_painted_in(session):
    session.engine.add("a", [filled_mask(np.s_[2:9, 40:49])])
    session.show("a")
    layer = session._viewer.layers["filled in"]
    session._viewer.dims.ndisplay = 3
    session._viewer.dims.ndisplay = 2
    layer.mode = "paint"
    assert layer.mode == "pan_zoom"
    assert not layer.editable
