"""Batch normalisation as a pure function: no running statistics, so that networks stack, differentiate and resume
without state.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm(nn.Module):
    """Per channel, y = scale (x - m) / sqrt(v + eps) + shift, with m and v the mean and (biased) variance of rows of
    this very batch.

    x is [B, C] or [B, C, H, W]. With `reference=k` the statistics are those of the first k rows only: put a fixed
    reference batch there and every other row's output no longer depends on its neighbours (Salimans et al. 2016,
    section 3.4, with the whole reference batch). `scale=False` and `shift=False` leave the parameter out.

    Source: Ioffe & Szegedy 2015, algorithm 1. It couples the examples of a batch: keep it out of critics with
    input-gradient penalties.
    """

    def __init__(self, channels: int, scale: bool = True, shift: bool = True, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if scale else None
        self.bias = nn.Parameter(torch.zeros(channels)) if shift else None
        self.eps = eps

    def forward(self, x: Tensor, reference: int | None = None) -> Tensor:
        if reference is None:
            return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
        dims = [0, *range(2, x.dim())]
        v, m = torch.var_mean(x[:reference], dims, correction=0, keepdim=True)
        y = (x - m) * torch.rsqrt(v + self.eps)
        broadcast = (-1, *[1] * (x.dim() - 2))
        if self.weight is not None:
            y = y * self.weight.view(broadcast)
        return y if self.bias is None else y + self.bias.view(broadcast)
