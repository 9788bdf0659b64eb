"""Train the same GAN in PyTorch, with train_gan.py's options, protocol, pictures and names.

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
from minigrad.training import (
    Abort,
    clean_exit,
    peak_memory,
    print_table,
    save_animation,
    save_curves,
    save_grid,
)
from minigrad.training.report import summarise
from models import gan
from models.evaluation import statistics
from models.pictures import unit_range


def normal(shape, dtype):
    return torch.randn(shape, dtype=dtype)


def uniform(shape, dtype):
    return torch.rand(shape, dtype=dtype)


def fake_images(g, x_real):
    return g(normal((len(x_real), gan.Z_DIM), x_real.dtype))


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
    """Update D, and then G from the updated D, which is frozen to save its gradients."""
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
    return unit_range(x)


def run(options, seed):
    dataset = data.load("fashion-mnist", options.data_dir)
    images = torch.tensor(dataset.train_images)
    steps = len(images) // train_gan.BATCH
    last = options.iter_max or options.epochs * steps
    torch.manual_seed(seed)
    g, d = (network(nn) for network in gan.NETWORKS[options.arch])
    adam_g, adam_d = (
        torch.optim.Adam(n.parameters(), lr=options.lr, betas=(0.5, 0.999), fused=True)
        for n in (g, d)
    )
    z_test = torch.randn(100, gan.Z_DIM)
    folder = train_gan.run_folder(options, seed)
    folder.mkdir(parents=True, exist_ok=True)
    start, metrics = time.monotonic(), []
    for iteration in progress(range(1, last + 1), unit="it", mininterval=0.5):
        if iteration % steps == 1:
            rows = iter(torch.randperm(len(images)).split(train_gan.BATCH))
        x_real = images[next(rows)][:, None] / 127.5 - 1
        if iteration == 1:
            save_grid(folder / "real.png", unit_range(x_real.numpy()), 10)
        losses = train_step(options.loss, g, d, adam_g, adam_d, x_real)
        if iteration % 10 == 0 or iteration == last:
            metrics.append({"iteration": iteration, **losses})
        if iteration % 50 == 0:
            save_grid(folder / f"fake_{iteration:04d}.png", test_images(g, z_test), 10)
    summary = {
        "arch": options.arch, "loss": options.loss, "seed": seed, "lr": options.lr,
        "iterations": last,
        "parameters": [sum(p.numel() for p in n.parameters()) for n in (g, d)],
        "seconds": round(time.monotonic() - start, 3),
        "peak_megabytes": peak_memory(),
        "results": {
            "fake": statistics(test_images(g, z_test)),
            "real": statistics(dataset.test_images[:1000] / 255),
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
        print_table(summarise([run(options, s)["results"] for s in seeds]), "pixels in [0, 1]")


if __name__ == "__main__":
    script(main)
