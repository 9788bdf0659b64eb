"""Train the variational autoencoder on MNIST by the homework's protocol: `python train_vae.py`."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from minigrad import Tensor, data, no_grad, ops, optim, random
from minigrad.batches import Batches
from minigrad.checkpoint import load, replacing, save
from minigrad.distributions import gaussian_parameters
from models.report import print_table, save_curves, save_grid, save_scatter, together
from models.run import (
    Abort,
    Interrupted,
    Parser,
    Run,
    checkpoint_path,
    clean_exit,
    positive,
    whole,
)
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
    parser.add_option(
        "train", type=int, choices=(0, 1, 2), default=1,
        help="0: evaluate saved weights; 1: train; 2: train, then the IWAE bounds (%(default)s)",
    )  # fmt: skip
    parser.add_option("z", type=whole(1), default=10, help="latent dimensions (%(default)s)")
    parser.add_option("iter_max", type=whole(1), default=20_000, help="iterations (%(default)s)")
    parser.add_option("iter_save", type=whole(1), default=10_000, help="save every … (%(default)s)")
    parser.add_option("run", type=whole(0), default=0, help="the first run's number (%(default)s)")
    parser.add_option("runs", type=whole(1), default=1, help="how many runs (%(default)s)")
    parser.add_option("jobs", type=whole(1), default=1, help="runs side by side (%(default)s)")
    parser.add_option("seed", type=whole(0), help="of the first run (default: its number)")
    parser.add_option("lr", type=positive, default=1e-3, help="Adam's step size (%(default)s)")
    parser.add_option("batch_size", type=whole(1), default=100, help="images (%(default)s)")
    parser.add_option("out", type=Path, default=Path("runs"), help="results go here (%(default)s)")
    parser.add_option("data_dir", type=Path, help="where MNIST lies (default: found or fetched)")
    parser.add_option("resume", action="store_true", help="go on from the run's last checkpoint")
    options = parser.parse_args(arguments)
    if options.resume and options.train == 0:
        parser.error("--resume goes with training; --train 0 loads the weights that it saved")
    return options


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
def evaluate(bound, batches):
    """Means of a bound (nelbo, kl, rec) over batches of one size, with draws of their own seed."""
    with random.fork(0):
        bounds = [[float(v) for v in bound(Tensor(x()))] for x in batches]
    return dict(zip(("nelbo", "kl", "rec"), np.mean(bounds, axis=0).tolist(), strict=True))


def evaluate_all(vae, dataset, subset, iwae):
    """{what: {"nelbo": …, "kl": …, "rec": …}} on the static subset and on the full test set."""
    grey = pixels(dataset.test_images).reshape(10, 1000, -1)
    results = {
        "static subset": evaluate(vae.negative_elbo_bound, [lambda: subset] * 100),
        "full test set": evaluate(
            vae.negative_elbo_bound, [lambda x=x: random.bernoulli(x) for x in grey]
        ),
    }
    for m in (1, 10, 100, 1000) if iwae else ():
        parts = [lambda x=x: x for x in subset.reshape(10, 10, -1)] * max(100 // m, 1)
        bound = partial(vae.negative_iwae_bound, iw=m)
        results[f"subset, IWAE-{m}"] = evaluate(bound, parts)
    return results


class Training:
    """What a checkpoint holds: the model, Adam, the place in the epoch, the random numbers."""

    def __init__(self, vae, images, options):
        self.vae = vae
        self.adam = optim.Adam(vae.parameters(), lr=options.lr)
        self.batches = Batches(len(images), options.batch_size)
        self.iteration = 0
        self.recent: list[list[float]] = []  # the bounds since the last line of metrics

    def state(self):
        parts = {
            "model": self.vae.state_dict(),
            "adam": self.adam.state_dict(),
            "batches": self.batches.state_dict(),
            "random": random.get_state(),
            "recent": {"bounds": np.array(self.recent).reshape(-1, 3)},
        }
        return {f"{part}.{k}": array for part, state in parts.items() for k, array in state.items()}

    def restore(self, run):
        """Go on from the run's checkpoint. Raises Abort if that is of another architecture."""
        parts: dict[str, dict[str, np.ndarray]] = {}
        for name, array in run.state.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = array
        try:
            self.vae.load_state_dict(parts["model"])
            self.adam.load_state_dict(parts["adam"])
        except ValueError as error:
            raise Abort(f"{run.checkpoint} is of another model: {error}") from None
        self.batches.load_state_dict(parts["batches"])
        random.set_state(parts["random"])
        self.recent = parts["recent"]["bounds"].tolist()
        self.iteration = run.iteration


def train(training, images, run, options, subset):
    """The homework's loop. Each image is binarised afresh every time it is used."""
    vae, adam, batches = training.vae, training.adam, training.batches
    steps = range(training.iteration + 1, options.iter_max + 1)
    bar = tqdm(
        steps, unit="it", mininterval=0.5, initial=training.iteration, total=options.iter_max,
        disable=options.jobs > 1,
    )  # fmt: skip
    for iteration in bar:
        x = Tensor(random.bernoulli(pixels(images[next(batches)])))
        bounds = vae.negative_elbo_bound(x)
        adam.zero_grad()
        bounds[0].backward()
        adam.step()
        training.iteration = iteration
        training.recent.append([v.item() for v in bounds])
        last = iteration == options.iter_max
        if iteration % 100 == 0 or last:
            nelbo, kl, rec = np.mean(training.recent, axis=0)
            line = {"iteration": iteration, "nelbo": nelbo, "kl": kl, "rec": rec}
            if iteration % 1000 == 0 or last:
                ten = evaluate(vae.negative_elbo_bound, [lambda: subset] * 10)
                line["subset_nelbo"] = ten["nelbo"]
            run.record(**line)
            training.recent.clear()
            bar.set_postfix_str(f"nelbo {nelbo:.2f}  kl {kl:.2f}  rec {rec:.2f}")
        if iteration % options.iter_save == 0 or last:
            save(weights_path(run.folder, iteration), vae.state_dict(), **run.settings)
        if iteration % options.iter_save == 0 or last or run.signal:
            run.save_checkpoint(training.state(), iteration)
        if run.signal:
            bar.close()
            raise Interrupted(run.signal, run.folder)


def weights_path(folder, iteration):
    return folder / f"model-{iteration:05d}.safetensors"


def draw(vae, run, dataset, subset):
    """The pictures: 10 × 20 digits from p(x), their means, reconstructions, what latents mean."""
    with random.fork(0), no_grad():
        z = vae.sample_z(200)
        means = vae.compute_sigmoid_given(z)
        save_grid(run.folder / "samples.png", random.bernoulli(means).reshape(-1, 28, 28), 20)
        save_grid(run.folder / "samples_mean.png", means.reshape(-1, 28, 28).numpy(), 20)
        m, v = gaussian_parameters(vae.encoder(Tensor(subset)))
        rebuilt = vae.compute_sigmoid_given(m).numpy()
        # Each row walks along one latent from −3 to 3, the others at 0; those with most KL first.
        kl = (m * m + ops.itakura_saito(v, 1)).mean(axis=0).numpy()
        walks = np.zeros((min(vae.z_dim, 10), 20, vae.z_dim), np.float32)
        for row, latent in zip(walks, np.argsort(-kl), strict=False):
            row[:, latent] = np.linspace(-3, 3, 20)
        walked = vae.compute_sigmoid_given(Tensor(walks.reshape(-1, vae.z_dim)))
        save_grid(run.folder / "traversal.png", walked.reshape(-1, 28, 28).numpy(), 20)
        if vae.z_dim == 2:
            m, _ = gaussian_parameters(vae.encoder(Tensor(pixels(dataset.test_images))))
            save_scatter(run.folder / "latent.png", m.numpy(), dataset.test_labels)
    pairs = np.stack([subset, rebuilt], axis=1).reshape(-1, 28, 28)  # each beside its original
    save_grid(run.folder / "reconstructions.png", pairs, 20)
    curves = {"training −ELBO": "nelbo", "KL": "kl", "reconstruction": "rec"}
    curves["static subset −ELBO"] = "subset_nelbo"
    save_curves(run.folder / "curves.png", run.metrics, curves)


def run_folder(options, number):
    return options.out / f"vae-z{options.z}-run{number}"


def train_and_evaluate(options, number):
    """Run `number` from data to pictures; its summary. Called by joblib, in any process."""
    dataset = data.load("mnist", options.data_dir)
    subset, images = static_subset(dataset), dataset.train_images
    seed = number if options.seed is None else options.seed + number - options.run
    settings = {"z": options.z, "seed": seed, "lr": options.lr, "batch_size": options.batch_size}
    if options.batch_size > len(images):
        raise Abort(f"--batch_size {options.batch_size}: it must be from 1 to {len(images)}")
    random.seed(seed)
    training = Training(VAE(options.z), images, options)
    folder = run_folder(options, number)
    # Of several runs, those that were not reached before start now.
    resume = options.resume and (options.runs == 1 or checkpoint_path(folder).exists())
    run = Run(folder, settings, resume)
    if resume:
        training.restore(run)
    if training.iteration > options.iter_max:
        raise Abort(
            f"--iter_max {options.iter_max}: {folder} is at iteration {training.iteration} already"
        )
    with run.under_way():
        train(training, images, run, options, subset)
    summary = settings | {
        "iterations": options.iter_max,
        "parameters": sum(p.size for p in training.vae.parameters()),
        "seconds": run.seconds,
        "results": evaluate_all(training.vae, dataset, subset, iwae=options.train == 2),
    }
    run.save_json("summary.json", summary)
    draw(training.vae, run, dataset, subset)
    if options.jobs > 1:
        print(f"run {number}: {summary['seconds']:.0f} s", file=sys.stderr)
    return summary


def evaluate_saved(options, number):
    """The summary's results for weights that an earlier run saved. Writes nothing."""
    dataset = data.load("mnist", options.data_dir)
    path = weights_path(run_folder(options, number), options.iter_max)
    state, _ = load(path)
    vae = VAE(options.z)
    try:
        vae.load_state_dict(state)
    except ValueError as error:
        raise Abort(f"{path} is of another model than --z {options.z}: {error}") from None
    return {"results": evaluate_all(vae, dataset, static_subset(dataset), iwae=False)}


def main(arguments=None):
    options = parse(arguments)
    with clean_exit():
        if options.jobs > 1:  # each process shall have its share of the cores, and no more
            share = max(1, (os.cpu_count() or 1) // options.jobs)
            os.environ.setdefault("NUMBA_NUM_THREADS", str(share))
        numbers = range(options.run, options.run + options.runs)
        task = delayed(evaluate_saved if options.train == 0 else train_and_evaluate)
        summaries = Parallel(n_jobs=options.jobs)(task(options, number) for number in numbers)
        table = together([summary["results"] for summary in summaries])
        if options.train and options.runs > 1:
            path = options.out / f"vae-z{options.z}-summary.json"
            with replacing(path) as temporary:
                content = {"runs": summaries, "together": table}
                temporary.write_text(json.dumps(content, indent=2) + "\n")
        print_table(table)
        if options.train:
            print(f"pictures, curves and weights are in {run_folder(options, numbers[0])}")


if __name__ == "__main__":
    import train_vae  # by its own name, so that joblib's processes find the functions they are sent

    sys.exit(train_vae.main())
