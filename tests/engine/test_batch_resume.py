"""A batch that is killed at any moment and run again leaves what an undisturbed one leaves."""

from __future__ import annotations

import random
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_segany.model import save_sam

IMAGES = 50
BATCH = """
import sys
from napari_segany.engine.automatic_settings import AutomaticSettings
from napari_segany.engine.batch.inputs import find_images
from napari_segany.engine.batch.model_source import NamedModel
from napari_segany.engine.batch.output_names import OUTPUTS
from napari_segany.engine.batch.run import batch_steps
from napari_segany.engine.batch.settings import BatchSettings

inputs, out, weights = sys.argv[1:]
automatic = AutomaticSettings(
    points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0, max_mask_area_fraction=None
)
steps = batch_steps(find_images([inputs]), out, NamedModel(weights, "cpu"), BatchSettings(tuple(OUTPUTS), automatic))
for progress in steps:
    print(progress.done, flush=True)
"""


@pytest.fixture
def arguments(tmp_path, predictor):
    """What a batch into a folder is started with: the script and its arguments."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES - 1):
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(folder / f"{number:02d}.png")
    (folder / "damaged.png").write_bytes(b"\x89PNG")
    save_sam(predictor.sam, tmp_path / "weights.safetensors", dtype=None)
    (tmp_path / "batch.py").write_text(BATCH)

    def arguments(out: Path) -> list[str]:
        return [str(tmp_path / "batch.py"), str(folder), str(out), str(tmp_path / "weights.safetensors")]

    return arguments


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_killed_and_run_again_equals_undisturbed(arguments, tmp_path, record_property, monkeypatch):
    seed = random.SystemRandom().randrange(2**32)
    record_property("seed", seed)
    moment = random.Random(seed)
    target, lines = moment.randrange(1, IMAGES - 1), moment.randrange(1, 8)
    command = [sys.executable, *arguments(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            lines -= int(line) >= target
            if lines == 0:
                break
        process.kill()
    assert process.returncode != 0
    complete = len(list((tmp_path / "killed").glob(".segany/images/*/done.json")))
    assert 0 < complete < IMAGES
    assert not (tmp_path / "killed/report.csv").exists()
    for folder in ("killed", "undisturbed"):
        monkeypatch.setattr(sys, "argv", arguments(tmp_path / folder))
        runpy.run_path(sys.argv[0])
    killed, undisturbed = tree(tmp_path / "killed"), tree(tmp_path / "undisturbed")
    assert len([name for name in undisturbed if name.startswith("labels/")]) == IMAGES - 1
    assert sorted(killed) == sorted(undisturbed), seed
    assert [name for name in killed if killed[name] != undisturbed[name]] == [], seed
