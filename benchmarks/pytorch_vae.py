"""Train the same VAE in PyTorch, with train_vae.py's options, protocol, summary and names.

    python -m benchmarks.pytorch_vae --runs 5 --train 2

Only the data, the test subset and the table come from minigrad; every tensor here is PyTorch's.
"""

import json
import time

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

import train_vae
from minigrad import data
from minigrad.console import progress, script
from minigrad.training import Abort, clean_exit, print_table
from minigrad.training.report import summarise
from models.subset import pixels, static_subset
from models.vae import perceptron


class VAE(nn.Module):
    """This is models.vae.VAE in PyTorch."""

    def __init__(self, z_dim=10, x_dim=784, hidden=300):
        super().__init__()
        self.z_dim = z_dim
        self.encoder = perceptron(x_dim, hidden, hidden, 2 * z_dim, nn=nn)
        self.decoder = perceptron(z_dim, hidden, hidden, x_dim, nn=nn)

    def posterior(self, x):
        m, h = self.encoder(x).chunk(2, dim=-1)
        return m, F.softplus(h) + 1e-8

    def negative_elbo_bound(self, x):
        m, v = self.posterior(x)
        logits = self.decoder(m + v.sqrt() * torch.randn_like(m))
        rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1).mean()
        kl = 0.5 * (v - 1 - v.log() + m * m).sum(-1).mean()
        return kl + rec, kl, rec

    def negative_iwae_bound(self, x, iw):
        m, v = (parameter.repeat(iw, 1) for parameter in self.posterior(x))
        posterior = torch.distributions.Normal(m, v.sqrt())
        z = posterior.sample()
        prior = torch.distributions.Normal(torch.zeros_like(m), torch.ones_like(v))
        log_ratio = (posterior.log_prob(z) - prior.log_prob(z)).sum(-1)
        logits, repeated = self.decoder(z), x.repeat(iw, 1)
        rec = F.binary_cross_entropy_with_logits(logits, repeated, reduction="none").sum(-1)
        weights = (-rec - log_ratio).reshape(iw, -1)
        niwae = -(weights.logsumexp(0) - np.log(iw)).mean()
        return niwae, log_ratio.mean(), rec.mean()


@torch.no_grad()
def evaluate(bound, batches):
    bounds = [[float(v) for v in bound(x())] for x in batches]
    return dict(zip(("nelbo", "kl", "rec"), np.mean(bounds, axis=0).tolist(), strict=True))


def evaluate_all(vae, dataset, subset, iwae):
    grey = torch.from_numpy(pixels(dataset.test_images)).split(1000)
    results = {
        "static subset": evaluate(vae.negative_elbo_bound, [lambda: subset] * 100),
        "full test set": evaluate(
            vae.negative_elbo_bound, [lambda x=x: torch.bernoulli(x) for x in grey]
        ),
    }
    for m in (1, 10, 100, 1000) if iwae else ():
        parts = [lambda x=x: x for x in subset.split(10)] * max(100 // m, 1)
        bound = lambda x, m=m: vae.negative_iwae_bound(x, m)  # noqa: E731
        results[f"subset, IWAE-{m}"] = evaluate(bound, parts)
    return results


def train(vae, images, options):
    adam = torch.optim.Adam(vae.parameters(), lr=options.lr, fused=True)
    rows = iter(())
    bar = progress(range(1, options.iter_max + 1), unit="it", mininterval=0.5)
    for iteration in bar:
        batch = next(rows, None)
        if batch is None:
            rows = iter(torch.randperm(len(images)).split(options.batch_size))
            batch = next(rows)
        nelbo, kl, rec = vae.negative_elbo_bound(torch.bernoulli(images[batch] / 255))
        adam.zero_grad()
        nelbo.backward()
        adam.step()
        if iteration % 100 == 0:
            bar.set_postfix_str(f"nelbo {nelbo:.2f}  kl {kl:.2f}  rec {rec:.2f}")


def run(options, number):
    dataset = data.load("mnist", options.data_dir)
    subset = torch.from_numpy(static_subset(dataset))
    images = torch.tensor(dataset.train_images.reshape(len(dataset.train_images), -1))
    seed = number if options.seed is None else options.seed + number - options.run
    torch.manual_seed(seed)
    vae = VAE(options.z)
    folder = options.out / f"pytorch-vae-z{options.z}-run{number}"
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"model-{options.iter_max:05d}.safetensors"
    start = time.monotonic()
    if options.train:
        train(vae, images, options)
        safetensors.torch.save_file(vae.state_dict(), weights)
    else:
        vae.load_state_dict(safetensors.torch.load_file(weights))
    summary = {
        "z": options.z, "seed": seed, "lr": options.lr, "batch_size": options.batch_size,
        "iterations": options.iter_max,
        "parameters": sum(p.numel() for p in vae.parameters()),
        "seconds": round(time.monotonic() - start, 3),
        "results": evaluate_all(vae, dataset, subset, iwae=options.train == 2),
    }  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def main():
    options = train_vae.parse()
    with clean_exit():
        if options.resume or options.jobs > 1:
            raise Abort("the PyTorch baseline has no --resume and no --jobs")
        numbers = range(options.run, options.run + options.runs)
        print_table(summarise([run(options, number)["results"] for number in numbers]), "nats")


if __name__ == "__main__":
    script(main)
