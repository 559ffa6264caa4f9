"""Is a series periodic, or only noisy? A limit cycle of a game shows as a line in the spectrum of its losses.

Minibatch noise wanders: its spectrum rises towards low frequencies, and a finite piece of it always has a highest peak.
The null is therefore not white noise but a first-order autoregression seen through white noise, whose autocorrelation
is c phi^k and whose spectrum is S(w) = s^2 [(1 - c) + c (1 - phi^2) / (1 - 2 phi cos w + phi^2)]. The statistic is
Fisher's (1929) on the periodogram divided by the fitted S: its peak over the mean of the rest. Its law under the null
comes from series simulated with the fitted c that go through the same fit (as Allen and Smith 1996, "Monte Carlo SSA",
do for the red noise of climates).

False alarms, as the doctor uses it: no cycle named in 27 ordinary trainings (12 ring8, 3 digits, 12 Gaussians); the
commands are in docs/howto/doctor.md.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

LEAST = 32
"""Looks below which nothing is said about cycles."""
MOST = 512
"""Points of a series at most; longer ones are averaged in blocks."""
SIMULATIONS = 999
MEMORIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)
"""Values of phi. It cannot be estimated well from a short series, so that the p-value is the largest over all."""
FITTED = 6
"""Lags from which c is fitted."""
TURNS = 6
"""Periods that must lie in the window: fewer are a trend, or a transient that takes its time."""
SHORTEST = 3
"""Looks in the shortest period: faster ones are aliased."""
LOBE = 2
"""Bins on each side of a peak that belong to it, after the Hann taper."""


@dataclass(frozen=True)
class Cycle:
    """The strongest line of a series.

    period    in points of the series
    pvalue    chance of so strong a line in red noise
    share     part of the variance in the line
    growth    its amplitude in the second half of the window over that in the first
    """

    period: float
    pvalue: float
    share: float
    growth: float


def find_cycle(series: np.ndarray, seed: int = 0, simulations: int = SIMULATIONS) -> Cycle | None:
    """The strongest line of a series [n] of equally spaced finite numbers; None where the series is too short or
    constant. Whether it is one is for the caller to judge, by `pvalue` and `share`."""
    series = np.asarray(series, dtype=np.float64)
    block = max(1, math.ceil(len(series) / MOST))
    y = series[len(series) % block :].reshape(-1, block).mean(1)  # the newest points stay
    n = len(y)
    if n < LEAST or not np.isfinite(y).all():
        return None
    y = _clipped(y)
    if np.ptp(y) <= 1e-9 * np.abs(y).max():
        return None
    random = np.random.default_rng(seed)
    pvalue, k = 0.0, TURNS
    for phi in MEMORIES:
        power, ratio, c = (a[0] for a in _analysed(y[None], phi))
        simulated = _prominence(_analysed(_red_noise(float(c), phi, simulations, n, random), phi)[1])
        p = _tail(simulated, float(_prominence(ratio[None])[0]))
        if p >= pvalue:
            pvalue, k = p, int(np.argmax(ratio)) + TURNS
    lobe = power[max(0, k - 1 - LOBE) : k + LOBE]  # power starts at the first harmonic
    return Cycle(
        period=block * n / _peak(power, k),
        pvalue=pvalue,
        share=float(lobe.sum() / power.sum()),
        growth=_growth(_detrended(y[None])[0], k / n),
    )


def _analysed(y: np.ndarray, phi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Periodograms [m, n // 2] of series [m, n] at harmonics 1, 2, ...; their ratio to the null of memory phi from
    harmonic TURNS to a period of SHORTEST points; and the fitted c [m]."""
    n = y.shape[1]
    y = _detrended(y)
    variance = y.var(1)
    lags = range(1, FITTED + 1)
    r = np.stack([(y[:, k:] * y[:, :-k]).sum(1) / n for k in lags], axis=1) / variance[:, None]
    decay = phi ** np.array(lags)
    c = np.clip(r @ decay / max(float(decay @ decay), 1e-12), 0.0, 1.0)
    taper = np.hanning(n)
    power = np.abs(np.fft.rfft(y * taper, axis=1)[:, 1 : n // 2 + 1]) ** 2 / (taper**2).sum()
    w = 2 * np.pi * np.arange(TURNS, n // SHORTEST + 1) / n
    red = (1 - phi**2) / (1 - 2 * phi * np.cos(w) + phi**2)
    null = variance[:, None] * ((1 - c)[:, None] + c[:, None] * red)
    return power, power[:, TURNS - 1 : n // SHORTEST] / null, c


def _prominence(ratio: np.ndarray) -> np.ndarray:
    """[m] the peak of whitened periodograms [m, f] over their mean outside its lobe."""
    peak = ratio.argmax(1)
    rest = np.abs(np.arange(ratio.shape[1]) - peak[:, None]) > LOBE
    return ratio.max(1) / np.maximum((ratio * rest).sum(1) / rest.sum(1), 1e-300)


def _red_noise(c: float, phi: float, count: int, n: int, random: np.random.Generator) -> np.ndarray:
    """[count, n] series of variance 1 and autocorrelation c phi^k."""
    start = random.standard_normal((count, 1))
    shocks = math.sqrt(1 - phi**2) * random.standard_normal((count, n))
    wander, _ = lfilter([1.0], [1.0, -phi], shocks, axis=1, zi=phi * start)
    return math.sqrt(c) * wander + math.sqrt(1 - c) * random.standard_normal((count, n))


def _tail(simulated: np.ndarray, value: float) -> float:
    """P(statistic >= value). Ratios of a periodogram are exponential, so that their maximum has an exponential tail:
    beyond the last tenth of the simulations the p-value is read off that."""
    above = int((simulated >= value).sum())
    edge = np.quantile(simulated, 0.9)
    if above >= 10 or value <= edge:
        return (1 + above) / (1 + len(simulated))
    return float(0.1 * np.exp(-(value - edge) / (simulated[simulated > edge] - edge).mean()))


def _clipped(y: np.ndarray) -> np.ndarray:
    """Single spikes cut to five times the spread of the rest, so that they do not hide a line."""
    low, middle, high = np.quantile(y, [0.1, 0.5, 0.9])
    reach = 5 * (high - low) / 2.56
    return np.clip(y, middle - reach, middle + reach)


def _detrended(y: np.ndarray) -> np.ndarray:
    """Series without their best cubic: the end of a transient is no cycle."""
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, y.shape[1]), 4))
    return y - (y @ basis) @ basis.T


def _peak(power: np.ndarray, k: int) -> float:
    """The frequency of a peak between harmonics, from its neighbours' weights."""
    around = np.arange(max(1, k - 1), min(len(power), k + 1) + 1)
    return float((power[around - 1] * around).sum() / power[around - 1].sum())


def _growth(y: np.ndarray, frequency: float) -> float:
    """Amplitude at a frequency in the second half over that in the first."""
    wave = np.exp(-2j * np.pi * frequency * np.arange(len(y)))
    halves = [abs((part * w * np.hanning(len(part))).sum()) for part, w in _halves(y, wave)]
    return float(halves[1] / max(halves[0], 1e-300))


def _halves(y: np.ndarray, wave: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    middle = len(y) // 2
    return [(y[:middle], wave[:middle]), (y[-middle:], wave[-middle:])]
