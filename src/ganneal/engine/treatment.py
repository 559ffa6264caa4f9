"""The next setting to try: for each problem a ladder of changes, of which the first that changes something is the
advice."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from ganneal.engine.config import Config
from ganneal.engine.rewriting import final_weight, reweighted, scaled, with_weight
from ganneal.engine.symptoms import ADVICE
from ganneal.parts import parse
from ganneal.targets import is_target_text
from ganneal.temperature import members

Settings = dict[str, str | tuple[str, ...]]
Change = Callable[[Config], Settings]

GRADIENT = ("r1", "r2", "r1r2", "gp", "sgp", "roth", "dragan")
FIRM = 3.0
"""Weight of a gradient penalty from which more of it blinds the critic rather than damping the game."""
SLIGHT = 0.1
"""Weight with which a gradient penalty begins, and score clip below which less is no regulariser."""


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


def advice(problem: str, config: Config) -> str:
    """What to try against a problem, in a sentence: the treatment, or what is known in general; "" for nothing."""
    known = treatment(problem, config)
    return ADVICE.get(problem, "") if known is None else f"try {known.flags()}: {known.why}"


def _on_examples(config: Config) -> bool:
    """Whether both laws are given by examples, so that any objective and noise will do; not for most samplers of a
    density (a Python object's source is `object:NAME`)."""
    density = is_target_text(config.source) or config.source.startswith("object:")
    return not density or config.sampler == "replay"


def _has_critic(config: Config) -> bool:
    if config.system.startswith("mmd"):
        return False  # its critic, where it has one, is a map to features
    return _on_examples(config) or config.sampler in ("reference", "weighted")


def _rates(factor: float, *players: str) -> Change:
    def change(config: Config) -> Settings:
        there = [p for p in players if p != "critic" or _has_critic(config)]
        found = {f"lr_{p}": scaled(getattr(config, f"lr_{p}"), factor) for p in there}
        return {k: v for k, v in found.items() if v is not None and v != getattr(config, k)}

    return change


def _gradient_penalty(config: Config) -> str | None:
    return next((p for p in config.penalty if parse(p).name in GRADIENT), None)


def _instead(config: Config, present: str, changed: str | None) -> Settings:
    return {} if changed is None else {"penalty": tuple(changed if p == present else p for p in config.penalty)}


def _damp(config: Config) -> Settings:
    """Add a gradient penalty where there is none, and triple one that is not firm yet."""
    present = _gradient_penalty(config)
    if present is None:
        return {"penalty": (*config.penalty, f"r1r2(gamma={SLIGHT:g})")} if _has_critic(config) else {}
    weight = final_weight(present)
    if weight == 0:
        return _instead(config, present, with_weight(present, SLIGHT))
    return {} if weight * 3 > FIRM else _instead(config, present, reweighted(present, 3))


def _penalise(config: Config) -> Settings:
    return _damp(config) if _gradient_penalty(config) is None else {}


def _relax(config: Config) -> Settings:
    present = _gradient_penalty(config)
    return {} if present is None or not final_weight(present) else _instead(config, present, reweighted(present, 0.1))


def _clip_score(config: Config) -> Settings:
    """A regulariser that pushes samples away from the data beyond the critic's pull needs a bounded score."""
    pushes = any(member(t) < 0 for member in members(config.lambdas()[0]) for t in member.knots)
    if not pushes or not _on_examples(config) or 0 < config.score_clip < SLIGHT:
        return {}
    return {"score_clip": "1" if config.score_clip == 0 else f"{config.score_clip / 3:.3g}"}


def _alternate(config: Config) -> Settings:
    return {"solver": "alternating"} if config.solver.startswith("simultaneous") else {}


def _more_critic(config: Config) -> Settings:
    plain = config.solver in ("alternating", "simultaneous") and _has_critic(config)
    return {"solver": "alternating(n_critic=4)"} if plain else {}


def _noise(config: Config) -> Settings:
    silent = config.noise in ("0", "0.0") and _on_examples(config)
    return {"noise": "linear(0.5->0, hold=0.2)"} if silent else {}


def _relativistic(config: Config) -> Settings:
    plain = config.system in ("gan", "gan()") and _on_examples(config)
    fits = plain and not config.solver.startswith("competitive") and config.objective != "relativistic"
    return {"objective": "relativistic", "penalty": (f"r1r2(gamma={SLIGHT:g})",)} if fits else {}


def _unsaturated(config: Config) -> Settings:
    fits = config.objective == "jsd" and not config.solver.startswith("competitive")
    return {"objective": "nonsaturating"} if fits else {}


_DAMPED = (_damp, "a penalty on the critic's input gradient moves the eigenvalues of the game to the left")
_PENALISED = (_penalise, _DAMPED[1])
_SLOWER = (_rates(1 / 3, "generator", "critic"), "smaller steps keep within the stability region of the discrete game")
_BOTH_LAWS = (_noise, "with noise on data and samples both laws have densities, and the critic cannot separate them")
_CLIPPED = (_clip_score, "a negative lambda_likelihood can push samples harder than the critic pulls them back")

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
    "collapse": (
        _CLIPPED,
        _BOTH_LAWS,
        (_rates(1 / 3, "generator"), "a slower generator lets the critic answer"),
        _DAMPED,
    ),
    "modes missing": (
        (_relativistic, "a critic that compares pairs rewards samples in every mode, not in the nearest one"),
        _BOTH_LAWS,
        (_rates(1 / 3, "generator"), "a slower generator lets the critic answer"),
    ),
    "saturated critic": (
        _CLIPPED,
        _DAMPED,
        _BOTH_LAWS,
        (_rates(1 / 3, "critic"), "a slower critic stays within reach"),
    ),
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


__all__ = ["Treatment", "advice", "treatment"]
