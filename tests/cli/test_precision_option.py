"""The precision that a command is asked for is that of the image encoder; auto is decided by the processor."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_segany.cli.main import _parser, main
from napari_segany.cli.precision_option import model_of_batch
from napari_segany.engine.predictor import Predictor
from napari_segany.formats.record import read_records

pytestmark = pytest.mark.filterwarnings("ignore::napari_segany.engine.precision.PrecisionWarning")

LOOSE = (
    "--points-per-side", 2, "--pred-iou-thresh", 0, "--stability-score-thresh", 0, "--max-mask-area-fraction", "none",
    "--outputs", "coco",
)  # fmt: skip


@pytest.fixture
def fast(monkeypatch):
    """A processor with instructions for bfloat16, when it is called."""
    return lambda: monkeypatch.setattr("napari_segany.engine.precision.bfloat16_gain", lambda device: 8.0)


@pytest.fixture
def encoded(monkeypatch):
    """The precisions of the predictors that encoded an image."""
    found: list[str] = []
    compute = Predictor.compute_steps

    def compute_steps(self, image, **options):
        found.append(self.precision)
        return compute(self, image, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    return found


def segany(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_segment_answers_as_the_predictor_of_that_precision(checkpoint, image, tmp_path, fast):
    out, scores = tmp_path / "out.json", {}
    for precision in ("float32", "bfloat16"):
        predictor = Predictor(checkpoint, device="cpu", precision=precision)
        scores[precision] = predictor.predict(predictor.encode(np.asarray(Image.open(image))), points=[(10, 20)])

    def answered(*options):
        assert segany("segment", image, "--point", "10,20", "--model", checkpoint, "-o", out, *options) == 0
        return [record.predicted_iou for record in read_records(out)]

    exact, short = (list(map(float, scores[name].predicted_iou)) for name in ("float32", "bfloat16"))
    assert exact != short
    assert answered("--precision", "float32") == pytest.approx(exact, abs=1e-9)
    assert answered("--precision", "bfloat16") == pytest.approx(short, abs=1e-9)
    assert answered() == pytest.approx(exact, abs=1e-9), "nothing is gained on this processor"
    fast()
    assert answered() == pytest.approx(short, abs=1e-9)


def test_everything_does_again_what_was_done_in_another_precision(checkpoint, image, tmp_path, capsys, encoded, fast):
    def done(*options):
        encoded.clear()
        assert segany("everything", image, "-o", tmp_path / "out", "--model", checkpoint, *LOOSE, *options) == 0
        return set(encoded)

    assert done("--precision", "float32") == {"float32"}
    assert done() == set(), "auto is float32 on this processor"
    fast()
    assert done() == {"bfloat16"}
    assert done("--precision", "bfloat16") == set()
    assert done("--precision", "float32") == {"float32"}


def test_tiles_are_kept_apart_too(checkpoint, tmp_path, encoded, fast):
    tifffile.imwrite(tmp_path / "in.tif", np.random.default_rng(0).integers(0, 256, (90, 80), np.uint8))
    line = ("everything", tmp_path / "in.tif", "-o", tmp_path / "out", "--model", checkpoint, *LOOSE[:-2],
            "--outputs", "labels", "--tiles", "always")  # fmt: skip
    for precision, expected in (("float32", {"float32"}), ("float32", set()), ("bfloat16", {"bfloat16"})):
        encoded.clear()
        assert segany(*line, "--precision", precision) == 0
        assert set(encoded) == expected


def test_embeddings_serve_a_computer_that_would_compute_otherwise(checkpoint, image, tmp_path, capsys, encoded, fast):
    folder, out = tmp_path / "made", tmp_path / "mask.json"
    assert segany("embed", image, "-o", folder, "--model", checkpoint, "--precision", "bfloat16") == 0
    assert capsys.readouterr().out.startswith("1 embedding (computed in bfloat16), ")
    assert json.loads((folder / "manifest.json").read_text())["embeddings"][0]["model_digest"].endswith("bfloat16")
    line = ("segment", image, "--point", "10,20", "--model", checkpoint, "--embeddings", folder, "-o", out)
    encoded.clear()
    assert segany(*line) == 0
    assert encoded == []
    assert segany(*line, "--precision", "float32") == 0
    assert encoded == ["float32"], "asked for"
    fast()
    assert segany("embed", image, "-o", folder, "--model", checkpoint) == 0
    assert encoded == ["float32"], "auto is bfloat16 here, which is there"


def test_a_cluster_of_other_machines_is_asked_for_float32_unless_told(checkpoint, fast):
    fast()

    def model(*options):
        line = ["everything", "x", "-o", "y", "--model", os.fspath(checkpoint), *options]
        return model_of_batch(_parser().parse_args(line)).portable().precision

    assert model() == model("--dask", "local") == "bfloat16"
    assert model("--dask", "tcp://10.0.0.1:8786") == "float32"
    assert model("--dask", "tcp://10.0.0.1:8786", "--precision", "bfloat16") == "bfloat16"
