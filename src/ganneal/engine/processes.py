"""Several processes or machines, under PyTorch's own engine (`torchrun`): every process computes the gradient of its
part of the batch, and gradients are averaged on plain tensors, so that double backward and compilation keep
working."""

import atexit
import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ganneal.errors import RunError, UsageError


class Processes:
    """This process among all. Alone unless started by `torchrun`."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(self.leave)  # its threads must not outlive the interpreter
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def first(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def share(self, batch: int) -> tuple[int, int]:
        """(rank, processes). Raises `UsageError` if a batch does not divide evenly, when averages of parts would not
        be the average."""
        if batch % self.count:
            raise UsageError(f"batch: {batch} does not divide among {self.count} processes")
        return self.rank, self.count

    def average(self, tensors: list[Tensor]) -> None:
        """Average tensors over all processes, in place, in one message. Raises `RunError` when another process is
        gone."""
        flat = torch.cat([t.reshape(-1) for t in tensors])
        self._reduce(flat, dist.ReduceOp.SUM)
        flat /= self.count
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, number: int) -> int:
        """The largest number that any process gives, the same for all: a signal may reach only one of them."""
        if self.count == 1:
            return number
        votes = torch.tensor([number], device="cuda" if torch.cuda.is_available() else "cpu")
        self._reduce(votes, dist.ReduceOp.MAX)
        return int(votes.item())

    def _reduce(self, tensor: Tensor, operation: Any) -> None:
        try:
            dist.all_reduce(tensor, operation)
        except RuntimeError as error:
            raise RunError(
                f"lost contact with another process ({str(error).splitlines()[0]}); resume the run from its "
                f"last checkpoint"
            ) from None

    def wait(self) -> None:
        """Meet all other processes."""
        if self.count > 1:
            dist.barrier()

    def leave(self) -> None:
        """End of the common work."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()
