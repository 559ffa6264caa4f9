"""NUTS (blackjax) on the targets of samplers.py, for a budget of gradient evaluations. Needs jax, and no torch.

    python -m venv /tmp/nuts/v && /tmp/nuts/v/bin/pip install blackjax==1.7.1 jax
    python benchmarks/samplers.py --export /tmp/nuts/targets.npz
    /tmp/nuts/v/bin/python benchmarks/nuts.py /tmp/nuts/targets.npz /tmp/nuts/draws
    python benchmarks/samplers.py --methods nuts --nuts /tmp/nuts/draws

8 chains from N(0, I) in the frame of the target, as all methods there; window adaptation of step and diagonal mass by
`--warmup` transitions a chain, then blocks of transitions until all chains together have spent the budget. Gradients of
warm-up are counted, and its draws thrown away. Compilation is timed apart.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import blackjax
import jax
import jax.numpy as jnp
import numpy as np

CHAINS, BLOCK = 8, 20
HALF_LOG_TWO_PI = 0.9189385332046727
Log = Callable[[jax.Array], jax.Array]


def gmm40(told: dict[str, np.ndarray]) -> Log:
    means, std = jnp.asarray(told["gmm40/means"]), jnp.log1p(jnp.e)

    def log_u(x: jax.Array) -> jax.Array:
        away = ((x - means) ** 2).sum(1) / (2 * std**2)
        return jax.nn.logsumexp(-away) - jnp.log(len(means)) - 2 * jnp.log(std) - 2 * HALF_LOG_TWO_PI

    return log_u


def many_well(told: dict[str, np.ndarray]) -> Log:
    return lambda x: (-(x[::2] ** 4) + 6 * x[::2] ** 2 + x[::2] / 2 - x[1::2] ** 2 / 2).sum()


def funnel(told: dict[str, np.ndarray]) -> Log:
    def log_u(x: jax.Array) -> jax.Array:
        constant = -len(x) * HALF_LOG_TWO_PI - jnp.log(3.0)
        return constant - x[0] ** 2 / 18 - (len(x) - 1) / 2 * x[0] - jnp.exp(-x[0]) * (x[1:] ** 2).sum() / 2

    return log_u


def double_well(told: dict[str, np.ndarray]) -> Log:
    return lambda x: -3 * (x[0] ** 2 - 1) ** 2 - (x[1:] ** 2).sum() / 2


def logistic(told: dict[str, np.ndarray]) -> Log | None:
    if "logistic/design" not in told:
        return None
    signed = jnp.asarray(told["logistic/design"] * (2 * told["logistic/y"] - 1)[:, None])
    return lambda b: jax.nn.log_sigmoid(signed @ b).sum() - (b**2).sum() / 2 - len(b) * HALF_LOG_TWO_PI


TARGETS = {f.__name__: f for f in (gmm40, many_well, funnel, double_well, logistic)}


def checked(name: str, log_u: Log, told: dict[str, np.ndarray]) -> Log:
    """The density in the frame's coordinates. Raises `SystemExit` where it is not that of samplers.py."""
    found = jax.vmap(log_u)(jnp.asarray(told[f"{name}/x"]))
    if not np.allclose(found, told[f"{name}/log_u"], rtol=1e-8, atol=1e-8):
        raise SystemExit(f"{name}: log u here and in the exported file differ")
    centre, scale = (jnp.asarray(told[f"{name}/{k}"]) for k in ("centre", "scale"))
    return lambda y: log_u(centre + scale * y)


def run(log_u: Log, dim: int, budget: int, warmup: int, seed: int) -> dict[str, Any] | None:
    """Draws [m, CHAINS, d] in the frame, and what they cost; None where the budget does not reach beyond warm-up."""
    adaptation = blackjax.window_adaptation(blackjax.nuts, log_u)
    kernel = blackjax.nuts.build_kernel()

    def warm(key: jax.Array, y: jax.Array) -> tuple[Any, Any, jax.Array]:
        (state, parameters), info = adaptation.run(key, y, warmup)
        kept = {k: parameters[k] for k in ("step_size", "inverse_mass_matrix")}
        return state, kept, info.info.num_integration_steps.sum()

    def block(key: jax.Array, state: Any, parameters: Any) -> tuple[Any, Any]:
        def one(state: Any, key: jax.Array) -> tuple[Any, Any]:
            state, info = kernel(key, state, log_u, **parameters)
            told = state.position, info.num_integration_steps, info.acceptance_rate, info.is_divergent
            return state, told

        return jax.lax.scan(one, state, jax.random.split(key, BLOCK))

    keys = (jax.random.fold_in(jax.random.key(seed), k) for k in itertools.count())
    start = jax.random.normal(next(keys), (CHAINS, dim))
    begun = time.perf_counter()
    first = jax.jit(warm).lower(next(keys), start[0]).compile()
    shapes = jax.eval_shape(warm, next(keys), start[0])
    again = jax.jit(block).lower(next(keys), *shapes[:2]).compile()
    compiled = time.perf_counter() - begun
    begun = time.perf_counter()
    states, count = [first(next(keys), y) for y in start], 0
    steps = [float(parameters["step_size"]) for _, parameters, _ in states]
    count = sum(int(spent) for _, _, spent in states)
    if count >= budget:
        print(f"warm-up alone took {count} gradients, more than {budget}; give a smaller --warmup")
        return None
    draws, accepted, divergent = [], [], 0
    while count < budget:
        rows = []
        for k, (state, parameters, spent) in enumerate(states):
            state, (y, leaps, rate, bad) = again(next(keys), state, parameters)
            states[k] = (state, parameters, spent)
            rows.append(np.asarray(y))
            count, divergent = count + int(leaps.sum()), divergent + int(bad.sum())
            accepted.append(float(rate.mean()))
        draws.append(np.stack(rows, 1))
    return {
        "draws": np.concatenate(draws), "evaluations": count, "seconds": time.perf_counter() - begun,
        "compile_seconds": compiled, "step": float(np.mean(steps)), "acceptance": float(np.mean(accepted)),
        "divergences": divergent,
    }  # fmt: skip


def main() -> None:
    """Run every target and seed whose file is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--budget", type=int, default=512_000)
    parser.add_argument("--warmup", type=int, default=300, help="transitions of a chain")
    chosen = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    chosen.out.mkdir(parents=True, exist_ok=True)
    with np.load(chosen.exported) as stored:
        told = {k: stored[k] for k in stored.files}
    for name in chosen.targets.split(","):
        log_u = TARGETS[name](told)
        if log_u is None:
            print(f"{name}: left out, its data were not exported")
            continue
        for seed in map(int, chosen.seeds.split(",")):
            path = chosen.out / f"{name}-{seed}.npz"
            if path.is_file():
                continue
            found = run(checked(name, log_u, told), told[f"{name}/x"].shape[1], chosen.budget, chosen.warmup, seed)
            if found is None:
                continue
            found["draws"] = (told[f"{name}/centre"] + told[f"{name}/scale"] * found["draws"]).astype(np.float32)
            np.savez(path, **found)
            m, n, _ = found["draws"].shape
            print(
                f"{name} seed {seed}: {m} x {n} draws, {found['evaluations']} gradients, {found['seconds']:.1f} s "
                f"(compilation {found['compile_seconds']:.1f} s), {found['divergences']} divergences",
                flush=True,
            )


if __name__ == "__main__":
    main()
