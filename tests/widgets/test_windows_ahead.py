"""Windows of a large plane are encoded ahead around the last click and in view, and outlined."""

import numpy as np
import pytest

from napari_segany.engine.progress import Progress
from napari_segany.widgets.progress_runner import SynchronousRunner
from napari_segany.widgets.session import PromptSession

SIDE = 1100
WINDOW = 128

pytestmark = pytest.mark.usefixtures("_small_ones_count_as_large")


@pytest.fixture
def predictor(tiles):
    return tiles.ComponentPredictor(side=WINDOW)


@pytest.fixture
def image(viewer):
    layer = viewer.add_image(np.zeros((SIDE, SIDE), np.uint8), contrast_limits=(0, 255), scale=(2, 2))
    layer.data[500:512, 500:512] = 200
    layer.data[547:553, 622:628] = 200  # in another window
    viewer.scene.camera.zoom, viewer.scene.camera.center = 4, (1010, 1010)
    return layer


def test_a_click_from_afar_is_answered_from_a_coarser_level(viewer, image, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(image)
    viewer.scene.camera.zoom = 0.3
    session.add_point((505, 505))
    (window,) = session.windows.ready
    assert window.level > 0
    assert session.candidates[0].mask[505, 505]


def test_windows_around_a_click_become_ready_and_are_outlined(viewer, image, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    windows = session.windows
    session.choose_image(image)
    assert windows.of_large_plane
    assert windows.ready == ()
    session.add_point((505, 505))
    assert len(session.candidates) == 1
    (clicked,) = windows.ready
    windows.enabled = True
    assert len(windows.ready) == len(set(windows.ready)) == len(predictor.encoded) > 4
    assert windows.ready[0] == clicked
    for window in windows.ready[1:]:
        assert window.level == clicked.level
        reach = np.abs(np.subtract(window.image_box, clicked.image_box)).max()
        assert reach <= 1.5 * WINDOW
    outlines = viewer.layers["ready windows"]
    assert not outlines.editable
    assert viewer.layers.index(outlines) == viewer.layers.index(image) + 1, "under masks and prompts"
    found = {(*data.min(axis=0), *data.max(axis=0)) for data in outlines.data}
    assert found == {tuple(np.array(box) - 0.5) for box in windows.answering}
    inset = WINDOW // 8
    assert windows.answering[0] == tuple(np.add(clicked.image_box, (inset, inset, -inset, -inset)))
    np.testing.assert_array_equal(outlines.scale, image.scale)
    count = len(predictor.encoded)
    windows.enabled = False
    session.clear_prompts()
    session.add_point((550, 625))
    assert len(session.candidates) == 1
    assert len(predictor.encoded) == count, "the click is answered without encoding"


def test_of_the_windows_around_a_click_those_in_view_come_first(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(image)
    session.add_point((505, 505))
    by_hand.finish_all()
    look_at(viewer, zoom=1.2, center=(500, 700))  # to the right of the click
    session.windows.enabled = True
    while len(session.windows.ready) < 2:
        by_hand.run_waiting()
        for task in by_hand.running:
            task.step()
    first, second = session.windows.ready[:2]
    assert second.box[1] > first.box[1]


def look_at(viewer, zoom, center) -> None:
    """Show a square of the image around a pixel, 200 / zoom pixels wide, for its pixels are two units wide."""
    viewer.canvas.size = (400, 400)
    viewer.scene.camera.zoom = zoom
    viewer.scene.camera.center = tuple(2 * place for place in center)


def test_before_any_click_the_windows_in_view_become_ready_from_its_middle_on(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.windows.enabled = True
    image.data[378:384, 498:504] = 200
    look_at(viewer, zoom=1, center=(300, 420))
    session.choose_image(image)
    while session._embedder.state.phase != "ready":
        by_hand.run_waiting()
        for task in by_hand.running:
            task.step()
    assert predictor.encoded == [], "the first look waits for nothing"
    assert not session.windows.is_working, "who clicks at once is answered first"
    by_hand.finish_all()
    ready = session.windows.ready
    assert 4 <= len(ready) == len(predictor.encoded) <= 16
    away = [np.abs(np.reshape(one.image_box, (2, 2)).mean(axis=0) - (300, 420)).max() for one in ready]
    assert away[0] <= WINDOW / 2
    assert away[-1] > away[0]
    covered = np.zeros((SIDE, SIDE), bool)
    for top, left, bottom, right in session.windows.answering:
        covered[top:bottom, left:right] = True
        assert top < 400 and bottom > 200 and left < 520 and right > 320, "nothing out of view"  # noqa: PT018
    assert covered[200:400, 320:520].all()
    assert len(viewer.layers["ready windows"].data) == len(ready)
    count = len(predictor.encoded)
    session.windows.enabled = False
    session.add_point((380, 500))
    by_hand.finish_all()
    assert session.candidates[0].mask.sum() == 36
    assert len(predictor.encoded) == count


def test_nothing_is_encoded_while_the_view_moves_and_then_what_is_seen_at_last(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    look_at(viewer, zoom=2, center=(300, 300))
    session.choose_image(image)
    by_hand.finish_all()
    session.windows.enabled = True
    assert session.windows.is_working
    look_at(viewer, zoom=2, center=(600, 600))
    assert not session.windows.is_working
    look_at(viewer, zoom=2, center=(900, 800))
    *passed, _ = by_hand.waiting
    by_hand.waiting = by_hand.waiting[-1:]
    for callback in passed:
        callback()
    assert not session.windows.is_working, "it has not come to rest yet"
    by_hand.finish_all()
    first = session.windows.ready[0].image_box
    assert first[0] < 900 < first[2]
    assert first[1] < 800 < first[3]
    assert all(box[2] > 700 and box[3] > 600 for box in session.windows.answering), "what was passed is left out"
    count = len(predictor.encoded)
    look_at(viewer, zoom=2, center=(300, 300))
    by_hand.finish_all()
    assert len(predictor.encoded) > count, "what is seen now, though nothing was clicked"
    count = len(predictor.encoded)
    session.windows.enabled = False
    look_at(viewer, zoom=2, center=(300, 900))
    by_hand.finish_all()
    assert len(predictor.encoded) == count, "the user wants none"


class Remembering:
    """A predictor over another one that keeps embeddings as on a disk, by their pixels."""

    def __init__(self, inner):
        self.inner, self.cache, self.kept = inner, "a folder", {}
        self.name, self.sam, self.predict = inner.name, inner.sam, inner.predict

    def known_steps(self, image, *, contrast_limits=None):
        yield Progress(0, 0, "looking")
        return self.kept.get(image.tobytes())

    def encode_steps(self, image, *, contrast_limits=None):
        if image.tobytes() not in self.kept:
            found = yield from self.inner.encode_steps(image, contrast_limits=contrast_limits)
            self.kept[image.tobytes()] = found
        return self.kept[image.tobytes()]


def test_what_is_kept_of_the_view_is_known_as_ready_when_the_image_is_opened_again(viewer, image, predictor):
    image.data[:] = np.random.default_rng(0).integers(0, 30, image.data.shape)
    image.data[320:330, 330:340] = 200
    kept = Remembering(predictor)
    look_at(viewer, zoom=1, center=(300, 300))
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: kept)
    session.windows.enabled = True
    session.choose_image(image)
    before = set(session.windows.ready)
    assert len(before) >= 4
    session.close()

    count = len(predictor.encoded)
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: kept)
    session.choose_image(image)
    assert set(session.windows.ready) == before, "without anything being encoded ahead"
    assert len(viewer.layers["ready windows"].data) == len(before)
    look_at(viewer, zoom=1, center=(800, 800))
    assert set(session.windows.ready) == before, "nothing else is kept"
    session.add_point((325, 335))
    assert session.candidates[0].mask[325, 335]
    assert len(predictor.encoded) == count

    session.windows.outlined = False
    look_at(viewer, zoom=1, center=(300, 300))
    session.windows.enabled = True
    assert len(predictor.encoded) > count, "those around the click are encoded"
    session.close()


def test_a_prompt_has_the_processor_for_itself(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(image)
    session.windows.enabled = True
    by_hand.finish_all()
    session.add_point((505, 505))
    while not session.windows.is_working:
        by_hand.run_waiting()
        for task in by_hand.running:
            task.step()
    session.add_point((507, 505))
    assert not session.windows.is_working
    by_hand.finish_all()
    assert len(session.windows.ready) > 4


def test_the_window_of_a_question_is_shown_and_can_be_cancelled(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(image)
    by_hand.finish_all()
    states = []
    session.embedding_changed.connect(states.append)
    predictor.held = True
    session.add_point((505, 505))
    session.windows.enabled = True  # after the question, so that its window is not there yet
    (task,) = by_hand.running
    while session.embedding_state.progress.total == 0:
        task.step()
    assert session.embedding_state == states[-1]
    assert states[-1].phase == "working"
    assert states[-1].progress.note == "Computing the embedding of a part of the image"
    session.cancel()
    assert states[-1].phase == session.embedding_state.phase == "ready"
    assert "Stopped" in session.status
    task.step()
    assert by_hand.running == [], "neither the question nor windows ahead go on"
    predictor.held = False
    session.add_point((507, 505))
    by_hand.finish_all()
    assert len(session.candidates) == 1
    assert len(predictor.begun) == len(predictor.encoded), "the window was gone on with"
    assert states[-1].phase == "ready"


def test_a_click_goes_on_with_the_window_that_was_begun_ahead(viewer, image, predictor, by_hand):
    image.data[570:576, 570:576] = 200  # too near to the edge of the first window to be answered from it
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(image)
    by_hand.finish_all()
    session.add_point((505, 505))
    by_hand.finish_all()
    predictor.held = True
    session.windows.enabled = True
    (task,) = by_hand.running
    while len(predictor.begun) < 2:
        task.step()
    session.windows.enabled = predictor.held = False
    session.clear_prompts()
    session.add_point((573, 573))
    by_hand.finish_all()
    assert [window.image_box for window in session.windows.ready] == [(448, 448, 576, 576), (480, 480, 608, 608)]
    assert session.candidates[0].mask.sum() == 6 * 6
    assert len(predictor.begun) == 2


def test_another_model_leaves_nothing_of_a_window_that_was_begun(viewer, image, predictor, by_hand):
    session = PromptSession(viewer, by_hand, lambda model, device: predictor)
    session.choose_image(image)
    by_hand.finish_all()
    predictor.held = True
    session.add_point((505, 505))
    (task,) = by_hand.running
    while not predictor.begun:
        task.step()
    session.choose_model("another")
    assert session._conversation.begun._held == ()
    predictor.held = False
    by_hand.finish_all()
    assert len(session.candidates) == 1


def test_small_images_have_no_windows_and_closing_leaves_no_outlines(viewer, image, predictor):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.windows.enabled = True
    session.choose_image(image)
    session.add_point((505, 505))
    assert "ready windows" in viewer.layers
    small = viewer.add_image(np.zeros((64, 64), np.uint8))
    session.choose_image(small)
    assert not session.windows.of_large_plane
    assert not viewer.layers["ready windows"].visible
    session.choose_image(image)
    assert viewer.layers["ready windows"].visible
    viewer.layers.remove("ready windows")  # the user wants none
    assert not session.windows.outlined
    session.add_point((507, 505))
    assert "ready windows" not in viewer.layers
    session.windows.outlined = True
    assert "ready windows" in viewer.layers
    session.close()
    assert "ready windows" not in viewer.layers


def test_a_window_that_cannot_be_read_ends_it_with_a_sentence(viewer, image, predictor, monkeypatch):
    session = PromptSession(viewer, SynchronousRunner(), lambda model, device: predictor)
    session.choose_image(image)
    session.add_point((505, 505))
    count = len(predictor.encoded)
    encode = predictor.encode_steps

    def broken(pixels, *, contrast_limits=None):
        if len(predictor.encoded) > count:
            raise OSError("the disk is gone")
        return (yield from encode(pixels, contrast_limits=contrast_limits))

    monkeypatch.setattr(predictor, "encode_steps", broken)
    session.windows.enabled = True
    assert session.windows.failure == "the disk is gone"
    assert len(session.candidates) == 1
