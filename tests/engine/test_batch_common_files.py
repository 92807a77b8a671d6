"""Files that are one for all images: ours are written again, somebody's own never."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from tests.engine.no_model import NoModel

from napari_segany.engine.batch import one_image
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings
from napari_segany.engine.progress import drain


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a batch of one image without objects, with these outputs."""

    def object_steps(*arguments):
        yield from ()
        return []

    monkeypatch.setattr(one_image, "_object_steps", object_steps)
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((8, 9), np.uint8))
    return lambda *outputs: drain(
        batch_steps(find_images([tmp_path / "one.tif"]), tmp_path / "out", NoModel(), BatchSettings(outputs))
    )


def test_somebodys_own_file_in_a_folder_of_ours_is_refused_until_it_goes(run, tmp_path):
    own = tmp_path / "out/coco.json"
    run("labels")
    own.write_text('{"images": []}')
    for _ in range(2):
        with pytest.raises(ValueError, match=r"coco\.json is in .* and was not written by segany"):
            run("labels", "coco")
    assert own.read_text() == '{"images": []}'
    run("labels")
    own.unlink()
    for _ in range(2):
        assert run("coco").failed == ()
    assert '"one.tif"' in own.read_text()


def test_a_record_that_cannot_be_read_makes_nothing_ours(run, tmp_path):
    run("labels", "coco")
    before = (tmp_path / "out/coco.json").read_bytes()
    (tmp_path / "out/.segany/common.json").write_text("{")
    with pytest.raises(ValueError, match="was not written by segany"):
        run("labels", "coco")
    assert (tmp_path / "out/coco.json").read_bytes() == before
