from __future__ import annotations

import re
import subprocess
import sys
import types
from importlib import import_module
from importlib.machinery import ModuleSpec

import pytest

from napari_segany import __version__
from napari_segany.cli import main as module
from napari_segany.cli.main import main


@pytest.fixture
def command(monkeypatch):
    """The only command, whose `run` the test sets."""
    made = types.ModuleType("napari_segany.cli.segment")
    made.__spec__ = ModuleSpec(made.__name__, loader=None)
    made.NAME, made.HELP, made.EXAMPLE = "segment", "A command of the test.", "segany segment"
    made.add_arguments = lambda parser: parser.add_argument("--point", type=str, action="append")
    monkeypatch.setattr(module, "COMMANDS", ("segment",))
    monkeypatch.setitem(sys.modules, made.__name__, made)
    monkeypatch.setattr("napari_segany.cli.main.import_module", lambda name: made)
    return made


def raising(error: BaseException):
    def run(args):
        raise error

    return run


def test_version_and_help(capsys):
    for option, expected in (("--version", __version__), ("--help", "segment")):
        with pytest.raises(SystemExit) as end:
            main([option])
        assert end.value.code == 0
        assert expected in capsys.readouterr().out


def test_the_status_is_what_the_command_says(command):
    command.run = lambda args: 7
    assert main(["segment"]) == 7


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("wrong\n  in two lines"), "segany segment: error: wrong in two lines"),
        (
            FileNotFoundError(2, "No such file or directory", "a.tif"),
            "segany segment: error: a.tif: No such file or directory",
        ),
        (OSError("plain"), "segany segment: error: plain"),
        (MemoryError(), "segany segment: error: MemoryError"),
    ],
)
def test_errors_are_one_line_and_status_2(command, capsys, error, line):
    command.run = raising(error)
    assert main(["segment"]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"{line}\n"
    assert captured.out == ""


def test_warnings_are_one_line_too():
    """In a process of its own: pytest collects warnings before they are shown."""
    code = (
        "import sys, types, warnings\n"
        "from napari_segany.cli import main as module, segment\n"
        "segment.run = lambda args: warnings.warn('two\\nlines', RuntimeWarning) or 0\n"
        "sys.exit(module.main(['segment', 'x', '-o', 'y']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == "segany segment: warning: two lines\n"


def test_ctrl_c_is_130(command, capsys):
    command.run = raising(KeyboardInterrupt())
    assert main(["segment"]) == 130
    assert capsys.readouterr().err == "segany segment: interrupted\n"


def test_defects_of_ours_keep_their_traceback(command):
    command.run = raising(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["segment"])


@pytest.mark.parametrize(
    ("argv", "program"),
    [
        ([], "segany"),
        (["no_such"], "segany"),
        (["segment", "--bogus"], "segany segment"),
        (["segment", "--point"], "segany segment"),
    ],
)
def test_arguments_that_are_not_understood(command, capsys, argv, program):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{program}: error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("point", ["-5,3", "-5.5,-3", "-.5,1e9", "5,-3"])
def test_negative_coordinates_reach_the_command(command, point):
    seen = []
    command.run = lambda args: seen.extend(args.point) or 0
    assert main(["segment", "--point", point, f"--point={point}"]) == 0
    assert seen == [point, point]


def test_commands_that_are_not_there_are_not_offered(monkeypatch, capsys):
    monkeypatch.setattr(module, "COMMANDS", ("segment", "no_such_module"))
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "no_such_module" not in capsys.readouterr().out


@pytest.mark.parametrize("name", module.COMMANDS)
def test_the_help_of_a_command_ends_with_a_line_that_the_command_takes(name, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    program, *words = capsys.readouterr().out.strip().splitlines()[-1].removeprefix("example: ").split()
    assert (program, words[0]) == ("segany", name)
    seen = []
    monkeypatch.setattr(import_module(f"napari_segany.cli.{name}"), "run", lambda args: seen.append(args) or 0)
    assert main(words) == 0
    assert len(seen) == 1


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "train",
        "evaluate",
        "evaluate boxes",
        "evaluate edges",
        "evaluate proposals",
        "dataset stats",
        "export",
    ],
)
def test_every_output_is_called_o_too(command, capsys):
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    assert re.search(r"^ +-o\b.*--output", capsys.readouterr().out, re.MULTILINE)


def test_help_imports_nothing_slow():
    code = (
        "import sys\n"
        "from napari_segany.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'napari', 'qtpy', 'scipy', 'skimage', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {slow}' if slow else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
