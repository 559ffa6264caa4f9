"""The annealed GAN: one generator, one critic, and score players where a regulariser needs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ganneal import annealing
from ganneal.augmentation import Augmentation
from ganneal.game import Draw, Nets, Tensors
from ganneal.latents import NORMAL, LatentLaw
from ganneal.latents import draw as latent_draw
from ganneal.objectives import Objective
from ganneal.penalties import Coverage, Isometry, Penalty, anchor_loss
from ganneal.scores import DenoisingAutoencoder, ScoreEstimator
from ganneal.systems.critic import CriticTerms
from ganneal.systems.sight import SINGLE, Sight

SCORE_PLAYERS = ("data_score", "model_score")
GAPS = {"log_ratio": "gap", "witness": "distance"}
"""What the difference of a critic's means on data and samples is called, by what the optimal critic is."""


@dataclass(frozen=True)
class GAN:
    """Objective + penalties on critic and generator + likelihood and entropy regularisers on the generator.

    critic:      L_C = objective.critic(y(x_mu), y(x_rho)) + sum of penalties
    generator:   L_G = objective.generator(...) - lambda_likelihood R[s_mu] + lambda_entropy R[s_rho] + its penalties,
                 with the stop-gradient surrogate R of `ganneal.annealing`
    scores:      each learned estimator's own loss, on data or on the generator's samples

    architectures   modules by player; their parameters are only templates
    shape, latent   per-example shape of x, number of latent coordinates, whose law is `latent_law`
    data_score      estimator of grad log mu, or None where lambda_likelihood is 0 throughout
    model_score     estimator of grad log rho, or None where lambda_entropy is 0 throughout
    score_space     "data", or "features": the likelihood is that of the critic's feature layer
    features        size of the critic's feature layer, for the feature space
    noisy           data and samples carry Gaussian noise of standard deviation coefficients["noise"]: both laws then
                    have densities, and with a score at that noise level critic and score speak of the same law
    score_clip      largest norm of a score, per example; 0 for none. Away from data on a thin set the score grows
                    without bound, beyond any force that a penalised critic can balance
    batch_coupled   the critic uses batch statistics, so that data and model batches must not share a pass
    sight           what the critic sees at once: an example, or a pack of them
    augmentation    random transformation of data and samples before the critic, in the generator's loss too
    """

    architectures: Mapping[str, nn.Module]
    objective: Objective
    penalties: tuple[Penalty, ...]
    shape: tuple[int, ...]
    latent: int
    data_score: ScoreEstimator | None = None
    model_score: ScoreEstimator | None = None
    score_space: Literal["data", "features"] = "data"
    features: int = 0
    latent_law: LatentLaw = NORMAL
    noisy: bool = False
    score_clip: float = 0.0
    batch_coupled: bool = False
    sight: Sight = SINGLE
    augmentation: Augmentation | None = None

    @property
    def nets(self) -> Mapping[str, nn.Module]:
        """The architecture of every player."""
        return self.architectures

    @property
    def players(self) -> tuple[str, ...]:
        """Critic first, then the running means of its outputs if a penalty wants them, learned scores, the generator
        last."""
        return self._order()

    def _order(self) -> tuple[str, ...]:
        between = (p for p in ("anchors", *SCORE_PLAYERS) if p in self.architectures)
        return ("critic", *between, "generator")

    @property
    def averaged(self) -> frozenset[str]:
        """The generator reads learned scores through their running averages."""
        return frozenset(p for p in SCORE_PLAYERS if p in self.architectures)

    @property
    def draws(self) -> dict[str, dict[str, Draw]]:
        """What each player's loss reads from a batch."""
        real = {"real": Draw("real", self.shape)}
        fake = {"z": latent_draw(self.latent_law, self.latent)}
        if self.noisy:
            real["real.noise"] = fake["z.noise"] = Draw("normal", self.shape)
        shown = {which: self._augment_draws(which) for which in ("real", "z")}
        critic = {**real, **fake, **shown["real"], **shown["z"]}
        anchors = dict(critic)
        critic |= self._terms.draws(self.shape)
        generator = {**fake, **shown["z"]}
        if self.objective.paired:
            generator |= {**real, **shown["real"]}
        if any(penalty.reads_real for penalty in self._own_penalties()):
            generator |= real
        if self.data_score is not None and self.data_score.reads_samples:
            generator |= {"real": real["real"]} if self.data_score.smooths else real
        if self._published():
            assert self.data_score is not None
            generator |= self.data_score.draws(self._score_shape())
        found = {"critic": critic, "generator": generator}
        if "anchors" in self.architectures:
            found["anchors"] = anchors
        for player, source in (("data_score", real), ("model_score", fake)):
            if player in self.architectures:
                estimator = self._estimator(player)
                shape = self._score_shape() if player == "data_score" else self.shape
                plain = {name: draw for name, draw in source.items() if not name.endswith(".noise")}
                found[player] = {**(plain if estimator.smooths else source), **estimator.draws(shape)}
        return found

    def loss(self, player: str, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        """The scalar that `player` minimises; pure in `nets`, `batch` and `coefficients`."""
        if player == "critic":
            return self._critic_loss(nets, batch, coefficients)
        if player == "generator":
            return self._generator_loss(nets, batch, coefficients)
        if player == "anchors":
            real, fake = self._examples(nets, batch, coefficients)
            return anchor_loss(nets["anchors"](), nets["critic"](real), nets["critic"](fake))
        estimator = self._estimator(player)
        if player == "data_score":
            x = batch["real"] if estimator.smooths else self._noised(batch["real"], batch, "real", coefficients)
            return estimator.loss(nets[player], self._in_score_space(nets, x), batch)
        x = nets["generator"](self._latents(batch))
        return estimator.loss(
            nets[player], x if estimator.smooths else self._noised(x, batch, "z", coefficients), batch
        )

    def project(self, player: str, params: Tensors, buffers: Tensors) -> None:
        """Weight clipping or a power iteration after a step of the critic."""
        if player == "critic":
            self._terms.project(self.architectures["critic"], params, buffers)

    @torch.no_grad()
    def signs(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the guard looks at, 0-d each: `spread` of samples relative to data (nan where data have none), `offset`,
        the mean coordinate of samples minus that of data in units of that spread, and the critic's mean on data minus
        that on samples: `gap` of logits, `distance` of a witness, which is the Wasserstein distance up to the critic's
        Lipschitz constant while the critic is near its best (Arjovsky et al. 2017)."""
        x, real = nets["generator"](self._latents(batch)), batch["real"]
        scale = real.flatten(1).var(0, correction=0).sum().sqrt()
        relative = x.flatten(1).var(0, correction=0).sum().sqrt() / scale
        offset = (x.mean() - real.mean()) / torch.where(scale > 0, scale, torch.ones_like(scale))
        found = {"spread": torch.where(scale > 0, relative, torch.nan), "offset": offset}
        if name := GAPS.get(self.objective.optimum):
            seen = nets["critic"](self.sight.arrange(real)), nets["critic"](self.sight.arrange(x))
            found[name] = seen[0].mean() - seen[1].mean()
        return found

    def _noised(self, x: Tensor, batch: Mapping[str, Tensor], which: str, coefficients: Mapping[str, Tensor]) -> Tensor:
        return x + coefficients["noise"] * batch[f"{which}.noise"] if self.noisy else x

    def _latents(self, batch: Mapping[str, Tensor]) -> Tensor:
        return self.latent_law.of(batch["z"])

    def _augment_draws(self, which: str) -> dict[str, Draw]:
        """The noise of the augmentation of `real` or `z`."""
        own = {} if self.augmentation is None else self.augmentation.draws(self.shape)
        return {f"{which}.augment.{name}": draw for name, draw in own.items()}

    def _shown(self, x: Tensor, batch: Mapping[str, Tensor], which: str) -> Tensor:
        """Examples [B, *shape] as the critic is shown them: augmented, then arranged."""
        if self.augmentation is not None:
            prefix = f"{which}.augment."
            noise = {n.removeprefix(prefix): v for n, v in batch.items() if n.startswith(prefix)}
            x = self.augmentation.apply(x, noise)
        return self.sight.arrange(x)

    def _own_penalties(self) -> tuple[Coverage | Isometry, ...]:
        return tuple(p for p in self.penalties if isinstance(p, (Coverage, Isometry)))

    @property
    def _terms(self) -> CriticTerms:
        return CriticTerms(self.objective, self.penalties, self.batch_coupled)

    def _published(self) -> bool:
        return isinstance(self.data_score, DenoisingAutoencoder) and self.data_score.reads_samples

    def _estimator(self, player: str) -> ScoreEstimator:
        found = self.data_score if player == "data_score" else self.model_score
        assert found is not None
        return found

    def _score_shape(self) -> tuple[int, ...]:
        return self.shape if self.score_space == "data" else (self.features,)

    def _in_score_space(self, nets: Nets, x: Tensor) -> Tensor:
        return x if self.score_space == "data" else nets["critic"](x, features=True)[1]

    def _critic_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        real, fake = self._examples(nets, batch, coefficients)
        anchors = nets["anchors"]() if "anchors" in self.architectures else None
        return self._terms.loss(nets["critic"], real, fake, batch, coefficients, anchors)

    def _examples(
        self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Data and samples as the critic is shown them."""
        real = self._noised(batch["real"], batch, "real", coefficients)
        fake = self._noised(nets["generator"](self._latents(batch)).to(real.dtype), batch, "z", coefficients)
        return self._shown(real, batch, "real"), self._shown(fake, batch, "z")

    def _generator_loss(self, nets: Nets, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]) -> Tensor:
        z = self._latents(batch)
        clean = nets["generator"](z)
        x = self._noised(clean, batch, "z", coefficients)
        shown = self._shown(x, batch, "z")
        y, place = (
            nets["critic"](shown, features=True) if self.score_space == "features" else (nets["critic"](shown), x)
        )
        y_real = y
        if self.objective.paired:
            real = self._noised(batch["real"], batch, "real", coefficients)
            y_real = nets["critic"](self._shown(real, batch, "real"))
        precise = torch.promote_types(y.dtype, torch.float32)
        loss = self.objective.generator_loss(y_real.to(precise), y.to(precise))
        if self.data_score is not None:
            score = self._likelihood_score(nets, place.detach(), batch, coefficients)
            loss = loss - coefficients["lambda_likelihood"] * annealing.surrogate(place, score)
        if self.model_score is not None:
            score = self._entropy_score(nets, x.detach(), clean.detach())
            loss = loss + coefficients["lambda_entropy"] * annealing.surrogate(x, score)
        for penalty in self._own_penalties():
            if penalty.name in coefficients:
                real = self._noised(batch["real"], batch, "real", coefficients) if penalty.reads_real else x
                term = penalty.term(x.to(precise), z, real, nets["critic"], self.objective, coefficients)
                loss = loss + coefficients[penalty.name] * term
        return loss

    def _likelihood_score(
        self, nets: Nets, place: Tensor, batch: Mapping[str, Tensor], coefficients: Mapping[str, Tensor]
    ) -> Tensor:
        """The data score at `place`, a point of the score space."""
        assert self.data_score is not None
        samples = None
        if self.data_score.reads_samples:
            real = batch["real"]
            real = real if self.data_score.smooths else self._noised(real, batch, "real", coefficients)
            samples = self._in_score_space(nets, real).detach()
        if samples is not None and isinstance(self.data_score, DenoisingAutoencoder):
            samples = self.data_score.noisy(samples, batch)
        return self._clipped(self.data_score.score(place, net=nets.get("data_score"), samples=samples))

    def _entropy_score(self, nets: Nets, x: Tensor, clean: Tensor) -> Tensor:
        """The model score at samples x; `clean` are the same samples before noise."""
        assert self.model_score is not None
        samples = None
        if self.model_score.reads_samples:
            samples = clean if self.model_score.smooths else x
        return self._clipped(self.model_score.score(x, net=nets.get("model_score"), samples=samples))

    def _clipped(self, score: Tensor) -> Tensor:
        return annealing.clip_norm(score, self.score_clip) if self.score_clip else score
