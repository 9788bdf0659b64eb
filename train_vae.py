"""Train the variational autoencoder on MNIST by the homework's protocol: `python train_vae.py`."""

import sys
from pathlib import Path

from minigrad import compile, data, ops, optim, random, training
from minigrad.console import say, script, warn

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH keeps this folder out
from models import FILES
from models.evaluation import evaluate_all, evaluate_subset
from models.pictures import draw_vae
from models.subset import pixels, static_subset
from models.vae import VAE


def make_step(vae, adam):
    """Return the function that trains on a batch."""

    def step(images):
        """Update the VAE from images (N, 28, 28) of bytes. Returns the bounds before the update."""
        nelbo, kl, rec = vae.negative_elbo_bound(ops.bernoulli(pixels(images)))
        adam.zero_grad()
        nelbo.backward()
        adam.step()
        return {"nelbo": nelbo, "kl": kl, "rec": rec}

    return step


def train(options, number):
    """Do run `number`, from data to pictures. Returns its summary."""
    dataset = data.load("mnist", options.data_dir)
    subset, images, size = static_subset(dataset), dataset.train_images, options.batch_size
    if size > len(images):
        raise training.Abort(f"--batch_size {size}: it must be from 1 to {len(images)}")
    seed = number if options.seed is None else options.seed + number - options.run
    settings = {"z": options.z, "seed": seed, "lr": options.lr, "batch_size": size}
    random.seed(seed)
    vae = VAE(options.z)
    adam = optim.Adam(vae.parameters(), lr=options.lr)
    batches = training.Batches(len(images), size)
    step = make_step(vae, adam) if options.eager else compile(make_step(vae, adam))
    parts = {"model": vae, "adam": adam, "batches": batches}
    folder, last, save_every = run_folder(options, number), options.iter_max, options.iter_save
    resume = training.resumes(options, folder)
    with training.Run(folder, settings, resume=resume, files=FILES, **parts) as run:
        for iteration in run.steps(last, checkpoint=save_every, progress=options.jobs == 1):
            iteration.log(**step(images.take(next(batches), axis=0)))
            if iteration.every(1000) or iteration.last:
                iteration.log(subset_nelbo=evaluate_subset(vae, subset, 10)["nelbo"])
            if iteration.every(save_every) or iteration.last:  # weights, beside the checkpoint
                path = folder / f"model-{iteration:05d}.safetensors"
                training.save(path, vae.state_dict(), **settings)
        summary = run.save_summary(
            parameters=sum(p.size for p in vae.parameters()),
            results=evaluate_all(vae, dataset, subset, iwae=options.train == 2),
        )
        training.show(options, summary["results"], "nats")
        draw_vae(vae, folder, dataset, subset, run.metrics)
    if options.jobs > 1:
        warn(f"run {number}: {summary['seconds']:.0f} s")
    return summary


def evaluate_saved(options, number):
    """Evaluate the weights that an earlier run saved, and write nothing. Returns the results."""
    dataset, vae = data.load("mnist", options.data_dir), VAE(options.z)
    path = run_folder(options, number) / f"model-{options.iter_max:05d}.safetensors"
    state, _ = training.load(path)
    try:
        vae.load_state_dict(state)
    except ValueError as error:
        raise training.Abort(f"{path} is of another model than --z {options.z}: {error}") from None
    results = evaluate_all(vae, dataset, static_subset(dataset), iwae=False)
    training.show(options, results, "nats")
    return {"results": results}


def run_folder(options, number):
    """Return the folder of the run with this number."""
    return options.out / f"vae-z{options.z}-run{number}"


def parse(arguments=None):
    parser = training.Parser(description=__doc__)
    add, at_least = parser.add_option, training.at_least
    what = "0: evaluate saved weights; 1: train; 2: train, then the IWAE bounds (%(default)s)"
    add("train", type=int, choices=(0, 1, 2), default=1, help=what)
    add("z", type=at_least(1), default=10, help="latent dimensions (%(default)s)")
    add("iter_max", type=at_least(1), default=20_000, help="iterations (%(default)s)")
    add("iter_save", type=at_least(1), default=10_000, help="steps per checkpoint (%(default)s)")
    add("run", type=at_least(0), default=0, help="the first run's number (%(default)s)")
    add("seed", type=at_least(0), help="of the first run (default: its number)")
    add("batch_size", type=at_least(1), default=100, help="images (%(default)s)")
    add("out", type=training.folder_path, default="runs", help="results go here (%(default)s)")
    parser.add_run_options()
    options = parser.parse_args(arguments)
    if options.resume and options.train == 0:
        parser.error("--resume goes with training; --train 0 loads the weights that it saved")
    return options


def main(arguments=None):
    """Run the command line."""
    options = parse(arguments)
    with training.clean_exit():
        task = train if options.train else evaluate_saved
        numbers = range(options.run, options.run + options.runs)
        save_as = options.out / f"vae-z{options.z}-summary.json" if options.train else None
        training.repeat(task, options, numbers, "nats", save_as)
        if options.train:
            say(f"pictures, curves and weights are in {run_folder(options, options.run)}")


if __name__ == "__main__":
    import train_vae  # by its own name, so that joblib's processes find the functions they are sent

    script(train_vae.main)
