"""Train the GAN on Fashion-MNIST by the homework's protocol: `python train_gan.py`."""

from pathlib import Path

import numpy as np

from minigrad import Tensor, data, no_grad, optim, random
from minigrad.batches import Batches
from minigrad.checkpoint import save
from minigrad.console import say, script
from models import gan
from models.report import save_animation, save_curves, save_grid
from models.run import Parser, clean_exit, folder_path, peak_memory, whole
from models.training import Training, add_run_options, open_run, repeat, show

BATCH = 64
UNIT = "pixels in [0, 1]"
PICTURE = 50  # iterations from one to the next


def parse(arguments=None):
    parser = Parser(description=__doc__)
    parser.add_option("arch", choices=gan.NETWORKS, default="conv", help="networks (%(default)s)")
    parser.add_option("loss", choices=gan.HALVES, default="nonsaturating", help="(%(default)s)")
    parser.add_option("epochs", type=whole(1), default=1, help="passes over the data (%(default)s)")
    parser.add_option("iter_max", type=whole(1), help="end after so many steps (default: --epochs)")
    parser.add_option("iter_save", type=whole(1), default=300, help="save every … (%(default)s)")
    parser.add_option("seed", type=whole(0), default=0, help="of the first run (%(default)s)")
    parser.add_option("out", type=folder_path, help="results go here (default: out_LOSS)")
    add_run_options(parser)
    options = parser.parse_args(arguments)
    options.out = options.out or Path(f"out_{options.loss}")
    return options


def run_folder(options, seed):
    return options.out if options.runs == 1 else options.out / f"seed{seed}"


def unit_range(x):
    """Images in [−1, 1], or a little beyond, as (N, 28, 28) in [0, 1]."""
    return np.clip((x[:, 0] + 1) / 2, 0, 1)


def statistics(x):
    """What numbers tell of a set of images (N, 28, 28) in [0, 1], as 8 bits hold them.

    mean and sd of the pixels, the share that is exactly 0, and the mean L2 distance of two images.
    """
    x = np.round(255 * x.reshape(len(x), -1).astype(np.float64)) / 255
    squares = (x * x).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0))
    pairs = len(x) * (len(x) - 1)
    values = x.mean(), x.std(), (x == 0).mean(), distances.sum() / pairs
    return dict(zip(("mean", "sd", "zeros", "distance"), map(float, values), strict=True))


class Gan:
    """Both networks and their optimisers, and 100 latents to look at what G has learnt."""

    def __init__(self, arch, lr):
        self.g, self.d = (network() for network in gan.NETWORKS[arch])
        self.adam_g, self.adam_d = (
            optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.999))
            for network in (self.g, self.d)
        )
        self.z_test = Tensor(random.normal((100, gan.Z_DIM)))

    @no_grad()
    def test_images(self):
        """G(z_test) in evaluation mode: (100, 28, 28) in [0, 1]."""
        self.g.eval()
        x = self.g(self.z_test).numpy()
        self.g.train()
        return unit_range(x)


def train(options, seed):
    """One run from data to pictures; its summary. Called by joblib, in any process."""
    dataset = data.load("fashion-mnist", options.data_dir)
    images = dataset.train_images
    batches = Batches(len(images), BATCH, drop_last=True)
    last = options.iter_max or options.epochs * (len(images) // BATCH)
    random.seed(seed)
    nets = Gan(options.arch, options.lr)

    def step():
        x = gan.scaled(images[next(batches)])
        if training.iteration == 0:
            save_grid(run.folder / "real.png", unit_range(x), 10)
        return gan.train_step(options.loss, nets.g, nets.d, nets.adam_g, nets.adam_d, Tensor(x))

    def after(iteration):
        if iteration % PICTURE == 0:
            save_grid(run.folder / f"fake_{iteration:04d}.png", nets.test_images(), 10)
        if iteration % options.iter_save == 0 or iteration == last:
            for name, network in (("generator", nets.g), ("discriminator", nets.d)):
                path = run.folder / f"{name}-{iteration:05d}.safetensors"
                save(path, network.state_dict(), **run.settings)

    training = Training(
        step, generator=nets.g, discriminator=nets.d, adam_g=nets.adam_g, adam_d=nets.adam_d,
        batches=batches,
    )  # fmt: skip
    settings = {"arch": options.arch, "loss": options.loss, "seed": seed, "lr": options.lr}
    with open_run(options, run_folder(options, seed), settings, training, last) as run:
        with run.under_way():
            hidden = options.jobs > 1
            training.go_on(run, last, record=10, save=options.iter_save, after=after, hidden=hidden)
        summary = settings | {
            "iterations": last,
            "parameters": [sum(p.size for p in n.parameters()) for n in (nets.g, nets.d)],
            "seconds": run.seconds,
            "peak_megabytes": peak_memory(),
            "results": {
                "fake": statistics(nets.test_images()),
                "real": statistics(dataset.test_images[:1000] / 255),
            },
        }
        run.save_json("summary.json", summary)
        show(options, summary["results"], UNIT)
        save_curves(run.folder / "losses.png", run.metrics, {"D": "d_loss", "G": "g_loss"}, "loss")
        fakes = run.folder.glob("fake_[0-9]*.png")
        in_order = sorted(fakes, key=lambda path: (len(path.name), path.name))  # 9950, then 10000
        save_animation(run.folder / "training.gif", in_order)
    return summary


def main(arguments=None):
    options = parse(arguments)
    with clean_exit():
        seeds = range(options.seed, options.seed + options.runs)
        repeat(train, options, seeds, UNIT, options.out / "summary.json")
        say(f"pictures, losses and weights are in {run_folder(options, options.seed)}")


if __name__ == "__main__":
    import train_gan  # by its own name, so that joblib's processes find the functions they are sent

    script(train_gan.main)
