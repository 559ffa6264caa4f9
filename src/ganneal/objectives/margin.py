"""Objectives whose critic is no log-ratio: least squares, hinge, Wasserstein, relativistic. One critic pass each."""

from torch.nn.functional import relu, softplus

from ganneal.objectives.objective import Objective


def least_squares() -> Objective:
    """Least-squares GAN (Mao et al. 2017, eq. 2 with targets -1, 1, 0): critic E_mu (y-1)^2/2 + E_rho (y+1)^2/2,
    generator E_rho y^2/2.

    Optimal critic (mu - rho)/(mu + rho). The value of the nested problem is the Pearson chi^2(mu + rho || 2 rho), but
    the generator's gradient at that critic is not its gradient: near rho = mu it is of third order in the difference,
    so the pull fades on approach.
    """
    return Objective(
        "least_squares",
        lambda real, fake: ((real - 1).square().mean() + (fake + 1).square().mean()) / 2,
        lambda real, fake: fake.square().mean() / 2,
        "bounded_ratio",
    )


def hinge() -> Objective:
    """Hinge GAN (Lim and Ye 2017; Miyato et al. 2018): critic E_mu relu(1 - y) + E_rho relu(1 + y), generator -E_rho y.

    Optimal critic sign(mu - rho). Wants a smooth critic: combine it with spectral normalisation or a gradient penalty.
    """
    return Objective(
        "hinge",
        lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        lambda real, fake: -fake.mean(),
        "margin",
    )


def wasserstein() -> Objective:
    """Wasserstein GAN (Arjovsky et al. 2017): critic E_rho y - E_mu y over Lipschitz critics, generator -E_rho y.

    Needs a Lipschitz constraint or a penalty (gp, sgp, clip, spectral). A likelihood regulariser acts as an exact
    penalty here:
    |lambda| Lip(log mu) <= 1 leaves rho = mu, so a schedule does not anneal it.
    """
    return Objective(
        "wasserstein", lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean(), "witness"
    )


def relativistic() -> Objective:
    """Relativistic paired GAN (Jolicoeur-Martineau 2018, RpGAN): critic E softplus(-(y_real - y_fake)), generator E
    softplus(-(y_fake - y_real)).

    Every fake is judged against one real example; at its best with r1r2 (Huang et al. 2024). The optimal critic is a
    log-ratio of the pair.
    """
    return Objective(
        "relativistic",
        lambda real, fake: softplus(fake - real).mean(),
        lambda real, fake: softplus(real - fake).mean(),
        "log_ratio",
        paired=True,
    )
