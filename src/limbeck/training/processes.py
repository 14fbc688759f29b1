"""Several processes, on one machine or many, that train one model: what they share out, and what they tell one another.

`torchrun` or `accelerate launch` starts the same command in each of them. They keep equal weights by adding their
gradients before each step. The first reads the rows, writes the files and decides; the others learn from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import _get_default_store

from limbeck.errors import UsageError
from limbeck.measure import usable_cpus

# Who is slow, at a download or an evaluation, is not lost; one that ended is noticed by the launcher, which ends all.
TIMEOUT = timedelta(days=1)
CPU = torch.device("cpu")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among the `count` that train together: its `rank` from 0, and how many are on its machine."""

    rank: int = 0
    count: int = 1
    on_this_machine: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this one reads, writes, speaks and decides for all."""
        return self.rank == 0

    def share_cpus(self) -> None:
        """Let PyTorch compute on this process's part of the CPUs; by itself it counts cores and sees no quota."""
        torch.set_num_threads(max(1, usable_cpus() // self.on_this_machine))

    def share(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of the rows of a step, possibly none: every `count`-th, so that lengths are alike."""
        return indices[self.rank :: self.count]

    def on_first(self, function: Callable[[], T]) -> T:
        """What `function` returns on the first process, on every one; the others wait for it."""
        if self.count == 1:
            return function()
        told = [function() if self.first else None]
        distributed.broadcast_object_list(told, src=0)
        return told[0]  # type: ignore[return-value]

    def tensors_of_first(self, read: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What `read` gives on the first process, on every one; sent one by one, since all at once would double it."""
        if self.count == 1:
            return read()
        tensors = read() if self.first else {}
        names = self.on_first(lambda: list(tensors))
        return {name: self.on_first(lambda name=name: tensors[name].cpu()) for name in names}  # type: ignore[misc]

    def first_on_each_machine(self) -> AbstractContextManager[None]:
        """Inside, one process a machine goes before the others: it downloads what they then find."""
        context: AbstractContextManager[None] = PartialState().local_main_process_first()
        return context

    def add_up(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Replace the gradients by their sums over all processes; returns the sum of the losses.

        One reduction of one flat tensor after the last piece of a step. `DistributedDataParallel` would average, and
        wait in each backward pass for every process, where here one may have more pieces of a batch than another, or
        no row at all. A parameter with a gradient nowhere keeps none, so that its weights do not decay.
        """
        if self.count == 1:
            return loss
        learning = [p for p in parameters if p.requires_grad]
        head = torch.tensor([loss, *(float(p.grad is not None) for p in learning)], device=self.device)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        flat = torch.cat([head, *(gradient.flatten() for gradient in grads)])
        del grads
        distributed.all_reduce(flat)
        total, *having = flat[: len(head)].tolist()
        sums = torch.split(flat[len(head) :], [p.numel() for p in learning])
        for parameter, gradient, owners in zip(learning, sums, having, strict=True):
            parameter.grad = gradient.view_as(parameter) if owners else None
        return float(total)

    def reseed(self, seed: int, step: int) -> None:
        """Give each of the others random numbers of its own for a step; those of the first are in its checkpoint."""
        if not self.first:
            torch.manual_seed(int(np.random.SeedSequence([seed, step, self.rank]).generate_state(1, np.uint64)[0]))

    def failed_before(self) -> bool:
        """To be asked by a process that failed: whether another one did so first, and therefore says why."""
        if not distributed.is_initialized():
            return False
        try:
            found: bytes = _get_default_store().compare_set("limbeck/failed", "", str(self.rank))
            return int(found) != self.rank
        except RuntimeError:  # the process that kept the store has ended
            return True

    def part(self) -> None:
        """Each goes its own way: what comes after a training needs one process."""
        if distributed.is_initialized():
            distributed.destroy_process_group()


ALONE = Processes()


def join() -> Processes:
    """Meet the other processes that the launcher started; without a launcher this one is alone.

    Raises `UsageError` after they have parted, and where their device has no way to talk to others.
    """
    launched = "LOCAL_RANK" in os.environ
    on_cpus = launched and not torch.accelerator.is_available()  # accelerate wants to be told
    state = Accelerator(cpu=on_cpus, kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)])
    if launched and state.num_processes != (started := int(os.environ.get("WORLD_SIZE", 1))):
        raise UsageError(
            f"{started} processes were started, and those on {state.device.type} cannot work together: "
            "start one, or several with `accelerate launch --cpu`"
        )
    if state.num_processes > 1 and not distributed.is_initialized():
        raise UsageError("several processes train once and part: start each training by a launch of its own")
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return Processes(state.process_index, state.num_processes, here, state.device)
