"""Batches with a viewer model and without Qt: layers, folders and files; cancel and go on; failures; results."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image as Picture

from napari_segany.engine.automatic import AutomaticMaskGenerator
from napari_segany.engine.automatic_presets import preset
from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.engine.batch.model_source import LoadedModel
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import Progress
from napari_segany.formats.pixel_size import PixelSize, read_pixel_size
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.widgets.batch_inputs import pixel_size_of
from napari_segany.widgets.batch_results import MOST_RESULTS
from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.batch_work import BatchStep
from napari_segany.widgets.kept_masks import MASKS_KEY
from napari_segany.widgets.progress_runner import SynchronousRunner

SHAPE = (64, 64)
ONE = ((20, 20, 12, 200),)
TWO = (*ONE, (45, 45, 10, 240))
LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5}


@pytest.fixture
def finder(discs):
    return discs.DiscFinder()


class Maker:
    """Makes the model that finds discs; counts how often it is loaded."""

    def __init__(self, finder):
        self.finder, self.loaded, self.asked = finder, 0, []

    def __call__(self, model, device):
        self.asked.append((model, device))
        return self

    def digest_steps(self):
        yield Progress(0, 1)
        return self.finder.name

    def load(self):
        self.loaded += 1
        return self.finder


@pytest.fixture
def maker(finder):
    return Maker(finder)


@pytest.fixture
def session(viewer, maker, tmp_path) -> BatchSession:
    session = BatchSession(viewer, SynchronousRunner(), maker)
    session.change(**LOOSE)
    session.choose_output(tmp_path / "out")
    return session


@pytest.fixture
def slow(viewer, maker, by_hand, tmp_path) -> BatchSession:
    """A session whose work goes on when the runner `by_hand` says so."""
    session = BatchSession(viewer, by_hand, maker)
    session.change(**LOOSE)
    session.choose_output(tmp_path / "out")
    return session


@pytest.fixture
def folder(tmp_path, discs) -> Path:
    """Two pictures, of one disc and of two."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, found in (("one", ONE), ("two", TWO)):
        Picture.fromarray(discs.disc_image(SHAPE, found)).save(folder / f"{name}.png")
    return folder


def report(out: Path) -> list[dict[str, str]]:
    with (out / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_becomes_files_and_layers(session, viewer, folder, discs):
    session.use_folder(folder)
    session.run()
    assert session.status == "2 images, 3 masks."
    labels = tifffile.imread(session.output / "labels/two.tif")
    for row, col, radius, _ in TWO:
        truth = discs.disc_mask(SHAPE, row, col, radius)
        assert ((labels == labels[row, col]) & truth).sum() / truth.sum() > 0.85

    session.open_results()
    assert [layer.name for layer in viewer.layers] == ["one", "one masks", "two", "two masks"]
    assert [layer.visible for layer in viewer.layers] == [True, True, False, False]
    assert session.status == "2 results opened."
    layer = viewer.layers["two masks"]
    np.testing.assert_array_equal(layer.data, labels)
    kept = layer.metadata[MASKS_KEY]
    assert (kept.file_name, [mask.label for mask in kept.planes[()]]) == ("two.png", [1, 2])
    assert layer.features.loc[2, "area"] == kept.planes[()][1].record.area
    np.testing.assert_array_equal(viewer.layers["two"].data, discs.disc_image(SHAPE, TWO))

    session.open_results()  # the images are there now
    assert len(viewer.layers) == 6


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


def test_all_open_layers_of_any_kind_are_taken(session, viewer, discs, finder):
    import dask.array

    grey = discs.disc_image(SHAPE, TWO)
    viewer.add_image(grey, name="grey")
    viewer.add_image(np.stack([grey] * 3, axis=-1), name="colours", rgb=True)
    viewer.add_image([grey, grey[::2, ::2]], name="pyramid", multiscale=True, contrast_limits=(0, 255))
    viewer.add_image(dask.array.from_array(np.stack([grey] * 2)), name="lazy", contrast_limits=(0, 255))
    viewer.add_labels(grey, name="labels")
    viewer.layers["pyramid"].visible = False
    session.run()
    assert session.status == "4 images, 10 masks."
    assert finder.encoded == [SHAPE, (*SHAPE, 3), SHAPE, SHAPE, SHAPE]
    session.open_results()
    assert viewer.layers["lazy masks"].data.shape == (2, *SHAPE)
    assert viewer.layers["grey masks"].visible
    assert not viewer.layers["pyramid masks"].visible
    labels = [viewer.layers[f"{name} masks"].data for name in ("grey", "colours", "pyramid")]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])


def test_lazy_data_that_cannot_be_computed_fail_alone(session, viewer, discs):
    import dask.array

    def broken(block):
        raise RuntimeError("the disk is gone")

    viewer.add_image(discs.disc_image(SHAPE, ONE), name="good")
    viewer.add_image(discs.disc_image(SHAPE, ONE), name="bad", contrast_limits=(0, 255))
    lazy = dask.array.zeros(SHAPE, dtype=np.uint8).map_blocks(broken, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    session._inputs = _with_data(session._inputs, "bad", lazy)  # napari itself would stumble over it
    session.run()
    assert session.status == "1 image, 1 mask, 1 failed: see report.csv.\nbad cannot be read: the disk is gone."


def _with_data(inputs, name, data):
    from dataclasses import replace

    def changed():
        found = inputs()
        return replace(
            found,
            layers=tuple(
                replace(layer, content=replace(layer.content, pixels=data)) if layer.shown == name else layer
                for layer in found.layers
            ),
        )

    return changed


def test_a_damaged_image_does_not_stop_the_rest(session, viewer, folder):
    (folder / "broken.tif").write_bytes(b"II*\0")
    session.use_folder(folder)
    session.run()
    assert session.status.startswith("2 images, 3 masks, 1 failed: see report.csv.\n")
    assert "broken.tif is damaged" in session.status
    assert [row["status"] for row in report(session.output)] == ["failed", "done", "done"]
    session.open_results()
    assert "broken masks" not in viewer.layers


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


def test_a_run_waits_for_a_cancelled_one_that_is_within_its_last_step(slow, by_hand, folder):
    slow.use_folder(folder)
    slow.run()
    first = by_hand.tasks[-1]
    for _ in range(2):
        assert first.step()
    first.cancel = lambda: setattr(first, "over", True)  # as a thread that has not come round to closing it yet
    slow.cancel()
    slow.run()
    second = by_hand.tasks[-1]
    second.step()
    second.step()
    assert slow.state.progress.note.startswith("Waiting")
    first.steps.close()
    second.finish()
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


def test_chosen_outputs_are_written_and_no_others(session, folder):
    session.use_folder(folder)
    session.choose_outputs(["overlay", "coco"])
    assert session.outputs == ("coco", "overlay")
    session.run()
    names = {path.name for path in session.output.iterdir()} - {".segany"}
    assert names == {"coco.json", "overlays", "report.csv"}
    session.open_results()
    assert session.viewer.layers["two masks"].data.max() == 2
    with pytest.raises(ValueError, match="no output pdf; known are labels"):
        session.choose_outputs(["pdf"])


def test_what_is_missing_is_said_and_nothing_begins(viewer, maker, tmp_path, discs):
    session = BatchSession(viewer, SynchronousRunner(), maker)
    assert session.status.startswith("No image is open")
    for choose, words in (
        (lambda: session.use_folder(None), "Choose a folder of images"),
        (lambda: session.use_files([]), "Choose image files"),
        (lambda: (viewer.add_image(discs.disc_image(SHAPE, ONE)), session.use_layers()), "folder to write into"),
        (lambda: (session.choose_output(tmp_path / "out"), session.choose_outputs([])), "at least one output"),
    ):
        choose()
        assert words in session.status
        with pytest.raises(ValueError, match=words):
            session.run()
    assert not maker.asked
    session.choose_outputs(["csv"])
    assert session.status.startswith("Press Run.")
    with pytest.raises(ValueError, match="no results to open"):
        session.open_results()


def test_failures_are_sentences(session, folder, tmp_path, maker):
    blocked = tmp_path / "file"
    blocked.write_text("")
    empty = tmp_path / "empty"
    (empty / "deeper").mkdir(parents=True)
    session.use_folder(folder)
    session.choose_output(blocked / "out")
    session.run()
    assert session.state.phase == "failed"
    assert session.status == f"{blocked / 'out'}: Not a directory."

    session.choose_output(tmp_path / "out")
    session.use_folder(empty)
    session.run()
    assert (
        session.status == f"The folder {empty} holds no image; include the folders within it, or choose another one."
    )
    (empty / "deeper/one.png").write_bytes((folder / "one.png").read_bytes())
    session.use_folder(empty, recursive=True)
    session.run()
    assert session.status == "1 image, 1 mask."
    session.use_folder(tmp_path / "nowhere")
    session.run()
    assert session.status == f"{tmp_path / 'nowhere'}: No such file or folder."

    session.use_folder(folder)
    with BatchFolder(session.output).locked():
        session.run()
    assert session.status.startswith("another batch is writing into")
    session.run()
    assert session.state.phase == "idle"


def test_the_outputs_are_not_taken_for_inputs(session, folder):
    session.use_folder(folder, recursive=True)
    session.choose_output(folder)
    session.choose_outputs(["labels", "yolo", "overlay"])
    session.run()
    session.run()
    assert session.status == "2 images, 3 masks, 2 complete before."


def test_an_image_that_changed_since_is_not_opened(session, folder, discs):
    session.use_files([folder / "one.png"])
    session.run()
    Picture.fromarray(discs.disc_image((80, 80), ONE)).save(folder / "one.png")
    session.open_results()
    assert session.status == f"{folder / 'one.png'} has changed since; run again."
    assert len(session.viewer.layers) == 0


def test_results_of_a_layer_that_is_gone_lie_where_it_lay(session, viewer, discs):
    image = viewer.add_image(discs.disc_image(SHAPE, ONE), name="gone", scale=(2, 3), translate=(5, 6))
    session.run()
    viewer.layers.remove(image)
    session.open_results()
    (layer,) = viewer.layers
    np.testing.assert_array_equal(layer.scale, (2, 3))
    np.testing.assert_array_equal(layer.translate, (5, 6))


def test_files_keep_their_pixel_size_and_colours(session, viewer, discs, tmp_path):
    grey = discs.disc_image(SHAPE, TWO)
    tifffile.imwrite(tmp_path / "um.ome.tif", grey, metadata={"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5})
    Picture.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "colours.png")
    session.use_files([tmp_path / "um.ome.tif", tmp_path / "colours.png"])
    session.run()
    session.open_results()
    for name in ("um", "um masks"):
        np.testing.assert_allclose(viewer.layers[name].scale, (0.5, 0.25))
        assert [f"{unit:~}" for unit in viewer.layers[name].units] == ["µm", "µm"]
    assert viewer.layers["colours"].rgb
    assert viewer.layers["colours masks"].data.max() == 2


def test_only_the_first_of_many_are_opened(session, viewer, folder):
    for number in range(MOST_RESULTS):
        (folder / f"more{number:02d}.png").write_bytes((folder / "one.png").read_bytes())
    session.use_folder(folder)
    session.change(points_per_side=1)
    session.run()
    session.open_results()
    assert len(viewer.layers) == 2 * MOST_RESULTS
    assert session.status == f"The first 20 of 22 results are opened; all are in {session.output}."


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


def test_layers_that_come_and_go_are_listed(session, viewer, discs):
    told = []
    session.inputs_changed.connect(lambda: told.append(session.layer_names))
    layer = viewer.add_image(discs.disc_image(SHAPE, ONE), name="first")
    layer.name = "second"
    viewer.layers.remove(layer)
    assert told == [["first"], ["second"], []]
    session.close()
    viewer.add_image(discs.disc_image(SHAPE, ONE))
    assert len(told) == 3


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((2, 0.5, 0.25), ("s", "nm", "nm"), PixelSize(0.5, 0.25, "nm")),
        ((2, 0.5, 0.25), ("micrometer",) * 3, PixelSize(0.5, 0.25, "um")),
        ((1, 1, 1), ("km", "km", "m"), None),
        ((1, 1, 1), ("pixel",) * 3, None),
    ],
)
def test_the_pixel_size_of_a_layer(viewer, scale, units, expected):
    layer = viewer.add_image(np.zeros((2, 4, 4)), scale=scale, units=units)
    assert pixel_size_of(layer) == expected


def test_it_needs_no_qt_and_its_import_no_torch():
    code = (
        "import sys; import napari_segany.widgets.batch_session\n"
        "assert 'torch' not in sys.modules\n"
        "assert not {'qtpy', 'PyQt6', 'PySide6'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
