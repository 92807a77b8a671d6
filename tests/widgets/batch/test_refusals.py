"""What a batch cannot do is said in a sentence and loses nothing, without Qt."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Picture
from tests.widgets.batch.scene import ONE, SHAPE, report

from napari_segany.engine.batch.folder import BatchFolder
from napari_segany.widgets.batch_session import BatchSession
from napari_segany.widgets.progress_runner import SynchronousRunner


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


def test_a_damaged_image_does_not_stop_the_rest(session, viewer, folder):
    (folder / "broken.tif").write_bytes(b"II*\0")
    session.use_folder(folder)
    session.run()
    assert session.status.startswith("2 images, 3 masks, 1 failed: see report.csv.\n")
    assert "broken.tif is damaged" in session.status
    assert [row["status"] for row in report(session.output)] == ["failed", "done", "done"]
    session.open_results()
    assert "broken masks" not in viewer.layers


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
