"""The homework's generative adversarial networks (Goodfellow et al. 2014) for 28 × 28 images.

G maps latents z ~ N(0, I) to images, and D maps images to logits h. The larger h, the more an image
looks real to D: σ(h) is D's probability that it is real. Images are in [−1, 1].
"""

import numpy as np

from minigrad import Tensor, grad, nn, no_grad, ops

Z_DIM = 64


def conv_generator(nn=nn):
    """Make G, z (N, 64) -> x (N, 1, 28, 28), with 1,654,121 parameters.

    As in the homework, there is no tanh at the end.
    """
    return nn.Sequential(
        nn.Linear(Z_DIM, 512), nn.BatchNorm1d(512), nn.ReLU(),
        nn.Linear(512, 64 * 7 * 7), nn.BatchNorm1d(64 * 7 * 7), nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.PixelShuffle(2), nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.PixelShuffle(2), nn.Conv2d(8, 1, 3, padding=1),
    )  # fmt: skip


def conv_discriminator(nn=nn):
    """Make D, x (N, 1, 28, 28) -> h (N, 1), with 1,640,033 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512), nn.LeakyReLU(0.1),
        nn.Linear(512, 1),
    )  # fmt: skip


def mlp_generator(nn=nn):
    """Make a G of linear layers, z (N, 64) -> x (N, 1, 28, 28) in [−1, 1]."""
    return nn.Sequential(
        nn.Linear(Z_DIM, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU(),
        nn.Linear(512, 784), nn.Tanh(),
        nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip


def mlp_discriminator(nn=nn):
    """Make a D of linear layers, x (N, 1, 28, 28) -> h (N, 1)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512), nn.LeakyReLU(0.2),
        nn.Linear(512, 256), nn.LeakyReLU(0.2),
        nn.Linear(256, 1),
    )  # fmt: skip


NETWORKS = {  # functions of `nn`, which may be PyTorch's
    "conv": (conv_generator, conv_discriminator),
    "mlp": (mlp_generator, mlp_discriminator),
}


# Each loss has two halves, functions of (g, d, x_real). A training step calls D's half, updates D,
# and only then calls G's half, with fresh latents, so that G learns from the updated D.


def fake_images(g, x_real):
    """Return as many images of G as there are real ones, from fresh latents.

    In training BatchNorm's statistics move, even where no gradient is wanted.
    """
    return g(ops.randn(shape=(len(x_real), Z_DIM), dtype=x_real.dtype))


def logits(d, x_real, x_fake):
    """Return (h_real, h_fake) from one pass: D has no BatchNorm, and sees each image by itself."""
    return ops.split(d(ops.concatenate([x_real, x_fake])), len(x_real))


def discriminator_loss(g, d, x_real) -> Tensor:
    """L_D = −⟨log σ(h_real)⟩ − ⟨log(1 − σ(h_fake))⟩, with log(1 − σ(h)) = log σ(−h).

    No gradient goes to G. The loss is computed from logits, because in float32 log(1 − sigmoid(h))
    is −∞ from h ≈ 16.6 on.
    """
    with no_grad():
        x_fake = fake_images(g, x_real)
    h_real, h_fake = logits(d, x_real, x_fake)
    return -ops.logsigmoid(h_real).mean() - ops.logsigmoid(-h_fake).mean()


def generator_loss_nonsaturating(g, d, x_real) -> Tensor:
    """L_G = −⟨log σ(h_fake)⟩. Its slope in h is steepest, −1, where D is sure that x is fake."""
    return -ops.logsigmoid(d(fake_images(g, x_real))).mean()


def generator_loss_minimax(g, d, x_real) -> Tensor:
    """L_G = ⟨log(1 − σ(h_fake))⟩, which is −L_D without the term that G has no influence on.

    docs/vanishing_gradient.md shows what is wrong with it.
    """
    return ops.logsigmoid(-d(fake_images(g, x_real))).mean()


def critic_loss(g, d, x_real, penalty=10) -> Tensor:
    """L_D = ⟨h_fake⟩ − ⟨h_real⟩ + penalty ⟨(‖∂h/∂x‖ − 1)²⟩ at x = α x_real + (1 − α) x_fake, α ~ U.

    This is eq. 3 of Gulrajani et al. 2017. The mean difference of h is Wasserstein's distance if h
    has slope 1 between real and fake images. The penalty is a function of a gradient, and is
    differentiated again.
    """
    with no_grad():
        x_fake = fake_images(g, x_real)
        share = ops.rand(shape=(len(x_real), *(1,) * (x_real.ndim - 1)), dtype=x_real.dtype)
        x = share * x_real + (1 - share) * x_fake
    x.requires_grad = True
    (slope,) = grad(d(x).sum(), x, create_graph=True)
    squares = ops.sum(ops.multiply(slope, slope), axis=tuple(range(1, x.ndim)))
    excess = ops.sqrt(squares + 1e-12) - 1  # 1e-12 keeps √'s slope finite for a constant D
    h_real, h_fake = logits(d, x_real, x_fake)
    return h_fake.mean() - h_real.mean() + penalty * (excess * excess).mean()


def generator_loss_wasserstein(g, d, x_real) -> Tensor:
    """L_G = −⟨h_fake⟩."""
    return -d(fake_images(g, x_real)).mean()


LOSSES = {
    "nonsaturating": (discriminator_loss, generator_loss_nonsaturating),
    "minimax": (discriminator_loss, generator_loss_minimax),
    "wasserstein_gp": (critic_loss, generator_loss_wasserstein),
}


def loss_nonsaturating(g, d, x_real) -> tuple[Tensor, Tensor]:
    """Return (d_loss, g_loss) of Goodfellow et al. 2014, section 3, with the loss they gave G."""
    return discriminator_loss(g, d, x_real), generator_loss_nonsaturating(g, d, x_real)


def loss_minimax(g, d, x_real) -> tuple[Tensor, Tensor]:
    """Return (d_loss, g_loss) of the two-player game, Goodfellow et al. 2014, eq. 1."""
    return discriminator_loss(g, d, x_real), generator_loss_minimax(g, d, x_real)


def loss_wasserstein_gp(g, d, x_real) -> tuple[Tensor, Tensor]:
    """Return (d_loss, g_loss) of Gulrajani et al. 2017, algorithm 1, with one D step per G step."""
    return critic_loss(g, d, x_real), generator_loss_wasserstein(g, d, x_real)


def scaled(images):
    """Scale images (N, 28, 28) uint8 -> (N, 1, 28, 28) float32 in [−1, 1]: an array or a Tensor."""
    return images[:, None] / np.float32(127.5) - 1
