from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from napari_segany.model.state_file import CheckpointError, read_state, write_state

STATE = {"mask_decoder.mask_tokens.weight": torch.randn(4, 256), "other.weight": torch.randn(64, 64)}


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


def test_the_content_decides_not_the_suffix(tmp_path: Path):
    torch.save(STATE, tmp_path / "a.safetensors")
    save_file(STATE, tmp_path / "b.pth", metadata={"from": "here"})
    for name, metadata in (("a.safetensors", {}), ("b.pth", {"from": "here"})):
        stored = read_state(tmp_path / name)
        assert stored.tensors.keys() == STATE.keys()
        assert all(torch.equal(stored.tensors[key], value) for key, value in STATE.items())
        assert stored.metadata == metadata


def test_a_prefix_is_taken_off_wherever_it_is_the_same(tmp_path: Path):
    torch.save({f"module.sam.{key}": value for key, value in STATE.items()}, tmp_path / "a.pt")
    assert read_state(tmp_path / "a.pt").tensors.keys() == STATE.keys()
    torch.save(
        {f"sam.{key}": value for key, value in STATE.items()} | {"head.bias": torch.zeros(1)}, tmp_path / "a.pt"
    )
    assert "holds more than the weights of a SAM, such as 'head.bias'" in refusal(tmp_path / "a.pt")


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path):
    message = refusal(tmp_path / "absent.pth")
    assert str(tmp_path) in message
    assert "check the path" in message
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"Not Found", b"<!DOCTYPE html><html>", b'{"model": 1}', b"\0" * 5000, b"(dp0\n."]
)
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert "neither a PyTorch checkpoint nor a safetensors file" in refusal(path)


def torch_zip(path: Path) -> None:
    torch.save(STATE, path)


def torch_old(path: Path) -> None:
    torch.save(STATE, path, _use_new_zipfile_serialization=False)


def safetensors(path: Path) -> None:
    save_file(STATE, path)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("save", [torch_zip, torch_old, safetensors])
def test_truncated_files_are_refused(tmp_path: Path, save: Callable[[Path], None], fraction: float):
    path = tmp_path / "model.bin"
    save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    message = refusal(path)
    # a name cut short in the oldest format is the name of some other code
    assert "is damaged or incomplete" in message or "expected a whole file of tensors" in message


@pytest.mark.parametrize("save", [torch_zip, torch_old, safetensors])
def test_garbled_files_are_refused(tmp_path: Path, save: Callable[[Path], None]):
    path = tmp_path / "model.bin"
    save(path)
    content = bytearray(path.read_bytes())
    start = content.find(b"mask_decoder") - 20
    content[start : start + 60] = bytes(range(60))
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_in_a_pickle_is_run(tmp_path: Path, protocol: int):
    proof = tmp_path / "proof"
    path = tmp_path / "model.pth"
    path.write_bytes(pickle.dumps({**STATE, "payload": Malicious(proof)}, protocol=protocol))
    refusal(path)
    for zipped in (True, False):
        torch.save({**STATE, "payload": Malicious(proof)}, path, _use_new_zipfile_serialization=zipped)
        assert "was refused because reading it would run code that it names" in refusal(path)
    assert not proof.exists()


def test_whole_models_are_refused(tmp_path: Path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    assert "was refused because" in refusal(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["readme.txt"], "a zip archive"), (["m/data.pkl", "m/constants.pkl"], "a TorchScript program")],
)
def test_other_archives_are_refused(tmp_path: Path, names: list[str], kind: str):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    assert f"model.pt is {kind}" in refusal(tmp_path / "model.pt")


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_text("old")
    write_state(path, STATE, {"one": "two"})
    assert read_state(path).metadata == {"one": "two"}
    assert [item.name for item in tmp_path.iterdir()] == ["a.safetensors"]
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(OSError, match=r"folder\.safetensors"):
        write_state(folder, STATE, {})
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.safetensors", "folder.safetensors"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path):
    (tmp_path / "store").mkdir()
    path, link = tmp_path / "store" / "a.safetensors", tmp_path / "link.safetensors"
    path.write_text("old")
    link.symlink_to(path)
    write_state(link, STATE, {"one": "two"})
    assert link.is_symlink()
    assert read_state(path).metadata == {"one": "two"}


@pytest.mark.parametrize("start", [b"PK", b"\x80"])
def test_the_length_of_a_safetensors_header_can_look_like_another_format(tmp_path: Path, start: bytes):
    path = tmp_path / "model.safetensors"
    save_file(STATE, path, metadata={"note": ""})
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + length], content[8 + length :]
    wanted = int.from_bytes(start, "little") + 256**2
    path.write_bytes(wanted.to_bytes(8, "little") + header.ljust(wanted) + tensors)
    assert path.read_bytes().startswith(start)
    assert read_state(path).metadata == {"note": ""}
