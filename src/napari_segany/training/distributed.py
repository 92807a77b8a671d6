"""Several processes that train one model, as torchrun starts them. One process is a world of one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class World:
    """A process among all.

    Attributes
    ----------
    rank : int
        Its number, from 0; process 0 writes files.
    size : int
        How many there are.
    """

    rank: int = 0
    size: int = 1

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over all processes; a parameter without one counts as 0."""
        if self.size == 1:
            return
        learning = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in learning:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._average([parameter.grad for parameter in learning if parameter.grad is not None])

    def average_buffers(self, module: nn.Module) -> None:
        """Replace running statistics by their mean over all processes."""
        if self.size > 1:
            self._average([buffer for buffer in module.buffers() if buffer.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        # One message for all: hundreds of small ones would cost more than the step.
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def join_world(backend: str | None = None) -> World:
    """Return this process's place, joining the others if torchrun started several (its WORLD_SIZE says so)."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not distributed.is_initialized():
        distributed.init_process_group(backend or _backend())
    return World(distributed.get_rank(), size)


def _backend() -> str:
    """Choose this process's GPU, and how it talks to the others: NCCL takes one process for each GPU."""
    count, place = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
    if not count:
        return "gloo"
    torch.cuda.set_device(place % count)
    return "nccl" if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= count else "gloo"
