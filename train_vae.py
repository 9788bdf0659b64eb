"""Train the variational autoencoder on MNIST by the homework's protocol: `python train_vae.py`."""

from functools import partial

import numpy as np

from minigrad import Tensor, data, no_grad, ops, optim, random
from minigrad.batches import Batches
from minigrad.checkpoint import load, save
from minigrad.console import say, script, warn
from minigrad.distributions import gaussian_parameters
from models.report import save_curves, save_grid, save_scatter
from models.run import Abort, Parser, clean_exit, folder_path, whole
from models.training import Training, add_run_options, open_run, repeat, show
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
    parser.add_option("seed", type=whole(0), help="of the first run (default: its number)")
    parser.add_option("batch_size", type=whole(1), default=100, help="images (%(default)s)")
    parser.add_option("out", type=folder_path, default="runs", help="results go here (%(default)s)")
    add_run_options(parser)
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


def make_training(vae, images, options):
    """The homework's step, with all that it changes. Each image is binarised at every use."""
    adam = optim.Adam(vae.parameters(), lr=options.lr)
    batches = Batches(len(images), options.batch_size)

    def step():
        x = Tensor(random.bernoulli(pixels(images[next(batches)])))
        bounds = vae.negative_elbo_bound(x)
        adam.zero_grad()
        bounds[0].backward()
        adam.step()
        return dict(zip(("nelbo", "kl", "rec"), (v.item() for v in bounds), strict=True))

    return Training(step, model=vae, adam=adam, batches=batches)


def train(training, vae, run, options, subset):
    """The homework's loop, with the subset's bound now and then."""

    def also(iteration):
        if iteration % 1000 and iteration < options.iter_max:
            return {}
        return {"subset_nelbo": evaluate(vae.negative_elbo_bound, [lambda: subset] * 10)["nelbo"]}

    def after(iteration):
        if iteration % options.iter_save == 0 or iteration == options.iter_max:
            save(weights_path(run.folder, iteration), vae.state_dict(), **run.settings)

    training.go_on(
        run, options.iter_max, record=100, save=options.iter_save, also=also, after=after,
        hidden=options.jobs > 1,
    )  # fmt: skip


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
    vae = VAE(options.z)
    training = make_training(vae, images, options)
    place = run_folder(options, number)
    with open_run(options, place, settings, training, options.iter_max) as run:
        with run.under_way():
            train(training, vae, run, options, subset)
        summary = settings | {
            "iterations": options.iter_max,
            "parameters": sum(p.size for p in vae.parameters()),
            "seconds": run.seconds,
            "results": evaluate_all(vae, dataset, subset, iwae=options.train == 2),
        }
        run.save_json("summary.json", summary)
        show(options, summary["results"], "nats")
        draw(vae, run, dataset, subset)
    if options.jobs > 1:
        warn(f"run {number}: {summary['seconds']:.0f} s")
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
    results = evaluate_all(vae, dataset, static_subset(dataset), iwae=False)
    show(options, results, "nats")
    return {"results": results}


def main(arguments=None):
    options = parse(arguments)
    with clean_exit():
        task = train_and_evaluate if options.train else evaluate_saved
        numbers = range(options.run, options.run + options.runs)
        save_as = options.out / f"vae-z{options.z}-summary.json" if options.train else None
        repeat(task, options, numbers, "nats", save_as)
        if options.train:
            say(f"pictures, curves and weights are in {run_folder(options, options.run)}")


if __name__ == "__main__":
    import train_vae  # by its own name, so that joblib's processes find the functions they are sent

    script(train_vae.main)
