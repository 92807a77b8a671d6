"""`segany propagate`: the same as the scripting interface, files, and mistakes in one line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile

from napari_segany.cli.main import main
from napari_segany.engine.predictor import Predictor
from napari_segany.engine.progress import drain
from napari_segany.engine.prompts import Prompt
from napari_segany.engine.propagation import propagate_steps
from napari_segany.engine.propagation_embeddings import StackEmbeddings
from napari_segany.engine.propagation_settings import PropagationSettings
from napari_segany.engine.propagation_values import SlicePrompt
from napari_segany.evaluation.propagation_oracle import Oracle

LOOSE = ("--min-overlap", "0", "--min-predicted-iou", "-10", "--min-predicted-share", "0.7")


def propagate(*arguments: object) -> int:
    return main(["propagate", *(str(argument) for argument in arguments)])


@pytest.fixture
def counted_encodings(monkeypatch):
    """The slices that were encoded."""
    encoded, compute = [], Predictor.compute_steps

    def compute_steps(self, image, **options):
        encoded.append(image)
        return compute(self, image, **options)

    monkeypatch.setattr(Predictor, "compute_steps", compute_steps)
    return encoded


@pytest.fixture
def stack(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 4096, (4, 40, 60)).astype(np.uint16)
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", resolution=(2e4, 4e4), resolutionunit="CENTIMETER")
    return path


def test_equals_the_scripting_interface(stack, checkpoint, tmp_path, capsys):
    out, tracks = tmp_path / "labels.tif", tmp_path / "tracks.csv"
    said = ("--point", "1,10,20", "--point", "1,12,22", "--background", "1,35,50", "--box", "3:2,5,5,30,50")
    arguments = (*said, *LOOSE, "--between", "best", "--model", checkpoint, "-o", out, "-o", tracks)
    assert propagate(stack, *arguments) == 0

    predictor = Predictor(checkpoint, device="cpu")
    prompts = [
        SlicePrompt(1, 1, Prompt.checked([(10, 20), (12, 22), (35, 50)], [1, 1, 0], image_shape=(40, 60))),
        SlicePrompt(3, 2, Prompt.checked(box=(5, 5, 30, 50), image_shape=(40, 60))),
    ]
    settings = PropagationSettings(min_overlap=0, min_predicted_iou=-10, min_predicted_share=0.7, between="best")
    embeddings = StackEmbeddings(predictor, tifffile.imread(stack))
    expected = drain(propagate_steps(predictor, embeddings, prompts, 4, settings))
    labels = tifffile.imread(out)
    assert labels.dtype == np.uint32
    np.testing.assert_array_equal(labels, expected.labels())
    with tifffile.TiffFile(out) as file:
        assert file.pages.first.tags["XResolution"].value[0] / file.pages.first.tags["XResolution"].value[1] == 2e4
    with tracks.open(newline="") as file:
        rows = list(csv.DictReader(file))
    reached = [(mask.object_id, mask.slice_index, mask.record.area) for n in (1, 3) for mask in expected.masks_of(n)]
    assert [(int(row["track_id"]), int(row["t"]), int(row["area"])) for row in rows] == reached
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"stack.tif: {len(expected.object_ids)} object")
    assert printed[0].endswith(f"-> {out}, {tracks}")
    assert len(printed) == 1 + len(expected.ends)


def test_what_is_not_taken_from_a_prepared_folder_is_told_and_why(
    stack, checkpoint, tmp_path, capsys, counted_encodings, looked_for
):
    folder = tmp_path / "prepared"
    asked = ("--point", "1,10,20", *LOOSE, "--model", checkpoint, "--embeddings", folder, "-o", tmp_path / "out.tif")
    assert main(["embed", str(stack), "-o", str(folder), "--model", str(checkpoint)]) == 0
    low, high = (float(end(tifffile.imread(stack))) for end in (np.min, np.max))

    def told(*arguments) -> str:
        capsys.readouterr()
        counted_encodings.clear()
        looked_for.clear()
        assert propagate(*arguments) == 0
        return capsys.readouterr().err

    assert f"stack.tif is seen with the contrast limits {low:g} to {high:g}, as it was prepared\n" in told(
        stack, *asked
    )
    assert counted_encodings == []
    assert len(looked_for) == 4, "each slice once, though with two pairs of limits"
    assert "stack.tif" not in told(stack, *asked, "--contrast-limits", f"{low},{high}")
    assert counted_encodings == []
    assert (
        f"segany propagate: stack.tif is encoded here. The image was prepared with the contrast limits {low:g} to "
        f"{high:g}; here they are 0 to 99.\n"
    ) in told(stack, *asked, "--contrast-limits", "0,99")
    assert len(counted_encodings) > 1
    np.save(tmp_path / "other.npy", tifffile.imread(stack)[:, ::-1])
    assert ("other.npy is encoded here. The folder of prepared embeddings holds nothing of this image.\n") in told(
        tmp_path / "other.npy", *asked
    )
    sorted(folder.glob("*.zarr.zip"))[0].unlink()
    assert f"1 of 4 slices of stack.tif are not in {folder} and encoded here where they are reached\n" in told(
        stack, *asked, "--contrast-limits", f"{low},{high}"
    )


def test_what_became_of_objects_is_told(stack, checkpoint, tmp_path, capsys, monkeypatch):
    truth = np.zeros((8, 48, 64), np.uint16)
    truth[:4, 8:34, 24:34], truth[4:, 8:18, 24:34], truth[4:, 24:34, 24:34] = 1, 2, 3
    truth[:3, 36:46, 4:14] = 4
    oracle = Oracle(truth, {2: 1, 3: 1})
    monkeypatch.setattr("napari_segany.engine.predictor.Predictor", lambda *args, **kwargs: oracle)
    monkeypatch.setattr(
        "napari_segany.engine.propagation_embeddings.StackEmbeddings", lambda *args, **kwargs: oracle.embeddings
    )
    np.save(tmp_path / "truth.npy", truth)
    out, tracks = tmp_path / "labels.tif", tmp_path / "tracks.csv"
    arguments = ("--point", "0,20,28", "--point", "4:1,40,8", "--point", "9:6,2,2", "--time", "-o", out, "-o", tracks)
    assert propagate(tmp_path / "truth.npy", *arguments) == 0
    expected = np.select([truth == 2, truth == 3], [10, 11], truth.astype(int))
    np.testing.assert_array_equal(tifffile.imread(out), expected)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "object 1 divided into 10 and 11 on slice 4",
        "object 9 is not found on slice 6: the object has vanished",
        "object 4 stops before slice 3, forwards: the object has vanished",
    ]
    with tracks.open(newline="") as file:
        parents = {row["track_id"]: row["parent"] for row in csv.DictReader(file)}
    assert parents == {"1": "0", "4": "0", "10": "1", "11": "1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{stack} -o {out}", "no prompt"),
        ("{stack} --background 1,2,3 -o {out}", "no object"),
        ("{stack} --point 1,2 -o {out}", "'1,2' is not [ID:]S,R,C"),
        ("{stack} --point a:1,2,3 -o {out}", "'a:1,2,3' is not [ID:]S,R,C"),
        ("{stack} --point 1.5,2,3 -o {out}", "is not [ID:]S,R,C"),
        ("{stack} --box 1,2,3,4 -o {out}", "is not [ID:]S,R0,C0,R1,C1"),
        ("{stack} --point 4,2,3 -o {out}", "slice 4; the stack has 4, from 0 to 3"),
        ("{stack} --point -1,2,3 -o {out}", "slices count from 0"),
        ("{stack} --point 0:1,2,3 -o {out}", "number is 0"),
        ("{stack} --point 1,40,3 -o {out}", "(40, 3) lies outside"),
        ("{stack} --box 1,2,2,9,9 --box 1,2,2,8,8 -o {out}", "2 boxes on slice 1"),
        ("{stack} --point 1,2,3 --min-overlap 2 -o {out}", "min_overlap is 2.0"),
        ("{stack} --point 1,2,3 --direction up -o {out}", "invalid choice"),
        ("{stack} --point 1,2,3 --contrast-limits 5 -o {out}", "is not two numbers"),
        ("{stack} --point 1,2,3 -o {folder}/none/out.tif", "does not exist"),
        ("{stack} --point 1,2,3 -o {folder}/out.png", "unknown ending"),
        ("{stack} --point 1,2,3 --embeddings {folder}/none -o {out}", "there is no folder"),
        ("{image} --point 1,2,3 -o {out}", "allowed are"),
        ("{folder}/missing.tif --point 1,2,3 -o {out}", "missing.tif: No such file"),
    ],
)
def test_mistakes_are_told_in_one_line(stack, image, checkpoint, tmp_path, capsys, line, message):
    out = tmp_path / "out.tif"
    arguments = line.format(stack=stack, image=image, out=out, folder=tmp_path).split()
    assert propagate(*arguments, "--model", checkpoint) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("segany propagate: error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not out.exists()


CHANNELS = np.random.default_rng(1).integers(0, 4096, (4, 2, 40, 60)).astype(np.uint16)


@pytest.fixture(params=["zarr", "tif"])
def with_channels(request, write_ome, tmp_path):
    """CHANNELS as a file whose axes are z, c, y, x."""
    return write_ome(tmp_path / f"channels.ome.{request.param}", CHANNELS, "zcyx")


@pytest.mark.parametrize(("plane", "part"), [("c=1", CHANNELS[:, 1]), ("z=3", CHANNELS[3])])
def test_the_stack_is_chosen_by_the_names_of_axes(with_channels, plane, part, checkpoint, tmp_path):
    asked = ("--point", "1,10,20", *LOOSE, "--model", checkpoint)
    np.save(tmp_path / "part.npy", part)
    assert propagate(with_channels, "--plane", plane, *asked, "-o", tmp_path / "chosen.tif") == 0
    assert propagate(tmp_path / "part.npy", *asked, "-o", tmp_path / "alone.tif") == 0
    found = tifffile.imread(tmp_path / "chosen.tif")
    assert found.any()
    np.testing.assert_array_equal(found, tifffile.imread(tmp_path / "alone.tif"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--plane c=1"),
        (("--plane", "q=1"), "there is no axis q; there is z (4), c (2)"),
        (("--plane", "c=2"), "c=2 is asked for; c goes from 0 to 1"),
        (("--plane", "c=0,z=1"), "none is left of z (4), c (2)"),
        (("--plane", "c"), "'c' is no plane"),
    ],
)
def test_a_stack_that_is_not_one_axis_is_refused(with_channels, options, message, checkpoint, tmp_path, capsys):
    line = (with_channels, "--point", "1,10,20", *options, "--model", checkpoint, "-o", tmp_path / "out.tif")
    assert propagate(*line) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_stack_itself_is_no_output(stack, checkpoint, capsys):
    before = stack.read_bytes()
    assert propagate(stack, "--point", "1,10,20", "--model", checkpoint, "-o", stack) == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert stack.read_bytes() == before
