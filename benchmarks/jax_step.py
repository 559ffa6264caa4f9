"""The ring game as one jitted JAX step, an optional opponent of benchmarks/steps.py (`pip install jax`)."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganneal.data import Source

SIZES = {"generator": (2, 128, 128, 2), "critic": (2, 128, 128, 1)}


def jax_step(source: Source, batch: int, gamma: float, lr: float = 2e-4) -> Callable[[], None]:
    """One critic and one generator step of reverse KL with optional R1: same networks, losses, Adam and order as
    ganneal's."""
    import torch

    rng = np.random.default_rng(0)
    order = torch.Generator().manual_seed(0)

    def start(sizes: tuple[int, ...]) -> Any:
        return [
            (jnp.asarray(rng.uniform(-1, 1, (a, b)) / a**0.5, jnp.float32), jnp.zeros(b))
            for a, b in itertools.pairwise(sizes)
        ]

    def net(params: Any, x: Any, slope: float) -> Any:
        for w, b in params[:-1]:
            x = x @ w + b
            x = jnp.where(x > 0, x, slope * x)
        return x @ params[-1][0] + params[-1][1]

    def critic(params: Any, x: Any) -> Any:
        return net(params, x, 0.0)[:, 0]

    def critic_loss(c: Any, g: Any, real: Any, z: Any) -> Any:
        fake = net(g, z, 0.0)
        if gamma:
            y_real, pull = jax.vjp(lambda x: critic(c, x), real)
            penalty = gamma / 2 * (pull(jnp.ones_like(y_real))[0] ** 2).sum(1).mean()
            return jax.nn.softplus(-y_real).mean() + jax.nn.softplus(critic(c, fake)).mean() + penalty
        y = critic(c, jnp.concatenate([real, fake]))
        return jax.nn.softplus(-y[:batch]).mean() + jax.nn.softplus(y[batch:]).mean()

    def generator_loss(g: Any, c: Any, z: Any) -> Any:
        return -critic(c, net(g, z, 0.0)).mean()

    def adam(params: Any, grads: Any, mean: Any, square: Any, count: Any) -> Any:
        tree = jax.tree_util.tree_map
        mean = tree(lambda m, d: 0.5 * m + 0.5 * d, mean, grads)
        square = tree(lambda v, d: 0.9 * v + 0.1 * d * d, square, grads)
        a, b = 1 - 0.5**count, (1 - 0.9**count) ** 0.5
        return tree(lambda p, m, v: p - lr / a * m / (jnp.sqrt(v) / b + 1e-8), params, mean, square), mean, square

    @jax.jit
    def whole(state: Any, real: Any, z1: Any, z2: Any) -> Any:
        c, g, cm, cv, gm, gv, count = state
        count = count + 1
        c, cm, cv = adam(c, jax.grad(critic_loss)(c, g, real, z1), cm, cv, count)
        g, gm, gv = adam(g, jax.grad(generator_loss)(g, c, z2), gm, gv, count)
        return c, g, cm, cv, gm, gv, count

    def zeros(tree: Any) -> Any:
        return jax.tree_util.tree_map(jnp.zeros_like, tree)

    c, g = start(SIZES["critic"]), start(SIZES["generator"])
    state = (c, g, zeros(c), zeros(c), zeros(g), zeros(g), jnp.zeros(()))

    def step() -> None:
        nonlocal state
        real = source.sample(batch, order).numpy()
        state = whole(
            state, real, rng.standard_normal((batch, 2), np.float32), rng.standard_normal((batch, 2), np.float32)
        )
        state[-1].block_until_ready()

    return step
