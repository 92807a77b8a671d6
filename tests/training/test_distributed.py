"""Two processes on the CPU give the gradients of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from napari_segany.training.distributed import World, join_world

# What both processes and the single one do; a script, since a started process cannot import a test module.
COMMON = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
x, y = torch.randn(6, 4), torch.randn(6, 1)
"""

HALF = (
    COMMON
    + """
import sys
from napari_segany.training.distributed import join_world

torch.set_num_threads(1)
world = join_world("gloo")
unused = nn.Parameter(torch.ones(3))
if world.rank:  # a parameter without a gradient in one process counts as 0 there
    (unused * 2).sum().backward()
part = slice(3 * world.rank, 3 * world.rank + 3)
(net(x[part]) - y[part]).square().mean().backward()
world.average_gradients([*net.parameters(), unused])
statistics = nn.BatchNorm1d(1)
statistics.running_mean = torch.full((1,), float(world.rank))
world.average_buffers(statistics)
gradients = [p.grad for p in (*net.parameters(), unused)]
torch.save({"gradients": gradients, "mean": statistics.running_mean}, f"{sys.argv[1]}/{world.rank}.pt")
torch.distributed.destroy_process_group()
"""
)


def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    assert _run_together(HALF, tmp_path) == [0, 0]
    with torch.random.fork_rng():
        single: dict[str, Any] = {}
        exec(COMMON, single)
    net, x, y = single["net"], single["x"], single["y"]
    (net(x) - y).square().mean().backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        *of_network, of_unused = found["gradients"]
        for gradient, parameter in zip(of_network, net.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
        assert of_unused.tolist() == [1, 1, 1]
        assert found["mean"].tolist() == [0.5]


# A SAM whose encoder has no batch normalisation, on four crops of one click each.
SAM = """
import sys
import numpy as np
import torch
from napari_segany.model import SamConfig, ViTConfig, build_sam
from napari_segany.training.config import TrainingConfig
from napari_segany.training.distributed import join_world
from napari_segany.training.gradients import accumulate_gradients
from napari_segany.training.scene import Crop

torch.set_num_threads(1)
torch.manual_seed(0)
encoder = ViTConfig(embed_dim=16, depth=1, num_heads=2, window_size=2, global_attn_indexes=(0,))
sam = build_sam(SamConfig(
    image_size=64, encoder=encoder, embed_dim=16, decoder_num_heads=2, decoder_mlp_dim=16, iou_head_hidden_dim=16,
))
config = TrainingConfig(crop_size=64, masks_per_image=1, rounds=1, box_share=0.0, center_share=1.0, drop_path=0.0)
rng = np.random.default_rng(0)
crops = []
for number in range(4):
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 8 : 20 + 8 * number, 8:40] = True
    crops.append(Crop(rng.uniform(0, 255, (64, 64, 3)).astype(np.float32), mask))

def gradients(world, mine):
    accumulate_gradients(sam, mine, config, torch.Generator().manual_seed(0))
    learning = [parameter for parameter in sam.parameters() if parameter.requires_grad]
    world.average_gradients(learning)
    return {name: p.grad for name, p in sam.named_parameters() if p.grad is not None}

world = join_world("gloo")
part = crops[2 * world.rank : 2 * world.rank + 2] if world.size == 2 else crops
torch.save(gradients(world, part), f"{sys.argv[1]}/sam_{world.size}_{world.rank}.pt")
if world.size > 1:
    torch.distributed.destroy_process_group()
"""


def test_two_processes_give_the_gradients_of_a_sam_of_one(tmp_path: Path) -> None:
    assert _run_together(SAM, tmp_path) == [0, 0]
    alone = subprocess.run([sys.executable, "-c", SAM, str(tmp_path)], env={**os.environ, "WORLD_SIZE": "1"})
    assert alone.returncode == 0
    single = torch.load(tmp_path / "sam_1_0.pt", weights_only=True)
    assert any(name.startswith("image_encoder.") and grad.any() for name, grad in single.items())
    for rank in range(2):
        found = torch.load(tmp_path / f"sam_2_{rank}.pt", weights_only=True)
        for name, gradient in single.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_one_process_is_a_world_of_one() -> None:
    assert join_world() == World(0, 1)
    parameter = nn.Parameter(torch.ones(2))
    (parameter * 3).sum().backward()
    World().average_gradients([parameter])
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [3, 3]


@pytest.mark.parametrize(("gpus", "expected"), [(0, ("gloo", [])), (4, ("nccl", [3])), (2, ("gloo", [1]))])
def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, gpus: int, expected: Any) -> None:
    chosen: list[int] = []
    backends: list[str] = []
    for name, value in (("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4"), ("LOCAL_RANK", "3")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(distributed, "init_process_group", backends.append)
    monkeypatch.setattr(distributed, "get_rank", lambda: 3)
    assert join_world() == World(3, 4)
    assert (backends[0], chosen) == expected


def _run_together(script: str, folder: Path) -> list[int]:
    """Run a script in two processes that know each other, and return how they ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(folder)], env={**os.environ, **place, "RANK": str(rank)})
        for rank in range(2)
    ]
    return [process.wait(timeout=120) for process in processes]
