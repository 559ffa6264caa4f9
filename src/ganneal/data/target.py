"""An unnormalised density as a `Source`: examples are exact draws where there are any, and training reads none."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganneal.data.contract import Source
from ganneal.errors import UsageError
from ganneal.targets import Frame, Framed, Target, check, frame_of, open_target

HELDOUT_SEED = 0x7A26_E7
PILOT_SEED = 0x9170_7
WALLS = 256


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TargetSource(Source):
    """A target in the coordinates of its frame; `decode` leads back to the user's.

    given    a frame that was found before, so that a run that is opened again needs no second pilot
    """

    target: Target
    seed: int = 0
    given: Frame | None = None
    spent: dict[str, int] = field(default_factory=dict)

    @cached_property
    def frame(self) -> Frame:
        """The frame given, declared, or found by a pilot run, whose evaluations are noted in `spent`."""
        if self.given is not None:
            return self.given
        if self.target.centre is not None and self.target.scale is not None:
            return frame_of(self.target)
        from ganneal.diffusion.pilot import pilot

        found, self.spent["pilot"] = pilot(self.target, torch.Generator().manual_seed(self.seed + PILOT_SEED))
        return found

    def look(self, walls: bool = True) -> None:
        """Check the density before anything is trained on it, and with `walls` that it is 0 nowhere in the bulk, since
        there is no force back from there. Raises `UsageError` with what was seen; evaluations are noted in `spent`."""
        rows = [0]

        def counted(x: Tensor) -> Tensor:
            rows[0] += len(x)
            return self.target.log_prob(x)

        generator = torch.Generator().manual_seed(self.seed)
        check(replace(self.target, log_prob=counted), generator)
        if walls:
            y = torch.randn(WALLS, self.target.dim, generator=generator, dtype=torch.float64)
            outside = counted(self.frame.outward(y)) == -torch.inf
            if bool(outside.any()):
                raise UsageError(
                    f"{self.name}: log u is -inf at {int(outside.sum())} of {WALLS} points around the mass; a sampler "
                    f"needs a density that is positive everywhere: transform to unconstrained coordinates (log, logit) "
                    f"and add the log Jacobian, or use --sampler replay"
                )
        self.spent["check"] = rows[0]

    @property
    def density(self) -> Framed:
        """log u in the frame's coordinates."""
        return Framed(self.target, self.frame)

    @property
    def needs_reference(self) -> bool:
        """Whether there is neither an exact sampler nor a stored sample to compare with."""
        return self.target.draw is None and self.target.reference is None

    @property
    def landmarks(self) -> tuple[Tensor | None, float | None]:
        """Modes in the user's coordinates, without a width."""
        modes = self.target.modes
        return (modes if modes is None or self.target.embed is None else self.target.embed(modes)), None

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n exact draws in the frame's coordinates, float32. Raises `UsageError` where there is no exact sampler."""
        return self.frame.inward(self.target.sample(n, generator)).float()

    def heldout(self, n: int) -> Tensor:
        """A fixed sample of the target in the frame's coordinates, float32 [<= n, d]: exact draws or a stored
        reference; none where there is neither."""
        return self.frame.inward(self.truth(n)).float()

    def truth(self, n: int) -> Tensor:
        """The same in the target's own coordinates, float64."""
        if self.target.draw is not None:
            return self.target.sample(n, torch.Generator().manual_seed((self.seed + HELDOUT_SEED) % 2**63))
        stored = self.target.reference
        return torch.empty(0, self.target.dim, dtype=torch.float64) if stored is None else stored[:n].double()

    def examples(self, n: int, generator: torch.Generator) -> tuple[np.ndarray, None]:
        """n draws in the user's coordinates."""
        if self.target.draw is None and self.target.reference is not None:
            stored = self.target.reference
            return self.embedded(stored[torch.randperm(len(stored), generator=generator)[:n]]), None
        return self.embedded(self.target.sample(n, generator)), None

    def coordinates(self, x: Tensor) -> Tensor:
        """The target's own coordinates, float64, of x in the frame's."""
        return self.frame.outward(x.detach().cpu().double())

    def decode(self, x: Tensor) -> np.ndarray:
        """The user's coordinates of x in the frame's."""
        return self.embedded(self.coordinates(x))

    def embedded(self, x: Tensor) -> np.ndarray:
        """The user's coordinates of x in the target's own."""
        return (x if self.target.embed is None else self.target.embed(x)).numpy()


def target_source(value: Any, dim: int | None, seed: int, frame: Frame | None) -> TargetSource:
    """A source from a target's text, a `Target`, or a density of the user's."""
    found = open_target(value, dim)
    return TargetSource(
        name=found.name, kind="target", shape=(found.dim,), size=None, target=found, seed=seed, given=frame
    )


def is_density(value: Any) -> bool:
    """Whether a value that is no text can only be a density: a target, a function, or an object with log_prob."""
    from ganneal.targets import Target

    return isinstance(value, Target) or callable(value) or hasattr(value, "log_prob")


def absent(text: str, dim: int) -> Target:
    """Stands for a density that is not at hand: sampling from a run needs none, continuing it does."""

    def refuse(x: Tensor) -> Tensor:
        raise UsageError(
            f"{text}: the density is not at hand (a Python object, or a file that is not where it was); pass it again: "
            f"Run(folder, density)"
        )

    return Target(name=text, dim=dim, log_prob=refuse, opaque=True)
