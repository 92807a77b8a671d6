from __future__ import annotations

import numpy as np
from PIL import Image

from napari_segany.cli.main import main


def test_the_table_is_printed_and_written(checkpoint, tmp_path, capsys) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    labels = np.zeros((40, 60), np.uint8)
    labels[5:15, 5:15] = 1
    for kind in ("images", "labels"):
        (data / "one" / kind).mkdir(parents=True)
        Image.fromarray(labels).save(data / "one" / kind / "a.png")
    arguments = ["evaluate", "proposals", "--data", str(data), "--model", str(checkpoint), "--output", str(out)]
    arguments += ["--points-per-side", "2"]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "AR@1000 small" in printed
    assert printed.startswith((out / "summary.md").read_text())
    page = tmp_path / "report.html"
    assert main(["report", str(out), "-o", str(page)]) == 0
    assert '<img alt="average_recall" src="data:image/png;base64,' in page.read_text()
    assert main([*arguments[:-1], "3"]) == 2
    assert "another run (different: settings)" in capsys.readouterr().err
    assert main(["evaluate", "proposals", "--data", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
