from __future__ import annotations

import dataclasses
import re

import pytest

from napari_segany.engine.model_registry import MODELS, ModelEntry, readable_size, size_text
from napari_segany.model.config import PRESETS

# Written down once more, from the publishers' pages, to catch a slip of the hand in the registry.
PUBLISHED = {
    "vit_b": ("dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth", "ec2df627", 375042383),
    "vit_l": ("dl.fbaipublicfiles.com/segment_anything/sam_vit_l_0b3195.pth", "3adcc431", 1249524607),
    "vit_h": ("dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth", "a7bf3b02", 2564550879),
    "vit_t": (
        "raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights/mobile_sam.pt",
        "6dbb9052",
        40728226,
    ),
    "vit_b_lm": ("bioimage.io/diplomatic-bug/1.2/files/vit_b.pt", "fe9252a2", None),
    "vit_l_lm": ("bioimage.io/idealistic-rat/1.2/files/vit_l.pt", "017f2067", None),
    "vit_t_lm": ("bioimage.io/faithful-chicken/1.1/files/vit_t.pt", "72ec5074", None),
    "vit_b_em_organelles": ("bioimage.io/noisy-ox/1.2/files/vit_b.pt", "f3bf2ed8", None),
    "vit_l_em_organelles": ("bioimage.io/humorous-crab/1.2/files/vit_l.pt", "810b084b", None),
    "vit_t_em_organelles": ("bioimage.io/greedy-whale/1/files/vit_t.pt", "25347472", None),
    "vit_b_histopathology": ("owncloud.gwdg.de/index.php/s/sBB4H8CTmIoBZsQ/download", "ffd1a2cd", None),
    "vit_b_medical_imaging": ("owncloud.gwdg.de/index.php/s/f5Ol4FrjPQWfjUF/download", "40169f1e", None),
}


def test_every_published_model_is_there_and_nothing_else() -> None:
    assert set(MODELS) == {"light", *PUBLISHED}
    assert all(name == entry.name for name, entry in MODELS.items())


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_entry_has_its_publishers_address_hash_and_size(name: str) -> None:
    address, digits, size = PUBLISHED[name]
    entry = MODELS[name]
    assert entry.url is not None
    assert entry.url.startswith("https://")
    assert entry.url.endswith(address)
    assert entry.hash is not None
    algorithm, digest = entry.hash
    assert digest.startswith(digits)
    assert re.fullmatch({"sha256": "[0-9a-f]{64}", "xxh128": "[0-9a-f]{32}"}[algorithm], digest)
    assert entry.size_bytes == size


def test_the_light_model_has_no_address() -> None:
    assert MODELS["light"].url is None


@pytest.mark.parametrize("entry", MODELS.values(), ids=lambda entry: entry.name)
def test_the_architecture_can_be_built(entry: ModelEntry) -> None:
    assert entry.architecture in PRESETS


def test_no_two_models_share_a_file_or_a_hash() -> None:
    assert len({entry.file_name for entry in MODELS.values()}) == len(MODELS)
    assert len({entry.hash for entry in MODELS.values()}) == len(MODELS)


def test_one_published_file_name_may_mean_several_models() -> None:
    sharers = [entry.name for entry in MODELS.values() if "vit_b.pt" in entry.known_file_names]
    assert sharers == ["vit_b_lm", "vit_b_em_organelles"]


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["light"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS["light"].url = "https://elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("size", "text"),
    [(12, "12 bytes"), (4_200, "4 kB"), (40_728_226, "41 MB"), (375_042_383, "375 MB"), (2_564_550_879, "2.6 GB")],
)
def test_sizes_are_told_in_decimal_units(size: int, text: str) -> None:
    assert readable_size(size) == text


def test_a_size_that_nobody_published_is_told_as_that_of_the_original() -> None:
    assert size_text(MODELS["vit_b"]) == "375 MB"
    assert size_text(MODELS["vit_b_lm"]) == "about 375 MB"
    assert size_text(ModelEntry("mine", "", "/mine.pt")) == "size not known"
