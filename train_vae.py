"""Train the variational autoencoder on MNIST by the homework's protocol: `python train_vae.py`."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigrad import Tensor, data, no_grad, optim, random
from minigrad.batches import Batches
from minigrad.checkpoint import save_weights
from models.run import Abort, Parser, Run, clean_exit, positive, whole
from models.vae import VAE

# The homework's test subset: for each digit, which of its test images, counted in file order.
SUBSET = (
    (684, 559, 629, 192, 835, 763, 707, 359, 9, 723),
    (277, 599, 1094, 600, 314, 705, 551, 87, 174, 849),
    (537, 845, 72, 777, 115, 976, 755, 448, 850, 99),
    (984, 177, 755, 797, 659, 147, 910, 423, 288, 961),
    (265, 697, 639, 544, 543, 714, 244, 151, 675, 510),
    (459, 882, 183, 28, 802, 128, 128, 53, 550, 488),
    (756, 273, 335, 388, 617, 42, 442, 543, 888, 257),
    (57, 291, 779, 430, 91, 398, 611, 908, 633, 84),
    (203, 324, 774, 964, 47, 639, 131, 972, 868, 180),
    (1000, 846, 143, 660, 227, 954, 791, 719, 909, 373),
)
SUBSET_PIXELS_ON = 10_257


def parse(arguments=None):
    parser = Parser(description=__doc__)
    parser.add_option("z", type=whole(1), default=10, help="latent dimensions (%(default)s)")
    parser.add_option("iter_max", type=whole(1), default=20_000, help="iterations (%(default)s)")
    parser.add_option("iter_save", type=whole(1), default=10_000, help="save every … (%(default)s)")
    parser.add_option("run", type=whole(0), default=0, help="the run's number (%(default)s)")
    parser.add_option("seed", type=whole(0), help="of all randomness (default: the run's number)")
    parser.add_option("lr", type=positive, default=1e-3, help="Adam's step size (%(default)s)")
    parser.add_option("batch_size", type=whole(1), default=100, help="images (%(default)s)")
    parser.add_option("out", type=Path, default=Path("runs"), help="results go here (%(default)s)")
    parser.add_option("data_dir", type=Path, help="where MNIST lies (default: found or fetched)")
    return parser.parse_args(arguments)


def pixels(images):
    """Images (N, 28, 28) uint8 -> (N, 784) float32 in [0, 1]."""
    return images.reshape(len(images), -1) / np.float32(255)


def static_subset(dataset):
    """The test subset, binarised once and for all: (100, 784), digit 0's ten rows first."""
    rows = [np.flatnonzero(dataset.test_labels == d)[list(SUBSET[d])] for d in range(10)]
    x = np.random.RandomState(0).binomial(1, pixels(dataset.test_images[np.concatenate(rows)]))
    if x.sum() != SUBSET_PIXELS_ON:
        raise RuntimeError(f"the static subset has {x.sum()} pixels on, not {SUBSET_PIXELS_ON}")
    return x.astype(np.float32)


@no_grad()
def evaluate(vae, batches):
    """Means of negative_elbo_bound over batches of one size, with draws of their own seed."""
    with random.fork(0):
        bounds = [[float(v) for v in vae.negative_elbo_bound(Tensor(x()))] for x in batches]
    return dict(zip(("nelbo", "kl", "rec"), np.mean(bounds, axis=0).tolist(), strict=True))


def train(vae, images, run, options, subset):
    """The homework's loop. Each image is binarised afresh every time it is used."""
    adam = optim.Adam(vae.parameters(), lr=options.lr)
    batches = Batches(len(images), options.batch_size)
    recent = []
    bar = tqdm(range(1, options.iter_max + 1), unit="it", mininterval=0.5)
    for iteration in bar:
        x = Tensor(random.bernoulli(pixels(images[next(batches)])))
        bounds = vae.negative_elbo_bound(x)
        adam.zero_grad()
        bounds[0].backward()
        adam.step()
        recent.append([v.item() for v in bounds])
        last = iteration == options.iter_max
        if iteration % 100 == 0 or last:
            nelbo, kl, rec = np.mean(recent, axis=0)
            line = {"iteration": iteration, "nelbo": nelbo, "kl": kl, "rec": rec}
            if iteration % 1000 == 0 or last:
                line["subset_nelbo"] = evaluate(vae, [lambda: subset] * 10)["nelbo"]
            run.record(**line)
            recent.clear()
            bar.set_postfix_str(f"nelbo {nelbo:.2f}  kl {kl:.2f}  rec {rec:.2f}")
        if iteration % options.iter_save == 0 or last:
            save_weights(run.folder / f"model-{iteration:05d}.safetensors", vae.state_dict())


def draw(vae, run, subset):
    """The pictures: 10 × 20 digits from p(x), their means, the curves, some reconstructions."""
    with random.fork(0), no_grad():
        z = vae.sample_z(200)
        means = vae.compute_sigmoid_given(z)
        run.save_grid("samples.png", random.bernoulli(means).reshape(-1, 28, 28), 20)
        run.save_grid("samples_mean.png", means.reshape(-1, 28, 28).numpy(), 20)
        m = vae.encoder(Tensor(subset))[:, : vae.z_dim]
        rebuilt = vae.compute_sigmoid_given(m).numpy()
    pairs = np.stack([subset, rebuilt]).reshape(2, 10, 10, 28, 28)
    run.save_grid("reconstructions.png", pairs.transpose(1, 2, 0, 3, 4).reshape(-1, 28, 28), 20)
    curves = {"training −ELBO": "nelbo", "KL": "kl", "reconstruction": "rec"}
    run.save_curves("curves.png", curves | {"static subset −ELBO": "subset_nelbo"})


def main(arguments=None):
    options = parse(arguments)
    with clean_exit():
        dataset = data.load("mnist", options.data_dir)
        subset = static_subset(dataset)
        seed = options.run if options.seed is None else options.seed
        random.seed(seed)
        vae = VAE(options.z)
        if options.batch_size > len(dataset.train_images):
            raise Abort(
                f"--batch_size {options.batch_size}: it must be from 1 to "
                f"{len(dataset.train_images)}, all the training images"
            )
        run = Run(options.out / f"vae-z{options.z}-run{options.run}")
        train(vae, dataset.train_images, run, options, subset)
        grey = pixels(dataset.test_images).reshape(10, 1000, -1)
        results = {
            "static subset": evaluate(vae, [lambda: subset] * 100),
            "full test set": evaluate(vae, [lambda x=x: random.bernoulli(x) for x in grey]),
        }
        settings = {"z": options.z, "iterations": options.iter_max, "seed": seed}
        settings |= {"lr": options.lr, "batch_size": options.batch_size}
        settings["parameters"] = sum(p.size for p in vae.parameters())
        run.save_json("summary.json", settings | {"seconds": run.seconds} | results)
        draw(vae, run, subset)
        print(f"{'nats':15}{'NELBO':>9}{'KL':>9}{'rec':>9}")
        for name, row in results.items():
            print(f"{name:15}{row['nelbo']:9.2f}{row['kl']:9.2f}{row['rec']:9.2f}")
        print(f"pictures, curves and weights are in {run.folder}")


if __name__ == "__main__":
    sys.exit(main())
