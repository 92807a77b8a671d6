"""The models that people can ask for by name, and the facts about them. Knows no files, no network and no torch.

Addresses, hashes, sizes, licences and citations are the publishers'; `docs/models.md` says where each was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType


@dataclass(frozen=True)
class ModelEntry:
    """One model of the registry.

    Attributes
    ----------
    name : str
        What people call it: "vit_b_lm".
    architecture : str
        Its image encoder: "light", "vit_t", "vit_b", "vit_l", "vit_h", or "" where nobody said.
    file_name : str
        The file in the folder of weights; no other model has a file of this name.
    url : str or None
        Where it is downloaded from; None for a model that is in the package or the user's own.
    sha256, xxh128 : str or None
        Hash of the file, in hexadecimal digits: the one that its publisher gives.
    size_bytes : int or None
        Size of the file; None where its publisher does not tell.
    licence : str or None
        Licence of the weights; None where their publisher states none.
    citation : str
        What to cite: authors, year, title.
    doi : str
        DOI of that publication.
    description : str
        What it is, in one line for a user.
    modality : str
        The images it was trained on.
    """

    name: str
    architecture: str
    file_name: str
    url: str | None = None
    sha256: str | None = None
    xxh128: str | None = None
    size_bytes: int | None = None
    licence: str | None = None
    citation: str = ""
    doi: str = ""
    description: str = ""
    modality: str = ""

    @property
    def hash(self) -> tuple[str, str] | None:
        """Algorithm and hexadecimal digits of the published hash; None where there is none."""
        if self.sha256 is not None:
            return "sha256", self.sha256
        if self.xxh128 is not None:
            return "xxh128", self.xxh128
        return None

    @property
    def known_file_names(self) -> tuple[str, ...]:
        """Names under which people have the file: ours, the publisher's, and the bare name that micro-sam keeps."""
        published = (PurePosixPath(self.url).name,) if self.url is not None else ()
        return tuple(dict.fromkeys((self.file_name, *published, self.name)))


class UnknownModelError(ValueError):
    """A name that is neither in the registry nor among the user's own models."""


def readable_size(size_bytes: int) -> str:
    """Return a size in decimal units for people: "375 MB"."""
    if size_bytes >= 1_000_000_000:
        return f"{size_bytes / 1e9:.1f} GB"
    if size_bytes >= 1_000_000:
        return f"{size_bytes / 1e6:.0f} MB"
    if size_bytes >= 1_000:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes} bytes"


_SAM_FILES = "https://dl.fbaipublicfiles.com/segment_anything"
_MOBILE_SAM_FILES = "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights"
_ZOO_FILES = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"
_CLOUD_FILES = "https://owncloud.gwdg.de/index.php/s"

_LIGHT_MICROSCOPY = "cells and nuclei in light microscopy"
_ELECTRON_MICROSCOPY = "mitochondria and nuclei in electron microscopy"


def _sam(name: str, file_name: str, sha256: str, size_bytes: int, description: str) -> ModelEntry:
    return ModelEntry(
        name=name,
        architecture=name,
        file_name=file_name,
        url=f"{_SAM_FILES}/{file_name}",
        sha256=sha256,
        size_bytes=size_bytes,
        licence="Apache-2.0",
        citation="Kirillov et al. 2023, Segment Anything",
        doi="10.1109/ICCV51070.2023.00371",
        description=description,
        modality="photographs",
    )


def _micro_sam(name: str, path: str, xxh128: str, modality: str) -> ModelEntry:
    return ModelEntry(
        name=name,
        architecture=name[:5],
        file_name=f"{name}.pt",
        url=f"{_ZOO_FILES}/{path}",
        xxh128=xxh128,
        licence="CC-BY-4.0",
        citation="Archit et al. 2025, Segment Anything for Microscopy",
        doi="10.1038/s41592-024-02580-4",
        description=f"micro-sam's {name[:5]}, fine-tuned for {modality}",
        modality=modality,
    )


_ENTRIES = (
    ModelEntry(
        name="light",
        architecture="light",
        file_name="light.safetensors",
        licence="BSD-3-Clause",
        description="our own small SAM, in the package",
        modality="microscopy and synthetic images",
    ),
    ModelEntry(
        name="vit_t",
        architecture="vit_t",
        file_name="mobile_sam.pt",
        url=f"{_MOBILE_SAM_FILES}/mobile_sam.pt",
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        size_bytes=40_728_226,
        licence="Apache-2.0",
        citation="Zhang et al. 2023, Faster Segment Anything (MobileSAM)",
        doi="10.48550/arXiv.2306.14289",
        description="MobileSAM: SAM's decoder behind a small encoder",
        modality="photographs",
    ),
    _sam(
        "vit_b",
        "sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375_042_383,
        "the smallest of the three original SAMs",
    ),
    _sam(
        "vit_l",
        "sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        1_249_524_607,
        "the middle one of the three original SAMs",
    ),
    _sam(
        "vit_h",
        "sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2_564_550_879,
        "the largest of the three original SAMs",
    ),
    _micro_sam(
        "vit_t_lm",
        "faithful-chicken/1.1/files/vit_t.pt",
        "72ec5074774761a6e5c05a08942f981e",
        _LIGHT_MICROSCOPY,
    ),
    _micro_sam(
        "vit_b_lm",
        "diplomatic-bug/1.2/files/vit_b.pt",
        "fe9252a29f3f4ea53c15a06de471e186",
        _LIGHT_MICROSCOPY,
    ),
    _micro_sam(
        "vit_l_lm",
        "idealistic-rat/1.2/files/vit_l.pt",
        "017f20677997d628426dec80a8018f9d",
        _LIGHT_MICROSCOPY,
    ),
    _micro_sam(
        "vit_t_em_organelles",
        "greedy-whale/1/files/vit_t.pt",
        "253474720c497cce605e57c9b1d18fd9",
        _ELECTRON_MICROSCOPY,
    ),
    _micro_sam(
        "vit_b_em_organelles",
        "noisy-ox/1.2/files/vit_b.pt",
        "f3bf2ed83d691456bae2c3f9a05fb438",
        _ELECTRON_MICROSCOPY,
    ),
    _micro_sam(
        "vit_l_em_organelles",
        "humorous-crab/1.2/files/vit_l.pt",
        "810b084b6e51acdbf760a993d8619f2d",
        _ELECTRON_MICROSCOPY,
    ),
    ModelEntry(
        name="vit_b_histopathology",
        architecture="vit_b",
        file_name="vit_b_histopathology.pt",
        url=f"{_CLOUD_FILES}/sBB4H8CTmIoBZsQ/download",
        xxh128="ffd1a2cd84570458b257bd95fdd8f974",
        citation="Griebel, Archit & Pape 2025, Segment Anything for Histopathology",
        doi="10.48550/arXiv.2502.00408",
        description="PathoSAM's vit_b, fine-tuned for nuclei in histopathology",
        modality="histopathology",
    ),
    ModelEntry(
        name="vit_b_medical_imaging",
        architecture="vit_b",
        file_name="vit_b_medical_imaging.pt",
        url=f"{_CLOUD_FILES}/f5Ol4FrjPQWfjUF/download",
        xxh128="40169f1e3c03a4b67bff58249c176d92",
        citation="Archit et al. 2025, MedicoSAM",
        doi="10.1109/TMI.2025.3644811",
        description="MedicoSAM's vit_b, fine-tuned for medical images",
        modality="medical images",
    ),
)

MODELS: Mapping[str, ModelEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""All models by name, in the order in which they are shown."""


def size_text(entry: ModelEntry) -> str:
    """Return the size of a model's file for people.

    Fine-tuned weights take about as much as those of the SAM that they were tuned from.
    """
    if entry.size_bytes is not None:
        return readable_size(entry.size_bytes)
    original = MODELS.get(entry.architecture)
    if original is None or original.size_bytes is None:
        return "size not known"
    return f"about {readable_size(original.size_bytes)}"
