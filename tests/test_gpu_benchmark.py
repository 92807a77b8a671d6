"""The benchmark for a GPU, which has to be right at its first run there, tried on a processor."""

import json
import runpy
import sys


def test_a_section_that_fails_is_one_line_and_the_others_have_their_tables(project, monkeypatch, capsys, tmp_path):
    out = tmp_path / "gpu.json"
    script = str(project / "benchmarks" / "gpu.py")
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    arguments = ["--device", "cpu", "--smoke", "--seconds", "0.001", "--sections", "graphs,ceilings"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments, "--output", str(out)])
    runpy.run_path(script, run_name="__main__")
    found = json.loads(out.read_text())
    assert [row["name"] for row in found["rows"]["ceilings"]][:2] == ["bfloat16", "float32"]
    assert found["failed"]["graphs"] == [["", "ValueError: graphs are recorded on CUDA alone"]]

    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--show", str(out)])
    runpy.run_path(script, run_name="__main__")
    shown = capsys.readouterr().out
    assert "| what | ms | reached |" in shown
    assert "graphs are recorded on CUDA alone" in shown
