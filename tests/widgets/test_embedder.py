from __future__ import annotations

import numpy as np
import pytest

from napari_segany.engine.progress import Progress
from napari_segany.widgets.embedder import Embedder
from napari_segany.widgets.geometry import Plane

PLANE = Plane((0, 1), ())


@pytest.fixture
def embedder(by_hand, predictor):
    return Embedder(by_hand, lambda model, device: predictor, 10_000, model="light", device="cpu")


def want(embedder, image="a"):
    key = embedder.key(image, PLANE, None)
    embedder.want(key, lambda: np.zeros((4, 5)))
    return key


def test_model_is_loaded_once_and_then_the_plane_is_encoded(embedder, by_hand, predictor):
    key = want(embedder)
    assert embedder.state.phase == "working"
    assert embedder.get(key) is None
    by_hand.finish_all()
    assert embedder.state.phase == "ready"
    assert embedder.get(key).image_shape == (4, 5)
    want(embedder, "b")
    by_hand.finish_all()
    assert [task.title for task in by_hand.tasks].count("Loading the model light") == 1
    assert len(predictor.encoded) == 2


def test_the_same_wish_twice_is_one_piece_of_work(embedder, by_hand):
    want(embedder)
    want(embedder)
    by_hand.tasks[0].finish()
    want(embedder)
    assert len(by_hand.tasks) == 2


def test_a_new_wish_stops_the_old_work(embedder, by_hand, predictor):
    want(embedder)
    by_hand.tasks[0].finish()
    old = by_hand.running[0]
    new = want(embedder, "b")
    assert old.cancelled
    by_hand.finish_all()
    assert embedder.get(new) is not None
    assert len(predictor.encoded) == 1


def test_leaving_the_plane_lets_the_model_go_on_loading(embedder, by_hand):
    want(embedder)
    embedder.leave_plane()
    assert not by_hand.tasks[0].cancelled
    by_hand.finish_all()
    assert embedder.state.phase == "none"
    assert len(by_hand.tasks) == 1, "nothing is wanted any more"
    assert embedder.predictor is not None


def test_cancel_stops_everything_until_the_next_wish(embedder, by_hand):
    want(embedder)
    by_hand.tasks[0].finish()
    embedder.cancel()
    assert embedder.state.phase == "none"
    assert by_hand.running == []
    want(embedder)
    by_hand.finish_all()
    assert embedder.state.phase == "ready"


def test_progress_is_passed_on(embedder, by_hand):
    states = []
    embedder.state_changed.connect(states.append)
    want(embedder)
    by_hand.finish_all()
    assert Progress(1, 2, "encoding") in [state.progress for state in states]
    assert [state.phase for state in states][-1] == "ready"


def test_another_model_or_device_needs_another_embedding(embedder, by_hand):
    old = want(embedder)
    by_hand.finish_all()
    embedder.model = "vit_b"
    assert embedder.key("a", PLANE, None) != old
    new = want(embedder)
    assert embedder.get(new) is None
    by_hand.finish_all()
    assert embedder.get(new) is not None
    assert embedder.get(old) is None, "an embedding is asked by the model that made it"


def test_failures_are_said_and_can_be_tried_again(by_hand, predictor):
    def load(model, device):
        if not tried:
            tried.append(model)
            raise FileNotFoundError("vit_b is not here; segany models download vit_b")
        return predictor

    tried = []
    embedder = Embedder(by_hand, load, 10_000, model="vit_b", device="cpu")
    want(embedder)
    by_hand.finish_all()
    assert embedder.state.phase == "failed"
    assert embedder.state.message == "vit_b is not here; segany models download vit_b"
    predictor.failure = RuntimeError("out of memory")
    want(embedder)
    by_hand.finish_all()
    assert embedder.state.message == "out of memory"
    predictor.failure = None
    want(embedder)
    by_hand.finish_all()
    assert embedder.state.phase == "ready"


def test_a_download_is_the_one_piece_of_work(embedder, by_hand):
    def steps():
        yield Progress(3, 10, "Downloading")
        return "path"

    done = []
    embedder.download("Downloading vit_b", steps(), lambda: done.append(True))
    by_hand.running[0].step()
    assert embedder.state.progress == Progress(3, 10, "Downloading")
    by_hand.finish_all()
    assert done == [True]
    assert embedder.state.phase == "none"


def test_nothing_but_another_download_or_cancelling_stops_a_download(embedder, by_hand):
    def steps():
        yield Progress(3, 10, "Downloading")

    done = []
    want(embedder)
    by_hand.finish_all()
    embedder.download("Downloading vit_b", steps(), lambda: done.append("vit_b"))
    (task,) = by_hand.running
    task.step()
    embedder.leave_plane()  # a slider is moved
    embedder.cancel()  # another image is chosen
    key = want(embedder, "b")  # and clicked on
    assert by_hand.running == [task]
    assert embedder.state.progress == Progress(3, 10, "Downloading")
    by_hand.finish_all()
    assert done == ["vit_b"]
    assert embedder.get(key) is not None
    assert embedder.state.phase == "ready"
    embedder.download("Downloading vit_b", steps(), lambda: done.append("again"))
    embedder.download("Downloading vit_l", steps(), lambda: done.append("vit_l"))
    (task,) = by_hand.running
    embedder.cancel_download()
    assert task.cancelled
    assert embedder.state.phase == "none"
    assert done == ["vit_b"]


def test_what_failed_of_a_download_is_said_and_the_next_wish_is_made(embedder, by_hand):
    def steps():
        yield Progress(3, 10, "Downloading")
        raise OSError("no network")

    embedder.download("Downloading vit_b", steps(), list)
    by_hand.finish_all()
    assert embedder.state.message == "no network"
    want(embedder)
    by_hand.finish_all()
    assert embedder.state.phase == "ready"
