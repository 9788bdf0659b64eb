"""What `python -m minigrad.explore` shows of these networks: functions with their inputs."""

from minigrad import Tensor, data, ops
from minigrad.training.checkpoint import latest
from models.gan import NETWORKS, generator_loss_nonsaturating, scaled
from models.subset import pixels
from models.vae import VAE


def vae(run, data_dir):
    """Return the variational autoencoder's bound, and a batch of digits.

    run: a folder with trained weights, or None. data_dir: where the data lie, or None
    """
    vae = _network(run, "model", lambda settings: VAE(settings.get("z", 10)))
    x = Tensor(pixels(data.load("mnist", data_dir).train_images[:100]))
    return lambda x: vae.negative_elbo_bound(ops.bernoulli(x))[0], [x]


def gan(run, data_dir):
    """Return the loss of the GAN's generator, through both networks, and a batch of clothes."""
    g = _network(run, "generator", lambda s: NETWORKS[s.get("arch", "conv")][0]())
    d = _network(run, "discriminator", lambda s: NETWORKS[s.get("arch", "conv")][1]())
    x = Tensor(scaled(data.load("fashion-mnist", data_dir).train_images[:64]))
    return lambda x_real: generator_loss_nonsaturating(g, d, x_real), [x]


def _network(run, name, make):
    """Make a network from a run's settings, with its latest weights of this name, if any."""
    if run is None:
        return make({})
    state, settings = latest(run, name)
    network = make(settings)
    network.load_state_dict(state)
    return network
