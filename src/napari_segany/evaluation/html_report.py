"""All that was measured in a folder as one HTML page: tables, plots and the exact commands. Knows no models.

A result is a folder with `command.json`, which the commands write beside their results; its `summary.md` and pictures
come into the page, which needs no other file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from napari_segany.formats.json_fields import read_json_object

COMMAND_FILE = "command.json"
SUMMARY_FILE = "summary.md"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #888; }
pre { background: #f4f4f4; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; margin: .5rem 0; } .where { color: #777; }
@media (prefers-color-scheme: dark) { body { background: #1b1b1b; color: #ddd; } pre { background: #2a2a2a; }
th, td { border-color: #444; } img { background: white; } }
"""


@dataclass(frozen=True)
class Result:
    """What a command left.

    Attributes
    ----------
    place : str
        Its folder, from the one that is reported.
    title, command, version : str
        What was measured, the command line, and the version of this package.
    summary : str
        Its tables in Markdown; "" where there are none.
    pictures : tuple of pathlib.Path
        PNG files, by name.
    """

    place: str
    title: str
    command: str
    version: str
    summary: str
    pictures: tuple[Path, ...]


def find_results(folder: Path) -> tuple[list[Result], list[str]]:
    """Find the results in a folder and in its folders.

    Returns
    -------
    results : list of Result
        By place.
    skipped : list of str
        One sentence for each folder whose files are damaged.

    Raises
    ------
    FileNotFoundError
        Where the folder does not exist.
    ValueError
        Where there are neither.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
    found: list[Result] = []
    skipped: list[str] = []
    for path in sorted(folder.rglob(COMMAND_FILE)):
        try:
            found.append(_result(path.parent, folder))
        except (ValueError, OSError) as error:
            skipped.append(f"{path.parent}: {error}")
    if not found and not skipped:
        example = f"segany evaluate ... --output {folder / 'first'}"
        raise ValueError(f"{folder} holds no results; make some first: {example}")
    return found, skipped


def to_html(results: Sequence[Result], title: str) -> str:
    """Return the page.

    Raises
    ------
    OSError
        Where a picture cannot be read.
    """
    links = "\n".join(
        f'<li><a href="#r{number}">{escape(one.title)}</a> <span class="where">{escape(one.place)}</span></li>'
        for number, one in enumerate(results)
    )
    parts = "\n".join(_section(one, f"r{number}") for number, one in enumerate(results))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n<ul>\n{links}\n</ul>\n{parts}\n"
        "</body>\n</html>\n"
    )


def markdown_to_html(text: str) -> str:
    """Return headings, tables and paragraphs as HTML; everything else is taken for text."""
    return "\n".join(_block(block) for block in _blocks(text))


def _result(place: Path, folder: Path) -> Result:
    values = read_json_object(place / COMMAND_FILE, "command")
    summary = place / SUMMARY_FILE
    return Result(
        place.relative_to(folder).as_posix(),
        str(values.get("title", place.name)),
        str(values.get("command", "")),
        str(values.get("version", "")),
        _text_of(summary) if summary.is_file() else "",
        tuple(sorted(place.glob("*.png"))),
    )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is no text in UTF-8") from None


def _section(result: Result, anchor: str) -> str:
    pictures = "\n".join(
        f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}">'
        for path in result.pictures
    )
    return (
        f'<h2 id="{anchor}">{escape(result.title)}</h2>\n<p class="where">{escape(result.place)}, '
        f"napari-segany {escape(result.version)}</p>\n<pre>{escape(result.command)}</pre>\n"
        f"{markdown_to_html(result.summary)}\n{pictures}"
    )


def _blocks(text: str) -> Iterator[list[str]]:
    """Part lines into tables and paragraphs: at empty lines, and where a table begins or ends."""
    block: list[str] = []
    for line in text.splitlines():
        if block and (not line.strip() or line.startswith("|") != block[-1].startswith("|")):
            yield block
            block = []
        if line.strip():
            block.append(line)
    if block:
        yield block


def _block(lines: Sequence[str]) -> str:
    if lines[0].startswith("|"):
        return _table([[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines])
    if lines[0].startswith("#"):
        return f"<h3>{escape(lines[0].lstrip('# '))}</h3>"
    return f"<p>{escape(' '.join(lines))}</p>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    body = rows[2:]  # the second line tells the columns' alignment
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>"
