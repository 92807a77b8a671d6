from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_segany.cli.main import main

pytest.importorskip("pycocotools")


def test_the_table_is_written_and_a_second_run_reads_the_masks(checkpoint, tmp_path, capsys) -> None:
    data, out, boxes = tmp_path / "data", tmp_path / "out", tmp_path / "boxes.json"
    labels = np.zeros((40, 60), np.uint8)
    labels[5:15, 5:15] = 1
    for kind in ("images", "labels"):
        (data / "one" / kind).mkdir(parents=True)
        Image.fromarray(labels).save(data / "one" / kind / "a.png")
    arguments = ["evaluate", "boxes", "--data", str(data), "--model", str(checkpoint), "--output", str(out)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert first.startswith("| data set | images | objects | boxes | AP | AP 0.5 |")
    assert "| one | 1 | 1 | 1 |" in first
    assert json.loads((out / "masks/one/a.json").read_text())[0]["image_id"] == "a"
    assert json.loads((out / "command.json").read_text())["command"].startswith("segany evaluate boxes")
    assert main(arguments) == 0
    assert capsys.readouterr().out == first
    page = tmp_path / "report.html"
    assert main(["report", str(out), "-o", str(page)]) == 0
    assert '<img alt="mask_ap" src="data:image/png;base64,' in page.read_text()
    capsys.readouterr()
    for damage in ("[", "[]", "[{}]", None):  # masks that went, or that somebody else's program wrote, are made anew
        if damage is None:
            (out / "masks/one/a.json").unlink()
        else:
            (out / "masks/one/a.json").write_text(damage)
        assert main(arguments) == 0
        assert capsys.readouterr().out == first
    boxes.write_text(json.dumps([{"image_id": "b", "category_id": 1, "bbox": [5, 5, 10, 10], "score": 1}]))
    assert main([*arguments, "--boxes", str(boxes)]) == 2
    assert "has no box of any of the 1 images" in capsys.readouterr().err
