"""Train the GAN on Fashion-MNIST by the homework's protocol: `python train_gan.py`."""

import sys
from pathlib import Path

from minigrad import Tensor, compile, data, optim, random, training
from minigrad.console import say, script

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH keeps this folder out
from models import FILES, gan
from models.evaluation import statistics
from models.pictures import draw_gan, generated, unit_range

BATCH = 64
UNIT = "pixels in [0, 1]"


def make_step(loss, g, d, adam_g, adam_d):
    """Return the function that trains on a batch. loss: a name in gan.LOSSES"""
    loss_of_d, loss_of_g = gan.LOSSES[loss]

    def step(images):
        """Update D from images (64, 28, 28) of bytes, then G from that D. Returns the losses."""
        x_real = gan.scaled(images)
        d_loss = loss_of_d(g, d, x_real)
        adam_d.zero_grad()
        d_loss.backward(inputs=adam_d.params)
        adam_d.step()
        g_loss = loss_of_g(g, d, x_real)
        adam_g.zero_grad()
        g_loss.backward(inputs=adam_g.params)
        adam_g.step()
        return {"d_loss": d_loss, "g_loss": g_loss}

    return step


def make_networks(arch, lr):
    """Return G, D, and an Adam for each."""
    g, d = (network() for network in gan.NETWORKS[arch])
    adams = (optim.Adam(n.parameters(), lr=lr, betas=(0.5, 0.999)) for n in (g, d))
    return g, d, *adams


def train(options, seed):
    """Do one run, from data to pictures. Returns its summary."""
    dataset = data.load("fashion-mnist", options.data_dir)
    images = dataset.train_images
    batches = training.Batches(len(images), BATCH, drop_last=True)
    last = options.iter_max or options.epochs * (len(images) // BATCH)
    random.seed(seed)
    g, d, adam_g, adam_d = make_networks(options.arch, options.lr)
    z_test = Tensor(random.normal((100, gan.Z_DIM)))  # for the pictures of what G has learnt
    step = make_step(options.loss, g, d, adam_g, adam_d)
    step = step if options.eager else compile(step)
    settings = {"arch": options.arch, "loss": options.loss, "seed": seed, "lr": options.lr}
    parts = {"adam_g": adam_g, "adam_d": adam_d, "batches": batches}
    parts |= {"generator": g, "discriminator": d}
    folder, save_every, bar = run_folder(options, seed), options.iter_save, options.jobs == 1
    resume = training.resumes(options, folder)
    with training.Run(folder, settings, resume=resume, files=FILES, **parts) as run:
        for iteration in run.steps(last, record=10, checkpoint=save_every, progress=bar):
            batch = images.take(next(batches), axis=0)
            iteration.log(**step(batch))
            if iteration == 1:
                training.save_grid(folder / "real.png", unit_range(gan.scaled(batch)), 10)
            if iteration.every(50):
                training.save_grid(folder / f"fake_{iteration:04d}.png", generated(g, z_test), 10)
            if iteration.every(save_every) or iteration.last:  # weights, beside the checkpoint
                for name, network in (("generator", g), ("discriminator", d)):
                    path = folder / f"{name}-{iteration:05d}.safetensors"
                    training.save(path, network.state_dict(), **settings)
        summary = run.save_summary(
            parameters=[sum(p.size for p in n.parameters()) for n in (g, d)],
            peak_megabytes=training.peak_memory(),
            results={
                "fake": statistics(generated(g, z_test)),
                "real": statistics(dataset.test_images[:1000] / 255),
            },
        )
        training.show(options, summary["results"], UNIT)
        draw_gan(folder, run.metrics)
    return summary


def run_folder(options, seed):
    """Return the folder of the run with this seed."""
    return options.out if options.runs == 1 else options.out / f"seed{seed}"


def parse(arguments=None):
    parser = training.Parser(description=__doc__)
    add, at_least = parser.add_option, training.at_least
    add("arch", choices=gan.NETWORKS, default="conv", help="networks (%(default)s)")
    add("loss", choices=gan.LOSSES, default="nonsaturating", help="(%(default)s)")
    add("epochs", type=at_least(1), default=1, help="passes over the data (%(default)s)")
    add("iter_max", type=at_least(1), help="end after so many steps (default: --epochs)")
    add("iter_save", type=at_least(1), default=300, help="steps per checkpoint (%(default)s)")
    add("seed", type=at_least(0), default=0, help="of the first run (%(default)s)")
    add("out", type=training.folder_path, help="results go here (default: out_LOSS)")
    parser.add_run_options()
    options = parser.parse_args(arguments)
    options.out = options.out or Path(f"out_{options.loss}")
    return options


def main(arguments=None):
    """Run the command line."""
    options = parse(arguments)
    with training.clean_exit():
        seeds = range(options.seed, options.seed + options.runs)
        training.repeat(train, options, seeds, UNIT, options.out / "summary.json", FILES)
        say(f"pictures, losses and weights are in {run_folder(options, options.seed)}")


if __name__ == "__main__":
    import train_gan  # by its own name, so that joblib's processes find the functions they are sent

    script(train_gan.main)
