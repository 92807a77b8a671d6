from __future__ import annotations

import base64
import json
from html.parser import HTMLParser

from napari_segany.cli.main import main


class Reader(HTMLParser):
    """What a browser would show: the cells of tables, texts by tag, and the sources of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.sources: list[str] = []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.sources.append(dict(attributes)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())


def test_results_come_into_one_page_as_they_are(tmp_path, capsys):
    first, second = tmp_path / "runs" / "a", tmp_path / "runs" / "b" / "c"
    command = "segany evaluate x --data 'a <b> & c'"
    for folder, title in ((first, "Edges"), (second, "Boxes & <more>")):
        folder.mkdir(parents=True)
        (folder / "command.json").write_text(json.dumps({"title": title, "command": command, "version": "0.1"}))
    (first / "summary.md").write_text(
        "# Head\n| set | AP |\n| --- | ---: |\n| <i> | 0.5 |\n| - | - |\nA note\nof two.\n"
    )
    (first / "curve.png").write_bytes(b"picture")
    page = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "runs"), "-o", str(page)]) == 0
    assert "2 results" in capsys.readouterr().out
    reader = Reader()
    reader.feed(page.read_text())
    assert reader.open == []
    assert reader.texts["h2"] == ["Edges", "Boxes & <more>"]
    assert reader.texts["pre"] == [command, command]
    assert reader.texts["th"] == ["set", "AP"]
    assert reader.texts["td"] == ["<i>", "0.5", "-", "-"]
    assert "A note of two." in reader.texts["p"]
    assert [base64.b64decode(one.split(",")[1]) for one in reader.sources] == [b"picture"]
    assert main(["report", str(tmp_path / "runs" / "b"), "-o", str(page)]) == 0
    (first / "command.json").write_text("{")
    assert main(["report", str(tmp_path / "runs"), "-o", str(page)]) == 1
    told = capsys.readouterr()
    assert f"skipped: {first}: command.json is no JSON file" in told.err
    assert "1 result -> " in told.out
    assert "Boxes" in page.read_text()
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "empty")]) == 2
    assert "holds no results; make some first: segany evaluate ... --output" in capsys.readouterr().err
