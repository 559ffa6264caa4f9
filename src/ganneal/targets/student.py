"""Mixtures of products of Student's t: heavy tails in every coordinate."""

import math

import torch
from torch import Tensor

from ganneal.targets.arguments import named, positive, whole
from ganneal.targets.target import Target


@named
def student(dim: int = 2, modes: int = 10, df: float = 2.0, reach: float = 10.0, seed: int = 0) -> Target:
    """`modes` equal components, each a product of univariate t densities with `df` degrees of freedom and scale 1,
    around locations uniform on [-reach, reach]^dim, drawn by torch from `seed` (after Blessing et al. 2024: df = 2, ten
    components, whose locations come from jax and differ).

        t(x) = Gamma((df+1)/2) / (sqrt(pi df) Gamma(df/2)) (1 + x^2 / df)^(-(df+1)/2)

    Products, not the multivariate t. Without a variance up to df = 2 (then `variance` is inf), without a mean up to 1.
    u^beta is integrable for beta > 1 / (df + 1).
    """
    d, k, nu = whole("student", "dim", dim), whole("student", "modes", modes, 1, 1000), positive("student", "df", df)
    reach = positive("student", "reach", reach)
    generator = torch.Generator().manual_seed(whole("student", "seed", seed, 0, 2**31))
    places = reach * (2 * torch.rand(k, d, generator=generator, dtype=torch.float64) - 1)
    constant = d * (math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - math.log(math.pi * nu) / 2) - math.log(k)

    def terms(x: Tensor) -> Tensor:
        away = x.unsqueeze(-2) - places.to(x)
        return constant - (nu + 1) / 2 * (away.square() / nu).log1p().sum(-1)

    def gradient(x: Tensor) -> Tensor:
        away = x.unsqueeze(-2) - places.to(x)
        share = terms(x).softmax(-1).unsqueeze(-1)
        return -(share * (nu + 1) * away / (nu + away.square())).sum(-2)

    def draw(n: int, generator: torch.Generator) -> Tensor:
        device = generator.device
        which = torch.randint(k, (n,), generator=generator, device=device)
        z = torch.randn(n, d, generator=generator, dtype=torch.float64, device=device)
        return places.to(device)[which] + z / (_chi_square(n, d, nu, generator) / nu).sqrt()

    mean = places.mean(0)
    inner = nu / (nu - 2) if nu > 2 else math.inf
    spread = (places - mean).square().mean(0)
    return Target(
        name="student", dim=d, log_prob=lambda x: terms(x).logsumexp(-1), gradient=gradient, log_z=0.0,
        mean=mean if nu > 1 else None, variance=spread + inner if nu > 1 else None,
        membership=lambda x: terms(x).softmax(-1), shares=torch.full((k,), 1 / k, dtype=torch.float64),
        members=tuple(f"mode {i + 1}" for i in range(k)), modes=places, draw=draw, centre=mean,
        scale=(spread + min(inner, 4.0)).sqrt(),
    )  # fmt: skip


def _chi_square(n: int, d: int, nu: float, generator: torch.Generator) -> Tensor:
    """Chi-square draws by inverse CDF, from the generator alone."""
    u = torch.rand(n, d, generator=generator, dtype=torch.float64, device=generator.device)
    if nu == 2:
        return -2 * torch.log1p(-u)
    from scipy.special import gammaincinv

    return 2 * torch.from_numpy(gammaincinv(nu / 2, u.cpu().numpy())).to(u).clamp(min=1e-300)
