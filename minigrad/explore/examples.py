"""The functions that `python -m minigrad.explore` shows: each makes a loss, and its inputs.

`vae` and `gan` need a clone's models/, and data. folder: of a run with trained weights, or None
"""

import sys
from pathlib import Path

import minigrad as mg
from minigrad import Tensor, data, nn, ops, random
from minigrad.training.checkpoint import CheckpointError, load


def square(folder, data_dir):
    """Make x x + x at x = 3, the example of core/__init__.py."""

    def square(x):
        return x * x + x

    return square, [3.0]


def xor(folder, data_dir):
    """Make a network of two layers, and how far it is from exclusive or."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

    def xor(x, wanted):
        error = net(x) - wanted
        return (error * error).mean()

    x = Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return xor, [x, Tensor([[0.0], [1.0], [1.0], [0.0]])]


def vae(folder, data_dir):
    """Make the variational autoencoder's bound for a batch of digits."""
    from models.subset import pixels
    from models.vae import VAE

    vae = _network(folder, "model", lambda settings: VAE(settings.get("z", 10)))

    def negative_elbo(x):
        return vae.negative_elbo_bound(ops.bernoulli(x))[0]

    return negative_elbo, [Tensor(pixels(data.load("mnist", data_dir).train_images[:100]))]


def gan(folder, data_dir):
    """Make the loss of the GAN's generator, through both networks."""
    from models.gan import NETWORKS, generator_loss_nonsaturating, scaled

    g = _network(folder, "generator", lambda s: NETWORKS[s.get("arch", "conv")][0]())
    d = _network(folder, "discriminator", lambda s: NETWORKS[s.get("arch", "conv")][1]())

    def generator_loss(x_real):
        return generator_loss_nonsaturating(g, d, x_real)

    return generator_loss, [Tensor(scaled(data.load("fashion-mnist", data_dir).train_images[:64]))]


EXAMPLES = {"square": square, "xor": xor, "vae": vae, "gan": gan}


def made(name, folder=None, data_dir=None):
    """Return the example's function and its inputs; weights of another network: ValueError."""
    if name in ("vae", "gan"):
        clone = Path(mg.__file__).resolve().parent.parent
        if not (clone / "models" / "vae.py").is_file():
            raise ModuleNotFoundError(
                f"{name}: its networks are in models/, which only a clone of the repository has, "
                "and the installed package has not; run this in a clone, or choose square or xor"
            )
        sys.path.insert(0, str(clone))
    elif folder is not None:
        raise CheckpointError(f"{folder}: {name} has no trained weights; leave the folder out")
    with random.fork(0):
        return EXAMPLES[name](folder, data_dir)


def _network(folder, name, make):
    """Make a network from a run's settings, with its latest weights of this name, if any."""
    if folder is None:
        return make({})
    found = sorted(Path(folder).glob(f"{name}-*.safetensors"))
    if not found:
        raise CheckpointError(f"{folder}: there is no {name}-….safetensors in this folder")
    state, settings = load(found[-1])
    network = make(settings)
    network.load_state_dict(state)
    return network
