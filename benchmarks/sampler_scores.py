"""What `samplers.py` says about draws of a target: distance, modes, moments, log Z, and the truth they are held
against."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.diffusion import reference
from ganneal.metrics.floors import distance_with_floor
from ganneal.metrics.importance import importance
from ganneal.metrics.membership import shares, total_variation
from ganneal.targets import Target, open_target
from ganneal.twosample.transport import wasserstein
from sampler_methods import Draws

TARGETS: dict[str, str] = {
    "gmm40": "gmm40", "many_well": "many_well(dim=32)", "funnel": "funnel(dim=10)", "double_well": "double_well(dim=2)",
    "logistic": "logistic",
}  # fmt: skip
TRUTH, TRANSPORTED = 10_000, 1000
PUBLISHED: dict[str, str] = {
    "gmm40": "1000 vs 1000, 25 repeats (ICLR 2025 blog): exact draws 4.159 ± .604, iDEM 7.698 ± 1.442, iEFM 7.364 ± "
    ".955, uniform draws reweighted and moved by MCMC 4.219 ± .569. iDEM paper, W2, same mixture: FAB 12.0 ± 5.7, PIS "
    "7.64 ± .92, DDS 9.31 ± .82, pDEM 12.20 ± .14, iDEM 7.42 ± 3.44 (its ESS used a batch of 16: not comparable)",
    "many_well": "none in this convention (published figures are Sinkhorn costs, or of other dimensions)",
    "funnel": "none in this convention",
    "double_well": "none",
    "logistic": "none (published runs leave the prior out or use a hierarchical model)",
}


def target_of(name: str, data: Path | None) -> tuple[Target, str]:
    """(target, its text) of a name in TARGETS; logistic is German credit where its file is there."""
    text = TARGETS[name]
    if name == "logistic" and data is not None and (path := data / "uci-small.npz").is_file():
        return open_target(f"logistic('{path}:german')"), "logistic('uci-small.npz:german')"
    return open_target(text), text


def truth_of(target: Target, text: str, seed: int, cache: Path) -> tuple[Tensor, float | None]:
    """(samples taken for the truth [TRUTH, d], log Z where it is known or found to three digits)."""
    if target.draw is not None:
        return target.sample(TRUTH, torch.Generator().manual_seed(1000 + seed)), target.log_z
    path = cache / f"reference-{text.replace('/', '-').replace(chr(39), '').replace(':', '-')}.npz"
    if not path.is_file():
        generator = torch.Generator().manual_seed(999)
        x = reference(target, 2 * TRUTH, generator)
        log_z = gaussian_log_z(target, x, generator)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=x.numpy(), log_z=np.float64(math.nan if log_z is None else log_z))
    with np.load(path) as stored:
        x, log_z = torch.from_numpy(stored["x"]), float(stored["log_z"])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:TRUTH]], None if math.isnan(log_z) else log_z


def gaussian_log_z(target: Target, x: Tensor, generator: torch.Generator, n: int = 200_000) -> float | None:
    """log Z by importance sampling from the Gaussian of the reference's moments, a little widened; None unless the
    weights can be trusted and the interval is narrower than .01."""
    law = torch.distributions.MultivariateNormal(x.mean(0), 1.1 * x.T.cov())
    y = x.mean(0) + torch.randn(n, target.dim, generator=generator, dtype=torch.float64) @ law.scale_tril.T
    log_u = torch.cat([target.log_prob(part) for part in y.split(8192)])
    found = importance(log_u - law.log_prob(y))
    return found.log_z if found.trusted and found.high - found.low < 0.01 else None


def score(name: str, target: Target, draws: Draws, truth: Tensor, log_z: float | None, seed: int) -> dict[str, Any]:
    """One cell of the results."""
    generator = torch.Generator().manual_seed(seed)
    finite = draws.x.isfinite().all(1)
    x = draws.x[finite]
    x = x[torch.randperm(len(x), generator=generator)]
    w2 = distance_with_floor("W2", wasserstein, x, truth, TRANSPORTED)
    height = [target.log_prob(v).double()[:, None] for v in (x[:TRUTH], truth)]
    log_u = distance_with_floor("W2 of log u", wasserstein, *height, TRANSPORTED)
    told: dict[str, Any] = {
        "log_u_w2": log_u.value, "log_u_floor": log_u.floor,
        "w2": w2.value, "floor": w2.floor, "floor_spread": w2.floor_spread, "w2_n": w2.size, "n": len(x),
        "not_finite": int((~finite).sum()), "log_z": draws.log_z, "log_z_true": log_z,
        "log_z_interval": draws.log_z_interval and list(draws.log_z_interval),
        "log_z_error": None if log_z is None or draws.log_z is None else draws.log_z - log_z,
        "ess_share": draws.ess_share, "ess_kind": draws.ess_kind, "effective": draws.effective,
        "per_second": draws.per_second, "evaluations": draws.evaluations, "seconds": draws.seconds,
    }  # fmt: skip
    return {**told, **modes(name, target, x), **moments(target, x, truth), **draws.more}


def modes(name: str, target: Target, x: Tensor) -> Mapping[str, Any]:
    """Total variation of the weights of modes; for many_well, whose shares are marginals, their mean and worst."""
    if target.membership is None or target.shares is None:
        return {}
    found = shares(torch.cat([target.membership(part) for part in x.split(8192)]), target.shares, target.members)
    if name != "many_well":
        return {"modes_tv": total_variation(found)}
    errors = [s.share - s.truth for s in found]
    return {
        "share_mean": sum(s.share for s in found) / len(found), "share_true": found[0].truth,
        "share_worst": max(map(abs, errors)),
    }  # fmt: skip


def moments(target: Target, x: Tensor, truth: Tensor) -> Mapping[str, float]:
    """|mean error| / sd, the worst coordinate, and the range of ratios of standard deviations. Of the funnel only the
    neck, as the others have moments that no sample shows."""
    mean, spread = truth.mean(0), truth.std(0)
    if target.mean is not None and target.variance is not None:
        mean, spread = target.mean, target.variance.sqrt()
    if target.name.startswith("funnel"):
        x, mean, spread = x[:, :1], mean[:1], spread[:1]
    ratio = x.std(0) / spread
    worst = float(((x.mean(0) - mean) / spread).abs().max())
    return {"mean_error": worst, "sd_low": float(ratio.min()), "sd_high": float(ratio.max())}
