"""Words choose among the objects that were found: as they come, by a threshold, and with CLIP missing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.clip import NotHereError, TextModelError
from napari_segany.widgets.everything_session import EverythingSession
from napari_segany.widgets.progress_runner import SynchronousRunner

SHAPE = (96, 128)
# row, col, radius, level: a cell (150) with a nucleus (240) in it, and two cells apart (200 and 230)
DISCS = ((30, 30, 18, 150), (30, 30, 8, 240), (70, 100, 10, 200), (20, 100, 10, 230))


class Brightness:
    """A CLIP whose meanings are bright and dark; counts the pictures that it is shown."""

    temperature = 1.0

    def __init__(self) -> None:
        self.seen, self.asked = 0, []

    def words(self, texts):
        self.asked.append(tuple(texts))
        return np.array([{"bright": (1, 0), "dark": (0, 1)}.get(text, (0, 0)) for text in texts], np.float32)

    def pictures(self, pictures):
        self.seen += len(pictures)
        levels = np.array([one.max() / 255 for one in pictures], np.float32)
        return np.stack([levels, np.sqrt(1 - levels**2)], axis=1)


@pytest.fixture
def clip():
    return Brightness()


@pytest.fixture
def idle(viewer, clip, discs):
    session = EverythingSession(viewer, SynchronousRunner(), lambda model, device: discs.DiscFinder())
    session.change(points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    session.words.load = lambda model, fetch: clip
    return session


@pytest.fixture
def session(idle, discs):
    idle.choose_image(idle.viewer.add_image(discs.disc_image(SHAPE, DISCS), contrast_limits=(0, 255)))
    idle.run()
    return idle


def levels(session) -> set[int]:
    """The grey levels of the objects that are shown."""
    image = session.image.data
    return {int(image[one.record.mask].min()) for one in session.objects.values()}


def expected(level: int, words=(1, 0)) -> float:
    """The probability that a disc is bright, beside dark, from the definition of `Brightness`."""
    vector = np.array([level / 255, np.sqrt(1 - (level / 255) ** 2)])
    bright, dark = np.exp(vector)
    return bright / (bright + dark)


def test_words_leave_out_what_does_not_fit_and_give_it_back(session, clip):
    assert levels(session) == {150, 200, 230, 240}
    numbers = {int(session.image.data[one.record.mask].min()): label for label, one in session.objects.items()}
    session.words.look_for("bright", background=["dark"], threshold=0.6)
    kept = {level for level in (200, 230, 240) if expected(level) >= 0.6}
    assert kept == {230, 240}
    # The cell of 150 has a nucleus of 240 in it, which its picture shows.
    assert levels(session) == kept | {150}
    assert session.words.status == "3 of 4 objects fit “bright”."
    table = session.layer.features
    assert table.loc[numbers[230], "fits_words"] == pytest.approx(expected(230), abs=1e-6)
    assert set(np.unique(session.layer.data)) == {0, *session.objects}
    # The threshold asks nobody, and objects keep their numbers.
    seen, asked = clip.seen, len(clip.asked)
    session.words.set_threshold(0.0)
    assert {
        int(session.image.data[one.record.mask].min()): label for label, one in session.objects.items()
    } == numbers
    session.words.set_threshold(0.99)
    assert not session.objects
    assert "None of 4 objects fits “bright”; the best has 0.6" in session.words.status
    # Other words ask for words alone: what objects look like is known.
    session.words.look_for("dark", background=["bright"], threshold=0.5)
    assert (clip.seen, len(clip.asked)) == (seen, asked + 1)
    assert levels(session) == set()
    session.words.set_threshold(0.41)
    assert levels(session) == {200}
    session.words.forget()
    assert levels(session) == {150, 200, 230, 240}
    assert "fits_words" not in session.layer.features
    session.words.look_for("dark", threshold=0.41)  # the same again asks nothing
    assert (levels(session), clip.seen, len(clip.asked)) == ({200}, seen, asked + 1)


def test_objects_that_come_later_are_compared_as_they_come(session, clip):
    session.change(pred_iou_thresh=0.9)
    session.words.look_for("bright", background=["dark"], threshold=0.6)
    assert (levels(session), clip.seen) == ({230, 240}, 4)
    session.change(pred_iou_thresh=0.5)
    assert (levels(session), clip.seen) == ({150, 230, 240}, 8)
    session.change(pred_iou_thresh=0.9)
    session.run()  # the same objects again
    assert (levels(session), clip.seen) == ({230, 240}, 8)


def test_every_slice_is_compared(idle, clip, discs):
    session, image = idle, discs.disc_image(SHAPE, DISCS)
    stack = np.stack([image, np.minimum(image, 200)])
    session.choose_image(session.viewer.add_image(stack, contrast_limits=(0, 255)))
    session.run(all_slices=True)
    session.words.look_for("bright", background=["dark"], threshold=0.6)
    planes = [one.plane.index for one in session.objects.values()]
    assert (planes.count((0,)), planes.count((1,))) == (3, 0)
    session.editor.select([next(iter(session.objects))])
    session.editor.delete()
    assert len(session.objects) == 2
    assert session.words.status.startswith("2 of ")


def test_words_before_the_run_wait_for_objects(idle, discs):
    session = idle
    session.words.look_for("bright", background=["dark"], threshold=0.6)
    session.choose_image(session.viewer.add_image(discs.disc_image(SHAPE, DISCS), contrast_limits=(0, 255)))
    assert "press Run" in session.words.status
    session.run()
    assert levels(session) == {150, 230, 240}


def test_a_missing_clip_loses_nothing_and_is_fetched_only_when_asked(session, clip):
    asked = []

    def load(model, fetch):
        asked.append((model, fetch))
        if model == "broken":
            raise TextModelError("words need the library transformers; install it")
        if fetch and len(asked) == 2:
            raise TextModelError("it could not be fetched")
        if not fetch:
            raise NotHereError("not here")
        return clip

    session.words.load = load
    session.words.look_for("bright", background=["dark"], threshold=0.6)
    assert session.words.needs_download
    assert "Press Download to fetch it once (0.6 GB), or choose a folder" in session.words.status
    assert len(session.objects) == 4
    session.change(pred_iou_thresh=0.55)  # does not try again
    assert asked == [("openai/clip-vit-base-patch32", False)]
    session.words.download()
    assert session.words.status == "It could not be fetched"
    assert session.words.needs_download
    session.words.download()
    assert asked[1:] == [("openai/clip-vit-base-patch32", True)] * 2
    assert levels(session) == {150, 230, 240}
    assert not session.words.needs_download
    session.words.look_for("bright", model="broken")
    assert session.words.status == "Words need the library transformers; install it"
    assert not session.words.needs_download
    assert len(session.objects) == 4


def test_what_makes_no_sense_is_refused(session):
    with pytest.raises(ValueError, match="there are no words"):
        session.words.look_for()
    with pytest.raises(ValueError, match="the threshold is 3"):
        session.words.look_for("bright", threshold=3)
    with pytest.raises(ValueError, match="Nothing is looked for"):
        session.words.set_threshold(0.5)
    assert len(session.objects) == 4
