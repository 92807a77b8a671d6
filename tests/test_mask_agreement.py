"""What the benchmarks of bfloat16 compare: masks by hand, and the whole program on one small picture."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_agreement_by_hand():
    module = importlib.import_module("mask_agreement")
    wanted = torch.zeros(2, 3, 4, 4, dtype=torch.bool)  # two clicks, three masks each
    wanted[:, :2, :2] = True  # 8 pixels; the third mask of each is empty
    found = wanted.clone()
    found[0, 0, 2, :2] = True  # 10 pixels, 8 of them wanted
    found[1, 1, 0] = False  # 4 of 8 pixels
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.3, 0.8, 0.2]])
    others = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.3, 0.2]])
    row = module.agreement([(found, others)], [(wanted, scores)])
    assert row["mean_iou"] == pytest.approx((0.8 + 1 + 1 + 1 + 0.5 + 1) / 6)
    assert row["lowest"] == row["lowest_of_best"] == 0.5
    assert row["mean_iou_of_best"] == pytest.approx((0.8 + 0.5) / 2)
    assert (row["masks"], row["same_choice"]) == (6, 0.5)


def test_the_table_of_a_folder(tmp_path, monkeypatch, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "a.png")
    monkeypatch.setattr(sys, "argv", ["bfloat16_quality.py", str(tmp_path), "--models", "light"])
    runpy.run_path(str(BENCHMARKS / "bfloat16_quality.py"), run_name="__main__")
    first, *_, line = capsys.readouterr().out.splitlines()
    assert first.endswith("as fast as float32 here. Images: 1")
    name, weights, masks, mean, lowest, *_ = (cell.strip() for cell in line.strip("| ").split("|"))
    assert (name, weights, masks) == ("light", "its own", "120")
    assert 0 <= float(lowest) <= float(mean) < 1
