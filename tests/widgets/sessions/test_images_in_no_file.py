"""Images that were opened from no file: sample images, and arrays from the console. Scripts and replay find them."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers import Image, Layer
from skimage.data import coins
from tests.widgets.sessions.scene import run_script

from napari_segany.cli.main import main
from napari_segany.formats.labels import read_label_tiff
from napari_segany.formats.session_file import read_session
from napari_segany.widgets import samples


def accepted(session):
    session.add_point((45, 45))
    session.next_candidate()
    session.accept()
    return session.objects.layer.data.copy()


def test_a_sample_image_is_found_by_its_name(begin, tmp_path, capsys):
    session = begin(layer=Layer.create(*samples.coins()[0]))
    labels = accepted(session)
    assert session.files.has_image_file
    text = session.files.script()
    assert "segany.sample_image('coins')" in text
    done = run_script(text, tmp_path, tmp_path / "out.tif")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)
    session.files.save(tmp_path / "one.json")
    assert "no file" not in session.status
    assert main(["replay", str(tmp_path / "one.json")]) == 0
    again = begin(with_image=False)
    again.files.open(tmp_path / "one.json")
    np.testing.assert_array_equal(again.objects.layer.data, labels)
    assert again.files.has_image_file


def test_the_script_of_an_array_says_what_to_save_and_runs_when_that_is_done(begin, tmp_path):
    session = begin(layer=Image(coins()[:140, :160], name="my coins (1)"))
    labels = accepted(session)
    assert not session.files.has_image_file
    text = session.files.script()
    done = run_script(text, tmp_path, tmp_path / "out.tif")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "Save the image my coins (1) here as my_coins_1_.tif or my_coins_1_.npy, and run this again."
    )
    np.save(tmp_path / "my_coins_1_.npy", coins()[:140, :160])
    done = run_script(text, tmp_path, tmp_path / "out.tif")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)
    np.save(tmp_path / "my_coins_1_.npy", coins()[1:141, :160])
    assert "is not the one that was worked on" in run_script(text, tmp_path).stderr


@pytest.mark.parametrize("name", ["mine.tif", "mine.npy"])
def test_an_array_that_is_saved_is_found_by_scripts_and_replay(begin, tmp_path, name):
    session = begin(layer=Image(coins()[:140, :160], name="mine"))
    labels = accepted(session)
    session.files.save(tmp_path / "one.json")
    assert "in no file yet: Save image" in session.status
    assert main(["replay", str(tmp_path / "one.json")]) == 2
    done = []
    session.files.save_image(tmp_path / name, done=lambda: done.append(True))
    assert done
    assert session.files.has_image_file
    (tmp_path / "elsewhere").mkdir()
    run = run_script(session.files.script(), tmp_path / "elsewhere", tmp_path / "out.tif")
    assert run.returncode == 0, run.stderr
    np.testing.assert_array_equal(read_label_tiff(tmp_path / "out.tif"), labels)
    session.files.save(tmp_path / "one.json")
    assert read_session(tmp_path / "one.json").image["path"] == str(tmp_path / name)
    assert main(["replay", str(tmp_path / "one.json")]) == 0


def test_an_image_that_cannot_be_saved_is_said(begin, tmp_path):
    session = begin(layer=Image(coins()[:140, :160].astype(np.float32), name="mine"))
    failed = []
    for name, words in (("mine.png", "'.png'"), ("no/mine.tif", "No such file")):
        session.files.save_image(tmp_path / name, failed=lambda: failed.append(True))
        assert words in session.status
    assert len(failed) == 2
    assert not session.files.has_image_file
    session.files.save_image(tmp_path / "mine.tif")
    assert tifffile.imread(tmp_path / "mine.tif").dtype == np.float32
