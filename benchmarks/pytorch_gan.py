"""The same homework in PyTorch: options, protocol, pictures and names as in train_gan.py.

    python -m benchmarks.pytorch_gan

Only the data, the options and the pictures come from minigrad; every tensor here is PyTorch's.
"""

import json
import time

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

import train_gan
from minigrad import data
from minigrad.console import progress, script
from models.report import print_table, save_animation, save_curves, save_grid, together
from models.run import Abort, clean_exit, peak_memory

Z_DIM = 64


def conv_generator():
    return nn.Sequential(
        nn.Linear(Z_DIM, 512), nn.BatchNorm1d(512), nn.ReLU(),
        nn.Linear(512, 64 * 7 * 7), nn.BatchNorm1d(64 * 7 * 7), nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.PixelShuffle(2), nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.PixelShuffle(2), nn.Conv2d(8, 1, 3, padding=1),
    )  # fmt: skip


def conv_discriminator():
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(32, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 512), nn.LeakyReLU(0.1),
        nn.Linear(512, 1),
    )  # fmt: skip


def mlp_generator():
    return nn.Sequential(
        nn.Linear(Z_DIM, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU(),
        nn.Linear(512, 784), nn.Tanh(),
        nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip


def mlp_discriminator():
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512), nn.LeakyReLU(0.2),
        nn.Linear(512, 256), nn.LeakyReLU(0.2),
        nn.Linear(256, 1),
    )  # fmt: skip


NETWORKS = {
    "conv": (conv_generator, conv_discriminator),
    "mlp": (mlp_generator, mlp_discriminator),
}


def normal(shape, dtype):
    return torch.randn(shape, dtype=dtype)


def uniform(shape, dtype):
    return torch.rand(shape, dtype=dtype)


def fake_images(g, x_real):
    return g(normal((len(x_real), Z_DIM), x_real.dtype))


def logits(d, x_real, x_fake):
    return d(torch.cat([x_real, x_fake])).chunk(2)


def discriminator_loss(g, d, x_real):
    with torch.no_grad():
        x_fake = fake_images(g, x_real)
    h_real, h_fake = logits(d, x_real, x_fake)
    return -F.logsigmoid(h_real).mean() - F.logsigmoid(-h_fake).mean()


def critic_loss(g, d, x_real, penalty=10):
    with torch.no_grad():
        x_fake = fake_images(g, x_real)
    share = uniform((len(x_real), 1, 1, 1), x_real.dtype)
    x = (share * x_real + (1 - share) * x_fake).requires_grad_()
    (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
    excess = (slope.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1
    h_real, h_fake = logits(d, x_real, x_fake)
    return h_fake.mean() - h_real.mean() + penalty * excess.square().mean()


GENERATOR_LOSS = {
    "nonsaturating": lambda h: -F.logsigmoid(h).mean(),
    "minimax": lambda h: F.logsigmoid(-h).mean(),
    "wasserstein_gp": lambda h: -h.mean(),
}


def train_step(loss, g, d, adam_g, adam_d, x_real):
    """D, then G on the D that has learnt. D is frozen for G's half, which saves its gradients."""
    d_loss = (critic_loss if loss == "wasserstein_gp" else discriminator_loss)(g, d, x_real)
    adam_d.zero_grad()
    d_loss.backward()
    adam_d.step()
    d.requires_grad_(False)
    g_loss = GENERATOR_LOSS[loss](d(fake_images(g, x_real)))
    adam_g.zero_grad()
    g_loss.backward()
    adam_g.step()
    d.requires_grad_(True)
    return {"d_loss": d_loss.item(), "g_loss": g_loss.item()}


@torch.no_grad()
def test_images(g, z_test):
    g.eval()
    x = g(z_test).numpy()
    g.train()
    return train_gan.unit_range(x)


def run(options, seed):
    dataset = data.load("fashion-mnist", options.data_dir)
    images = torch.tensor(dataset.train_images)
    steps = len(images) // train_gan.BATCH
    last = options.iter_max or options.epochs * steps
    torch.manual_seed(seed)
    g, d = (network() for network in NETWORKS[options.arch])
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=options.lr, betas=(0.5, 0.999), fused=True)
        for n in (g, d)
    )
    z_test = torch.randn(100, Z_DIM)
    folder = train_gan.run_folder(options, seed)
    folder.mkdir(parents=True, exist_ok=True)
    start, metrics = time.monotonic(), []
    for iteration in progress(range(1, last + 1), unit="it", mininterval=0.5):
        if iteration % steps == 1:
            rows = iter(torch.randperm(len(images)).split(train_gan.BATCH))
        x_real = images[next(rows)][:, None] / 127.5 - 1
        if iteration == 1:
            save_grid(folder / "real.png", train_gan.unit_range(x_real.numpy()), 10)
        losses = train_step(options.loss, g, d, adam_g, adam_d, x_real)
        if iteration % 10 == 0 or iteration == last:
            metrics.append({"iteration": iteration, **losses})
        if iteration % train_gan.PICTURE == 0:
            save_grid(folder / f"fake_{iteration:04d}.png", test_images(g, z_test), 10)
    summary = {
        "arch": options.arch, "loss": options.loss, "seed": seed, "lr": options.lr,
        "iterations": last,
        "parameters": [sum(p.numel() for p in n.parameters()) for n in (g, d)],
        "seconds": round(time.monotonic() - start, 3),
        "peak_megabytes": peak_memory(),
        "results": {
            "fake": train_gan.statistics(test_images(g, z_test)),
            "real": train_gan.statistics(dataset.test_images[:1000] / 255),
        },
    }  # fmt: skip
    for name, network in (("generator", g), ("discriminator", d)):
        path = folder / f"{name}-{last:05d}.safetensors"
        safetensors.torch.save_file(network.state_dict(), path)
    lines = "".join(json.dumps(line) + "\n" for line in metrics)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    save_curves(folder / "losses.png", metrics, {"D": "d_loss", "G": "g_loss"}, "loss")
    save_animation(folder / "training.gif", sorted(folder.glob("fake_*.png")))
    return summary


def main(arguments=None):
    options = train_gan.parse(arguments)
    options.out = options.out.with_name(f"pytorch_{options.out.name}")
    with clean_exit():
        if options.resume or options.jobs > 1:
            raise Abort("the PyTorch baseline has no --resume and no --jobs")
        seeds = range(options.seed, options.seed + options.runs)
        print_table(together([run(options, s)["results"] for s in seeds]), "pixels in [0, 1]")


if __name__ == "__main__":
    script(main)
