"""The next setting to try: for each problem a ladder of changes, of which the first that changes something is the
advice."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ganneal.engine.config import Config

Settings = dict[str, str | tuple[str, ...]]
Change = Callable[[Config], Settings]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RAMP = re.compile(rf"\s*(\w+)\(\s*({_NUMBER})\s*->\s*({_NUMBER})(.*)\)\s*$", re.DOTALL)
_GAMMA = re.compile(rf"(gamma|weight)\s*=\s*({_NUMBER})")
GRADIENT = ("r1", "r2", "r1r2", "gp", "sgp", "roth", "dragan")
FIRM = 3.0
"""Weight of a gradient penalty from which more of it blinds the critic rather than damping the game."""


@dataclass(frozen=True)
class Treatment:
    """Settings to change by key, as a configuration takes them, and why they should help."""

    settings: Settings
    why: str

    def flags(self) -> str:
        """As arguments of `ganneal train`."""
        words = {k: (v,) if isinstance(v, str) else v for k, v in self.settings.items()}
        return " ".join(f"--{key.replace('_', '-')} {shlex.join(value)}" for key, value in words.items())


def treatment(problem: str, config: Config) -> Treatment | None:
    """What to try first against a problem in a run with that configuration; None where no setting is known to help."""
    for change, why in LADDERS.get(problem, ()):
        if settings := change(config):
            return Treatment(settings, why)
    return None


def scaled(text: str, factor: float) -> str | None:
    """A schedule's text with its values times a factor; None for forms other than a number and a ramp."""
    if re.fullmatch(rf"\s*{_NUMBER}\s*", text):
        return f"{float(text) * factor:.3g}"
    if ramp := _RAMP.match(text):
        return f"{ramp[1]}({float(ramp[2]) * factor:.3g}->{float(ramp[3]) * factor:.3g}{ramp[4]})"
    return None


def _rates(factor: float, *players: str) -> Change:
    def change(config: Config) -> Settings:
        found = {f"lr_{p}": scaled(getattr(config, f"lr_{p}"), factor) for p in players}
        return {k: v for k, v in found.items() if v is not None and v != getattr(config, k)}

    return change


def _gradient_penalty(config: Config) -> str | None:
    return next((p for p in config.penalty if p.split("(")[0].strip() in GRADIENT), None)


def _gamma(config: Config) -> float | None:
    """Weight of the first gradient penalty where it is written as a number."""
    found = _GAMMA.search(_gradient_penalty(config) or "")
    return float(found[2]) if found else None


def _damp(config: Config) -> Settings:
    """Add a gradient penalty where there is none, and triple one that is not firm yet."""
    present = _gradient_penalty(config)
    if present is None:
        return {"penalty": (*config.penalty, "r1r2(gamma=0.1)")}
    gamma = _gamma(config)
    return {} if gamma is None or gamma * 3 > FIRM else _with_gamma(config, present, gamma * 3)


def _penalise(config: Config) -> Settings:
    return _damp(config) if _gradient_penalty(config) is None else {}


def _relax(config: Config) -> Settings:
    present, gamma = _gradient_penalty(config), _gamma(config)
    return {} if present is None or not gamma else _with_gamma(config, present, gamma / 10)


def _with_gamma(config: Config, present: str, gamma: float) -> Settings:
    changed = _GAMMA.sub(lambda found: f"{found[1]}={gamma:.3g}", present, count=1)
    return {"penalty": tuple(changed if p == present else p for p in config.penalty)}


def _alternate(config: Config) -> Settings:
    return {"solver": "alternating"} if config.solver.startswith("simultaneous") else {}


def _more_critic(config: Config) -> Settings:
    return {"solver": "alternating(n_critic=4)"} if config.solver in ("alternating", "simultaneous") else {}


def _noise(config: Config) -> Settings:
    return {"noise": "linear(0.5->0, hold=0.2)"} if config.noise in ("0", "0.0") else {}


def _relativistic(config: Config) -> Settings:
    return {} if config.objective == "relativistic" else {"objective": "relativistic", "penalty": ("r1r2(gamma=0.1)",)}


def _unsaturated(config: Config) -> Settings:
    return {"objective": "nonsaturating"} if config.objective == "jsd" else {}


_DAMPED = (_damp, "a penalty on the critic's input gradient moves the eigenvalues of the game to the left")
_PENALISED = (_penalise, _DAMPED[1])
_SLOWER = (_rates(1 / 3, "generator", "critic"), "smaller steps keep within the stability region of the discrete game")
_BOTH_LAWS = (_noise, "with noise on data and samples both laws have densities, and the critic cannot separate them")

LADDERS: dict[str, tuple[tuple[Change, str], ...]] = {
    "limit cycle": (
        (_alternate, "simultaneous steps turn outward where the exact game turns in circles"),
        _DAMPED,
        _SLOWER,
    ),
    "growing oscillation": (
        (_alternate, "simultaneous steps turn outward where the exact game turns in circles"),
        _SLOWER,
    ),
    "learning rate above the stable one": (_SLOWER,),
    "diverging": (_PENALISED, _SLOWER, _DAMPED),
    "non-finite values": (_PENALISED, _SLOWER, _DAMPED),
    "collapse": (_BOTH_LAWS, (_rates(1 / 3, "generator"), "a slower generator lets the critic answer"), _DAMPED),
    "modes missing": (
        (_relativistic, "a critic that compares pairs rewards samples in every mode, not in the nearest one"),
        _BOTH_LAWS,
        (_rates(1 / 3, "generator"), "a slower generator lets the critic answer"),
    ),
    "saturated critic": (_DAMPED, _BOTH_LAWS, (_rates(1 / 3, "critic"), "a slower critic stays within reach")),
    "critic too strong": (_BOTH_LAWS, _DAMPED, (_rates(1 / 3, "critic"), "a slower critic stays within reach")),
    "critic too weak": (
        (_relax, "the penalty is so strong that the critic is nearly flat"),
        (_more_critic, "more critic steps for each step of the generator"),
        (_rates(3, "critic"), "a faster critic"),
    ),
    "vanishing coupling": (
        (_unsaturated, "the saturating generator has no gradient where the critic is sure"),
        _BOTH_LAWS,
        (_relax, "the penalty is so strong that the critic is nearly flat"),
        (_rates(1 / 3, "critic"), "a slower critic stays within reach"),
    ),
}


__all__ = ["Treatment", "scaled", "treatment"]
