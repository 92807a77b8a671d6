from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import xxhash

from napari_segany.engine.digests import MEMORY_NAME, DigestBook
from napari_segany.engine.progress import Progress, drain

LONG_AGO = 1_600_000_000


def digest(book: DigestBook, path: Path, algorithm: str = "sha256") -> tuple[str, list[Progress]]:
    """The hash, and what was reported while it was computed: nothing where it was remembered."""
    reports: list[Progress] = []
    return drain(book.digest_steps(path, algorithm), reports.append), reports


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was last changed long ago, so that its hash is remembered."""
    path = tmp_path / "weights.pt"
    path.write_bytes(b"some weights")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_the_hashes_are_those_of_the_libraries(file: Path) -> None:
    book = DigestBook(file.parent)
    assert digest(book, file)[0] == hashlib.sha256(b"some weights").hexdigest()
    assert digest(book, file, "xxh128")[0] == xxhash.xxh3_128(b"some weights").hexdigest()


def test_an_unknown_algorithm_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="'md5'; known are sha256 and xxh128"):
        digest(DigestBook(file.parent), file, "md5")


def test_progress_counts_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    path.write_bytes(bytes(20 << 20))
    _, reports = digest(DigestBook(tmp_path), path)
    assert [report.done for report in reports] == [8 << 20, 16 << 20, 20 << 20]
    assert {report.total for report in reports} == {20 << 20}
    assert reports[0].note == "Checking large.pt"


def test_a_file_is_hashed_once(file: Path) -> None:
    first, reports = digest(DigestBook(file.parent), file)
    assert reports
    assert digest(DigestBook(file.parent), file) == (first, [])


def test_a_book_that_does_not_trust_hashes_again_but_once(file: Path) -> None:
    digest(DigestBook(file.parent), file)
    book = DigestBook(file.parent, trusting=False)
    assert digest(book, file)[1]
    assert not digest(book, file)[1]


@pytest.mark.parametrize("content", [b"SOME weights", b"some", b"some weights and more"])
def test_a_changed_file_is_hashed_again(file: Path, content: bytes) -> None:
    digest(DigestBook(file.parent), file)
    file.write_bytes(content)
    assert digest(DigestBook(file.parent), file)[0] == hashlib.sha256(content).hexdigest()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no time of the last change of a file's own times")
def test_setting_the_modification_time_back_hides_nothing(file: Path) -> None:
    digest(DigestBook(file.parent), file)
    file.write_bytes(b"SOME weights")
    os.utime(file, (LONG_AGO, LONG_AGO))
    assert digest(DigestBook(file.parent), file)[0] == hashlib.sha256(b"SOME weights").hexdigest()


def test_another_file_of_the_same_name_and_size_is_hashed_again(file: Path) -> None:
    digest(DigestBook(file.parent), file)
    other = file.with_name("other.pt")
    other.write_bytes(b"SOME weights")
    other.replace(file)
    assert digest(DigestBook(file.parent), file)[0] == hashlib.sha256(b"SOME weights").hexdigest()


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    """It could still be changed within the same tick of the clock, which the times would not show."""
    path = tmp_path / "weights.pt"
    path.write_bytes(b"some weights")
    in_a_moment = path.stat().st_mtime + 60
    os.utime(path, (in_a_moment, in_a_moment))
    digest(DigestBook(tmp_path), path)
    assert not (tmp_path / MEMORY_NAME).exists()


@pytest.mark.parametrize(
    "memory", [b"", b"{", b"[]", b'{"weights.pt": 3}', b'{"weights.pt": {"stamp": []}}', b"\xff"]
)
def test_a_damaged_memory_remembers_nothing_and_is_replaced(file: Path, memory: bytes) -> None:
    (file.parent / MEMORY_NAME).write_bytes(memory)
    assert digest(DigestBook(file.parent), file)[0] == hashlib.sha256(b"some weights").hexdigest()
    assert not digest(DigestBook(file.parent), file)[1]


def test_files_that_are_gone_are_forgotten(file: Path) -> None:
    digest(DigestBook(file.parent), file)
    file.unlink()
    other = file.with_name("other.pt")
    other.write_bytes(b"others")
    os.utime(other, (LONG_AGO, LONG_AGO))
    digest(DigestBook(file.parent), other)
    assert list(json.loads((file.parent / MEMORY_NAME).read_text())) == ["other.pt"]


def test_a_folder_that_cannot_be_written_to_is_still_read(file: Path) -> None:
    # A folder in the memory's place fails for every user, even for one who may write anywhere.
    (file.parent / MEMORY_NAME).mkdir()
    assert digest(DigestBook(file.parent), file)[0] == hashlib.sha256(b"some weights").hexdigest()
    assert sorted(path.name for path in file.parent.iterdir()) == [MEMORY_NAME, "weights.pt"]
