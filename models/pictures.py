"""These functions draw what the models have learnt."""

import numpy as np

from minigrad import Tensor, no_grad, ops, random
from minigrad.distributions import gaussian_parameters
from minigrad.training.report import save_animation, save_curves, save_grid, save_scatter
from models.subset import pixels


def draw_vae(vae, folder, dataset, subset, metrics) -> None:
    """Draw 10 × 20 digits from p(x), their means, reconstructions, walks in z, and curves."""
    with random.fork(0), no_grad():
        z = vae.sample_z(200)
        means = vae.compute_sigmoid_given(z)
        save_grid(folder / "samples.png", random.bernoulli(means).reshape(-1, 28, 28), 20)
        save_grid(folder / "samples_mean.png", means.reshape(-1, 28, 28).numpy(), 20)
        m, v = gaussian_parameters(vae.encoder(Tensor(subset)))
        rebuilt = vae.compute_sigmoid_given(m).numpy()
        # Each row walks along one latent from −3 to 3, with the others at 0, by decreasing KL.
        kl = (m * m + ops.itakura_saito(v, 1)).mean(axis=0).numpy()
        walks = np.zeros((min(vae.z_dim, 10), 20, vae.z_dim), np.float32)
        for row, latent in zip(walks, np.argsort(-kl), strict=False):
            row[:, latent] = np.linspace(-3, 3, 20)
        walked = vae.compute_sigmoid_given(Tensor(walks.reshape(-1, vae.z_dim)))
        save_grid(folder / "traversal.png", walked.reshape(-1, 28, 28).numpy(), 20)
        if vae.z_dim == 2:
            m, _ = gaussian_parameters(vae.encoder(Tensor(pixels(dataset.test_images))))
            save_scatter(folder / "latent.png", m.numpy(), dataset.test_labels)
    # Each image is followed by its reconstruction.
    pairs = np.stack([subset, rebuilt], axis=1).reshape(-1, 28, 28)
    save_grid(folder / "reconstructions.png", pairs, 20)
    curves = {"training −ELBO": "nelbo", "KL": "kl", "reconstruction": "rec"}
    curves["static subset −ELBO"] = "subset_nelbo"
    save_curves(folder / "curves.png", metrics, curves)


def draw_gan(folder, metrics) -> None:
    """Draw the losses, and an animation of the run's pictures of fake images."""
    save_curves(folder / "losses.png", metrics, {"D": "d_loss", "G": "g_loss"}, "loss")
    fakes = folder.glob("fake_[0-9]*[0-9].png")
    in_order = sorted(fakes, key=lambda path: (len(path.name), path.name))  # 9950 before 10000
    save_animation(folder / "training.gif", in_order)


def unit_range(x) -> np.ndarray:
    """Convert images in [−1, 1], or a little beyond, to (N, 28, 28) in [0, 1]."""
    return np.clip((x[:, 0] + 1) / 2, 0, 1)


@no_grad()
def generated(g, z) -> np.ndarray:
    """Return G's images of z in evaluation mode: (N, 28, 28) in [0, 1]."""
    mode = g.training
    g.eval()
    x = g(z).numpy()
    g.train(mode)
    return unit_range(x)
