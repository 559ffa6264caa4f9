"""Prints every number of docs/theory.md: `python docs/theory_numbers.py`. Half a minute; needs the dev extra.

By quadrature, and for the mass that crosses a barrier by finite volumes.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import solve_banded

X = np.linspace(-40.0, 40.0, 200_001)
DX = X[1] - X[0]
Function = Callable[[float], float]


def normal(mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """A density on the grid."""
    return np.exp(-((X - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi))


def integral(values: np.ndarray) -> float:
    """The trapezoid rule: spectrally accurate for smooth densities that vanish at the ends."""
    return float(values.sum() * DX)


def variance(density: np.ndarray) -> float:
    """Of a symmetric density that need not be normalised."""
    return integral(X**2 * density) / integral(density)


def solve(f: Function, low: float, high: float) -> float:
    """The root of a rising function, by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return (low + high) / 2


def gibbs(lam: float) -> float:
    """Variance of mu^(1 + lam), mu = N(0, 1)."""
    return variance(normal() ** (1 + lam))


def saturating(lam: float) -> float:
    """Variance of rho = C mu^(1+lam) / (1 - C mu^lam), C such that rho integrates to 1: the saturating GAN, lam > 0."""
    mu, top = normal(), normal()[len(X) // 2] ** lam

    def rho(c: float) -> np.ndarray:
        return c / top * mu ** (1 + lam) / (1 - c / top * mu**lam)

    return variance(rho(solve(lambda c: integral(rho(c)) - 1, 1e-6, 1 - 1e-9)))


def nonsaturating(lam: float) -> tuple[float, float]:
    """Variance and half width of the support of rho = mu (C mu^lam - 1)_+, lam > 0."""
    mu = normal()

    def rho(half_width: float) -> np.ndarray:  # C mu(half_width)^lam = 1
        return mu * np.maximum(np.exp(lam * (half_width**2 - X**2) / 2) - 1, 0)

    half_width = solve(lambda w: integral(rho(w)) - 1, 0.01, 10)
    return variance(rho(half_width)), half_width


def clipped(lam: float) -> tuple[float, float]:
    """Variance and mass of each atom of N(0, 1) clipped to |x| <= 1/lam: the Wasserstein optimum, lam > 0."""
    edge = 1 / lam
    atom = math.erfc(edge / math.sqrt(2)) / 2
    inside = 1 - 2 * atom - 2 * edge * math.exp(-(edge**2) / 2) / math.sqrt(2 * math.pi)
    return inside + 2 * edge**2 * atom, atom


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p||q)."""
    return integral(np.where(p > 0, p * (np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(q, 1e-300))), 0))


def tempered(weights: list[float], stds: list[float], beta: float, d: int = 1) -> list[float]:
    """Mode weights of mu^beta for separated Gaussian modes: w^beta s^(d (1 - beta)), normalised."""
    raw = [w**beta * s ** (d * (1 - beta)) for w, s in zip(weights, stds, strict=True)]
    return [r / sum(raw) for r in raw]


def crossing(beta: Function, clock: str, total: float = 20.0, steps: int = 4000) -> float:
    """Mass right of 0 at time `total` of Fokker-Planck from N(-4, 1) towards the Gibbs path of N(-4, 1)/2 + N(4, 1)/2.

    likelihood clock: drift beta grad log mu, noise 1;  entropy clock: drift grad log mu, noise 1/beta. Implicit Euler,
    Scharfetter-Gummel fluxes, for which mu^beta is exactly stationary.
    """
    x = np.linspace(-12.0, 12.0, 1201)
    h, dt = x[1] - x[0], total / steps
    psi = -np.logaddexp(-((x + 4) ** 2) / 2, -((x - 4) ** 2) / 2)
    rho = np.exp(-((x + 4) ** 2) / 2)
    rho /= rho.sum()
    for k in range(steps):
        b = beta((k + 1) / steps)
        noise = 1.0 if clock == "likelihood" else 1 / b
        step = b * np.diff(psi)
        up, down = _bernoulli(step), _bernoulli(-step)  # jump rates to the right and to the left, times h^2 / noise
        rate = dt * noise / h**2
        bands = np.ones((3, len(x)))
        bands[1, :-1] += rate * up
        bands[1, 1:] += rate * down
        bands[0, 1:], bands[2, :-1] = -rate * down, -rate * up
        rho = solve_banded((1, 1), bands, rho)
    return float(rho[x > 0].sum() + rho[x == 0].sum() / 2)


def _bernoulli(s: np.ndarray) -> np.ndarray:
    """s / (e^s - 1)."""
    small = np.abs(s) < 1e-8
    return np.where(small, 1 - s / 2, s / np.expm1(np.where(small, 1.0, s)))


def ramp(start: float, end: float = 1.0, hold: float = 0.2) -> Function:
    """linear(start->end, hold)."""
    return lambda t: start + (end - start) * min(1.0, t / (1 - hold))


def main() -> None:
    """Print all."""
    p, q = normal(0.5, 0.8), normal()
    print(f"rho = N(0.5, 0.8^2), mu = N(0, 1): KL(rho||mu) = {kl(p, q):.5f}, KL(mu||rho) = {kl(q, p):.5f}")
    for lam in (0.25, 0.5, 1.0, 2.0):
        laws = {"Gibbs": gibbs(lam), "saturating": saturating(lam), "nonsaturating": nonsaturating(lam)[0]}
        laws["Wasserstein"] = clipped(lam)[0]
        print(f"lambda = {lam:<5g} variance: " + "  ".join(f"{name} {value:.4f}" for name, value in laws.items()))
    print(f"nonsaturating, lambda = 1: support |x| < {nonsaturating(1.0)[1]:.3f}")
    print(f"Wasserstein, mass of each atom: lambda = 0.5 {clipped(0.5)[1]:.5f}, lambda = 1 {clipped(1.0)[1]:.5f}")
    for weights, stds in (([0.7, 0.3], [1, 1]), ([0.5, 0.5], [0.5, 1.5])):
        for beta in (2, 0.5):
            found = " / ".join(f"{w:.3f}" for w in tempered(weights, stds, beta))
            print(f"weights {weights}, widths {stds}, beta = {beta}: {found}")
    for lam, sigma in ((1.0, 0.3), (1.0, 1.0), (-0.5, 1.0)):
        smoothed, exact = 1 / (1 + lam / (1 + sigma**2)), 1 / (1 + lam)
        print(f"smoothed score, lambda = {lam:g}, sigma = {sigma:g}: variance {smoothed:.4f}, exact score {exact:.4f}")
    lam = -50 / 2048
    print(f"published weight l = 50: lambda = {lam:.4f}, variance of N(0, 1) at most {1 / (1 + lam):.4f}")
    for name, start, clock in (
        ("beta = 1", 1.0, "likelihood"),
        ("linear(2->1)", 2.0, "likelihood"),
        ("linear(0.05->1), likelihood clock", 0.05, "likelihood"),
        ("linear(0.05->1), entropy clock", 0.05, "entropy"),
    ):
        print(f"mass that crosses by T = 20, {name}: {crossing(ramp(start), clock):.3f}")


if __name__ == "__main__":
    main()
