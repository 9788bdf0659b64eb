"""The variational autoencoder of the homework (Kingma & Welling 2014), 784 pixels, z latents."""

from minigrad import Tensor, nn, no_grad, random
from minigrad.distributions import (
    gaussian_parameters,
    kl_normal,
    log_bernoulli_with_logits,
    sample_gaussian,
)


class VAE(nn.Module):
    """p(z) = N(0, I), p(x | z) = Bernoulli(σ(decoder(z))), q(z | x) = N(m(x), diag v(x)).

    With z_dim = 10 it has 661,404 parameters.
    """

    def __init__(self, z_dim=10, x_dim=784, hidden=300):
        self.z_dim = z_dim
        self.encoder = nn.Sequential(
            nn.Linear(x_dim, hidden), nn.ELU(),
            nn.Linear(hidden, hidden), nn.ELU(),
            nn.Linear(hidden, 2 * z_dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(z_dim, hidden), nn.ELU(),
            nn.Linear(hidden, hidden), nn.ELU(),
            nn.Linear(hidden, x_dim),
        )  # fmt: skip

    def negative_elbo_bound(self, x) -> tuple[Tensor, Tensor, Tensor]:
        """(nelbo, kl, rec), each the mean over the batch, nelbo = kl + rec, in nats.

        rec = −E_q[log p(x | z)] is estimated with one z per image; kl = KL(q(z | x) ‖ p(z)) is
        exact. x (N, x_dim) in {0, 1}.
        """
        m, v = gaussian_parameters(self.encoder(x))
        z = sample_gaussian(m, v)
        kl = kl_normal(m, v, 0, 1).mean()
        rec = -log_bernoulli_with_logits(x, self.decoder(z)).mean()
        return kl + rec, kl, rec

    @no_grad()
    def compute_sigmoid_given(self, z) -> Tensor:
        """p(x = 1 | z) for each pixel: z (N, z_dim) -> (N, x_dim)."""
        return self.decoder(z).sigmoid()

    def sample_z(self, n) -> Tensor:
        """n draws from the prior: (n, z_dim)."""
        return Tensor(random.normal((n, self.z_dim)))

    def sample_x(self, n) -> Tensor:
        """n draws from p(x): (n, x_dim) in {0, 1}."""
        return self.sample_x_given(self.sample_z(n))

    def sample_x_given(self, z) -> Tensor:
        """A draw from p(x | z) for each z: (N, z_dim) -> (N, x_dim) in {0, 1}."""
        return Tensor(random.bernoulli(self.compute_sigmoid_given(z)))
