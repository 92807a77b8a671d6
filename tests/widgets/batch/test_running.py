"""A batch under way: cancel and go on, settings, models, remaining time, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch
from tests.widgets.batch.scene import LOOSE, report

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_presets import preset
from napari_segany.engine.batch.model_source import LoadedModel
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.batch_work import BatchStep
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner


def test_the_masks_are_those_of_the_generator_for_a_stack_of_a_layer(viewer, tmp_path):
    torch.manual_seed(0)
    encoder = ViTConfig(embed_dim=32, depth=2, num_heads=2, window_size=4, global_attn_indexes=(1,))
    predictor = Predictor(build_sam(SamConfig(image_size=128, encoder=encoder)), device="cpu")
    session = BatchSession(viewer, SynchronousRunner(), lambda model, device: LoadedModel(predictor))
    asked = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    session.change(**asked)
    session.choose_output(tmp_path / "out")
    stack = np.random.default_rng(0).normal(500, 100, (2, 40, 60)).astype(np.float32)
    where = {"scale": (2, 0.5, 0.25), "translate": (0, 3, 4), "units": ("um", "um", "um")}
    image = viewer.add_image(stack, name="a/stack", contrast_limits=(300, 700), **where)
    session.run()
    generator = AutomaticMaskGenerator(predictor, session.settings)
    expected = [[record.rle for record in generator.generate(plane, contrast_limits=(300, 700))] for plane in stack]
    assert all(expected)
    written = session.output / "labels/a_stack.tif"
    assert (read_pixel_size(written).row, read_pixel_size(written).col) == (pytest.approx(0.5), pytest.approx(0.25))

    image.translate = (0, 7, 7)
    session.open_results()
    layer = viewer.layers["a_stack masks"]
    kept = layer.metadata[MASKS_KEY]
    assert [[mask.record.rle for mask in kept.planes[index,]] for index in range(2)] == expected
    np.testing.assert_array_equal(layer.data, tifffile.imread(written))
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(image, name))
    assert layer.units == image.units


def test_cancel_keeps_what_is_finished_and_the_next_run_goes_on(slow, by_hand, folder, maker, finder):
    slow.use_folder(folder)
    slow.run()
    task = by_hand.tasks[-1]
    while slow.state.progress.done < 1 or slow.state.progress.stage is None:
        assert task.step()
    slow.cancel()
    assert task.cancelled
    assert slow.status == "Stopped: 1 of 2 images are complete. Run again to go on with the rest."
    assert slow.state.phase == "idle"
    assert (slow.output / "labels/one.tif").exists()
    assert not (slow.output / "labels/two.tif").exists()

    finder.encoded.clear()
    slow.run()
    by_hand.finish_all()
    assert slow.status == "2 images, 3 masks, 1 complete before."
    assert len(finder.encoded) == 1
    slow.run()
    by_hand.finish_all()
    assert slow.status == "2 images, 3 masks, 2 complete before."
    assert maker.loaded == 2


def cancelled_within_a_step(session, by_hand, folder):
    """Begin a run and cancel it as a thread that has not come round to closing its work; return its task."""
    session.use_folder(folder)
    session.run()
    task = by_hand.tasks[-1]
    for _ in range(2):
        assert task.step()
    task.cancel = lambda: setattr(task, "over", True)
    session.cancel()
    return task


def test_a_run_waits_for_a_cancelled_one_that_is_within_its_last_step(slow, by_hand, folder):
    first = cancelled_within_a_step(slow, by_hand, folder)
    slow.run()
    second = by_hand.tasks[-1]
    second.step()
    second.step()
    assert slow.state.progress.note.startswith("Waiting")
    first.steps.close()
    second.finish()
    assert slow.status == "2 images, 3 masks."


def test_a_run_waits_for_a_run_before_the_last_too(slow, by_hand, folder):
    first = cancelled_within_a_step(slow, by_hand, folder)
    slow.run()
    by_hand.tasks[-1].step()
    slow.cancel()  # the second, which waited for the first
    slow.run()
    third = by_hand.tasks[-1]
    third.step()
    third.step()
    assert slow.state.progress.note.startswith("Waiting")
    first.steps.close()
    third.finish()
    assert slow.status == "2 images, 3 masks."


def test_a_cancelled_run_that_never_began_is_not_waited_for(slow, by_hand, folder):
    slow.use_folder(folder)
    slow.run()
    by_hand.tasks[-1].cancel = lambda: None
    slow.cancel()
    assert slow.status == "Stopped."
    slow.run()
    by_hand.tasks[-1].finish()
    assert slow.status == "2 images, 3 masks."


def test_other_settings_in_the_same_folder_write_anew(session, folder):
    session.use_folder(folder)
    session.run()
    before = (session.output / "labels/two.tif").read_bytes()
    session.choose_output(session.output)
    assert session.status.startswith("This folder holds results.")
    session.change(pred_iou_thresh=0.9)  # the disc of 200 has 0.8
    session.run()
    assert session.status == "2 images, 1 mask."
    assert (session.output / "labels/two.tif").read_bytes() != before
    assert [row["objects"] for row in report(session.output)] == ["0", "1"]


def test_the_time_left_counts_images_that_were_not_there_before(viewer, maker):
    now = [0.0]
    session = BatchSession(viewer, SynchronousRunner(), maker, clock=lambda: now[0])

    def left(seconds, done, reused):
        now[0] = seconds
        session._report(BatchStep(done, 10, stage=Progress(0, 0), reused=reused, has_begun=True))
        return session.state.seconds_left

    assert left(0, 0, 0) is None
    assert left(50, 2, 2) is None  # two that were complete, checked in 50 s
    assert left(60, 3, 2) == pytest.approx(10 * 7)
    assert left(80, 5, 2) == pytest.approx(10 * 5)
    assert left(81, 6, 3) == pytest.approx(31 / 3 * 4)


def test_settings_models_and_painting(session, maker, folder):
    session.choose_preset("cells")
    assert session.settings == preset("cells").settings
    session.choose_painting("larger")
    session.choose_model("vit_b")
    session.choose_device("cpu")
    session.change(**LOOSE)
    session.use_folder(folder)
    session.run()
    assert maker.asked == [("vit_b", "cpu")]
    assert session.outcome.request.settings.painting == "larger"
    with pytest.raises(ValueError, match="painting rule"):
        session.choose_painting("prettier")
    with pytest.raises(ValueError, match="there is no setting"):
        session.change(points=3)


def test_settings_begin_with_those_for_the_model_until_they_are_changed(viewer, maker):
    session = BatchSession(viewer, SynchronousRunner(), maker, model="light")
    assert session.settings == preset("light").settings
    session.choose_model("vit_b")
    assert session.settings == preset("natural").settings
    session.choose_preset("dense")
    session.choose_model("light")
    assert session.settings == preset("dense").settings


def test_weights_are_fetched_between_runs_only(slow, by_hand, folder):
    def steps():
        yield Progress(1, 2, "Downloading")

    fetched = []
    slow.use_folder(folder)
    slow.run()
    slow.download("Downloading", steps(), lambda: fetched.append(1))
    assert "cancel it" in slow.status
    slow.cancel()
    slow.download("Downloading", steps(), lambda: fetched.append(2))
    by_hand.finish_all()
    assert fetched == [2]
