"""The verdict on a sampler of a density: everything that `metrics.judge` says, with a reference, of every member."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ganneal.data.target import TargetSource
from ganneal.engine.batches import mix
from ganneal.engine.trainer import Trainer
from ganneal.metrics.importance import importance
from ganneal.metrics.marginal import marginal_log_density
from ganneal.metrics.sampler import Judgement, judge
from ganneal.systems import SamplingGame

SAMPLES = 4000
"""Samples of every member that are weighed; an effective share from a few hundred flatters."""
MARGINAL = 1000
"""Samples weighed where log q itself is an estimate, which costs hundreds of network passes each."""
MARGINAL_DIM = 8
DRAWS, STARTS, PRIOR_SHARE = 2048, 4, 0.5
"""Of the integral over latents: a generator folds, so an example has several preimages, which a few draws near one of
them would miss (kidney: log Z 1.0 too large with 128 draws around one, .015 with these)."""
REFERENCE = 4000


def judge_density(trainer: Trainer, source: TargetSource) -> dict[str, Any]:
    """All that `verdict.json` holds: tests, and under `samplers` the whole judgement of every member.

    The reference is exact draws or a stored sample where the target has them, otherwise a long parallel tempering run,
    unless `reference` is none. Its evaluations of the density are counted by themselves.
    """
    truth, spent = _reference(trainer, source)
    found = [_member(trainer, source, k, truth) for k in range(trainer.config.population)]
    first = found[0]
    tests = [
        {**test.to_dict(), "member": k}
        for k, one in enumerate(found)
        for test in (one.ksd, one.mmd, one.energy)
        if test
    ]
    count = trainer.evaluations or 0
    wrong = [one for one in found if one.rejected]
    metrics = {"evaluations of log u, training": f"{count:,}", "log q": _density(trainer, source)}
    if spent:
        metrics["evaluations of log u, reference by parallel tempering"] = f"{spent:,}"
    return {
        "sentence": first.sentence()
        if len(found) == 1
        else f"{len(wrong)} of {len(found)} members are told from the target. Member 0: {first.sentence()}",
        "outcome": "fail" if 2 * len(wrong) > len(found) else "pass",
        "tests": tests,
        "reference": None,
        "modes": None,
        "metrics": {**metrics, **_told(first)},
        "evaluations": count,
        "reference_evaluations": spent,
        "samplers": [one.to_dict() for one in found],
    }


def drawn(trainer: Trainer, source: TargetSource, member: int, n: int, seed: int) -> Tensor:
    """n samples [n, d] in the target's own coordinates, float64."""
    return source.coordinates(trainer.sample(n, seed=seed, member=member).cpu())


def exact_log_q(trainer: Trainer, source: TargetSource, member: int) -> Callable[[Tensor], Tensor] | None:
    """log q as a function of points [b, d] in the target's coordinates, where the generator is a flow; else None."""
    game = trainer.assembly.game
    if not isinstance(game, SamplingGame) or not game.exact_density:
        return None
    generator, shift = trainer.generator(member), source.frame.log_det

    def log_q(points: Tensor) -> Tensor:
        with torch.no_grad():
            inside = source.frame.inward(points).to(trainer.device, trainer.dtype)
            value: Tensor = generator(inside, inverse=True).cpu().double()
        return value - shift

    return log_q


def estimated_log_q(trainer: Trainer, source: TargetSource, member: int, n: int, seed: int) -> Tensor | None:
    """Estimates of log q [n] at `drawn(..., n, seed)`, where noise makes the samples of a generator a mixture over its
    latent law, in few dimensions; else None."""
    game, noise = trainer.assembly.game, trainer.noise(member)
    if not isinstance(game, SamplingGame) or game.exact_density or noise == 0 or source.shape[0] > MARGINAL_DIM:
        return None
    x = trainer.sample(n, seed=seed, member=member).cpu().to(trainer.dtype)
    z, rng = trainer.latents(n, seed).cpu(), torch.Generator().manual_seed(mix(seed, 14))
    values = marginal_log_density(
        trainer.generator(member), x, z, noise, DRAWS, rng, starts=STARTS, prior_share=PRIOR_SHARE
    )
    return values - source.frame.log_det


def _member(trainer: Trainer, source: TargetSource, member: int, truth: Tensor | None) -> Judgement:
    config, level = trainer.config, trainer.config.level / trainer.config.population
    found = judge(
        source.target, drawn(trainer, source, member, SAMPLES, seed=2), exact_log_q(trainer, source, member), truth,
        seed=mix(config.seed, 9, member) % 2**31, permutations=config.permutations, level=level,
    )  # fmt: skip
    log_q = estimated_log_q(trainer, source, member, MARGINAL, seed=3)
    if log_q is None:
        return found
    log_u = source.target.value_and_score(drawn(trainer, source, member, MARGINAL, seed=3))[0].double()
    return replace(found, importance=importance(log_u - log_q, level=level), log_q_estimated=True)


def _reference(trainer: Trainer, source: TargetSource) -> tuple[Tensor | None, int]:
    """(samples to compare with, evaluations they cost); no samples where `judge` finds its own, or none are wanted."""
    target = source.target
    if not source.needs_reference or trainer.config.reference == "none":
        return None, 0
    from ganneal.diffusion import reference

    spent = [0]

    def counted(x: Tensor) -> Tensor:
        spent[0] += len(x)
        return target.log_prob(x)

    generator = torch.Generator().manual_seed(mix(trainer.config.seed, 15))
    return reference(replace(target, log_prob=counted), REFERENCE, generator), spent[0]


def _density(trainer: Trainer, source: TargetSource) -> str:
    game = trainer.assembly.game
    if isinstance(game, SamplingGame) and game.exact_density:
        return "exact, of the flow"
    if isinstance(game, SamplingGame) and trainer.noise() > 0 and source.shape[0] <= MARGINAL_DIM:
        return f"estimated, by integrating the noisy generator over its latent law with {DRAWS} draws"
    return "unknown, so no effective sample size and no log Z"


def _told(found: Judgement) -> dict[str, str]:
    """The numbers of a judgement for the page."""
    told: dict[str, str] = {}
    if (weights := found.importance) is not None:
        told["effective sample size"] = f"{100 * weights.ess_share:.1f} % of {weights.n}"
        told["log Z"] = f"{weights.log_z:.4f} [{weights.low:.4f}, {weights.high:.4f}]" + (
            "" if found.log_z_true is None else f", exactly {found.log_z_true:.4f}"
        )
        if weights.upper_bound is not None:
            told["log Z, upper bound by exact samples"] = f"{weights.upper_bound:.4f}"
        told["tail of the weights (Pareto k)"] = (
            f"{weights.pareto_k:.2f}, intervals hold below {weights.pareto_limit:.2f}"
        )
    for share in found.shares:
        told[f"share of {share.name}"] = (
            f"{share.share:.3f} [{share.low:.3f}, {share.high:.3f}], exactly {share.truth:.3f}"
        )
    for distance in found.distances:
        told[distance.name] = f"{distance.value:.4g}, a perfect sampler {distance.floor:.4g}"
    if found.reference is not None:
        told["reference"] = found.reference
    return told
