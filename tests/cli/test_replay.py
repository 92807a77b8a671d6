from __future__ import annotations

import numpy as np
import tifffile

from napari_segany.cli.main import main
from napari_segany.formats.pixel_size import read_pixel_size
from napari_segany.formats.rle import RunLengths
from napari_segany.formats.session_file import SavedSession, write_session
from napari_segany.formats.session_log import SavedLog


def test_labels_have_the_pixel_size_of_the_image_which_is_not_replaced(tmp_path, capsys) -> None:
    image, session, out = tmp_path / "im.tif", tmp_path / "one.json", tmp_path / "out.tif"
    tifffile.imwrite(image, np.zeros((6, 8), np.uint8), resolution=(2e4, 4e4), resolutionunit="CENTIMETER")
    planes = {(): {4: RunLengths.from_mask(np.eye(6, 8, dtype=bool))}}
    what = {"path": str(image), "shape": [6, 8], "dtype": "uint8"}
    write_session(session, SavedSession(what, "light", "", planes=planes, log=SavedLog(planes)))
    before = image.read_bytes()
    assert main(["replay", str(session), "-o", str(out)]) == 0
    np.testing.assert_array_equal(tifffile.imread(out), np.eye(6, 8) * 4)
    assert read_pixel_size(out) == read_pixel_size(image) is not None
    assert main(["replay", str(session), "-o", str(image)]) == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert image.read_bytes() == before
