"""The homework's variational autoencoder (Kingma & Welling 2014) has 784 pixels, z latents."""

from minigrad import Tensor, nn, no_grad, ops
from minigrad.distributions import (
    duplicate,
    gaussian_parameters,
    kl_normal,
    log_bernoulli_with_logits,
    log_mean_exp,
    log_normal,
    sample_gaussian,
)


def perceptron(first, second, third, last, nn=nn):
    """Make a network, x (..., first) -> y (..., last), with two hidden layers and ELU.

    nn: minigrad's or PyTorch's
    """
    return nn.Sequential(
        nn.Linear(first, second), nn.ELU(),
        nn.Linear(second, third), nn.ELU(),
        nn.Linear(third, last),
    )  # fmt: skip


class VAE(nn.Module):
    """p(z) = N(0, I), p(x | z) = Bernoulli(σ(decoder(z))), q(z | x) = N(m(x), diag v(x)).

    With z_dim = 10 it has 661,404 parameters.
    """

    def __init__(self, z_dim=10, x_dim=784, hidden=300):
        self.z_dim = z_dim
        self.encoder = perceptron(x_dim, hidden, hidden, 2 * z_dim)
        self.decoder = perceptron(z_dim, hidden, hidden, x_dim)

    def negative_elbo_bound(self, x) -> tuple[Tensor, Tensor, Tensor]:
        """Return (nelbo, kl, rec), each a mean over the batch, in nats, with nelbo = kl + rec.

        rec = −E_q[log p(x | z)] is estimated with one z per image; kl = KL(q(z | x) ‖ p(z)) is
        exact. x is (N, x_dim) in {0, 1}.
        """
        m, v = gaussian_parameters(self.encoder(x))
        z = sample_gaussian(m, v)
        kl = kl_normal(m, v, 0, 1).mean()
        rec = -log_bernoulli_with_logits(x, self.decoder(z)).mean()
        return kl + rec, kl, rec

    def negative_iwae_bound(self, x, iw) -> tuple[Tensor, Tensor, Tensor]:
        """Return (niwae, kl, rec), each a mean over the batch, in nats: x (N, x_dim).

        niwae = −log 1/m Σₖ p(x, zₖ) / q(zₖ | x) with m = iw draws zₖ ~ q(z | x): eq. 8 of Burda,
        Grosse & Salakhutdinov 2016. It falls towards −log p(x) as m grows; m = 1 gives nelbo. kl
        and rec are means over the draws of log q(z | x) − log p(z) and −log p(x | z).
        """
        m, v = (duplicate(parameter, iw) for parameter in gaussian_parameters(self.encoder(x)))
        z = sample_gaussian(m, v)
        log_likelihood = log_bernoulli_with_logits(duplicate(x, iw), self.decoder(z))
        log_ratio = log_normal(z, m, v) - log_normal(z, 0, 1)
        weights = (log_likelihood - log_ratio).reshape(iw, -1)
        return -log_mean_exp(weights, 0).mean(), log_ratio.mean(), -log_likelihood.mean()

    @no_grad()
    def compute_sigmoid_given(self, z) -> Tensor:
        """Return p(x = 1 | z) for each pixel: z (N, z_dim) -> (N, x_dim)."""
        return self.decoder(z).sigmoid()

    def sample_z(self, n) -> Tensor:
        """Draw n times from the prior: (n, z_dim)."""
        return ops.randn(shape=(n, self.z_dim), dtype=next(self.parameters()).dtype)

    def sample_x(self, n) -> Tensor:
        """Draw n times from p(x): (n, x_dim) in {0, 1}."""
        return self.sample_x_given(self.sample_z(n))

    def sample_x_given(self, z) -> Tensor:
        """Draw from p(x | z) for each z: (N, z_dim) -> (N, x_dim) in {0, 1}."""
        return ops.bernoulli(self.compute_sigmoid_given(z))
