"""Draw the figures of docs/vanishing_gradient.md: `python -m docs.vanishing_gradient`, 3 minutes.

The pair is trained for a while. Then G is frozen, D goes on until it wins, and after each of D's
steps it is measured how much gradient each loss would give to G.
"""

import argparse
from pathlib import Path

import numpy as np

from minigrad import Tensor, data, grad, ops, random
from minigrad.console import say, script
from minigrad.training import Batches, Parser, at_least, clean_exit, figure, folder_path
from models import gan
from train_gan import make_networks, make_step

FOLDER = Path(__file__).parent
LOSSES = {  # G's losses, as functions of the logit h of one of G's images
    "minimax: log(1 − σ(h))": lambda h: ops.logsigmoid(-h),
    "non-saturating: −log σ(h)": lambda h: -ops.logsigmoid(h),
}


def slopes(h):
    """Return {loss: |dL_G/dh|} at each of the logits h, by reverse-mode differentiation."""
    h = Tensor(h, requires_grad=True)
    return {name: abs(grad(loss(h).sum(), h)[0]).numpy() for name, loss in LOSSES.items()}


def draw_slopes(path):
    """Draw the slopes of both losses against h."""
    h = np.linspace(-12, 6, 400)
    with figure(path, (6.5, 3.6)) as axes:
        for name, slope in slopes(h).items():
            axes.semilogy(h, slope, label=name)
        axes.axvspan(-12, -4, color="0.93", zorder=0)
        axes.text(-11.7, 2, "D is sure that it is fake", fontsize=8, va="top")
        axes.set(xlabel="h, the logit that D gives to an image of G", ylabel="|dL_G / dh|")
        axes.set(ylim=(1e-6, 3), xlim=(-12, 6))
        axes.legend(frameon=False, loc="lower right")


def measure(g, d, z):
    """Return D's mean belief in G's images, and the norm of each loss's gradient in G's weights."""
    h = d(g(z))
    weights = list(g.parameters())
    norms = []
    for loss in LOSSES.values():
        gradients = grad(loss(h).mean(), weights, retain_graph=True)
        norms.append(float(np.sqrt(sum((w.numpy() ** 2).sum() for w in gradients))))
    return [float(ops.sigmoid(h).mean()), *norms]


def starve(options):
    """Train a pair for `warmup` steps, then D alone. Returns a row of `measure` for each D."""
    images = data.load("fashion-mnist", options.data_dir).train_images
    random.seed(0)
    g, d, adam_g, adam_d = make_networks("conv", lr=1e-3)
    step = make_step("nonsaturating", g, d, adam_g, adam_d)
    batches = Batches(len(images), 64, drop_last=True)
    for _ in range(options.warmup):
        step(images[next(batches)])
    z = Tensor(random.normal((256, gan.Z_DIM)))
    g.eval()  # frozen: neither its weights nor BatchNorm's statistics move
    rows = [measure(g, d, z)]
    for _ in range(options.steps):
        loss = gan.discriminator_loss(g, d, Tensor(gan.scaled(images[next(batches)])))
        adam_d.zero_grad()
        loss.backward()
        adam_d.step()
        rows.append(measure(g, d, z))
    return np.array(rows)


def draw_starvation(path, rows):
    """Draw the norms of both gradients against D's mean belief."""
    belief, *norms = rows.T
    with figure(path, (6.5, 3.6)) as axes:
        for name, norm in zip(LOSSES, norms, strict=True):
            axes.loglog(belief, norm, ".", markersize=3, label=name)
        axes.invert_xaxis()
        axes.set(xlabel="mean σ(h) of G's images: D gets better to the right")
        axes.set(ylabel="norm of G's gradient")
        axes.legend(frameon=False)


def main(arguments=None):
    """Run the command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_option("warmup", type=at_least(0), default=300, help=argparse.SUPPRESS)
    parser.add_option("steps", type=at_least(1), default=300, help="D's steps alone (%(default)s)")
    parser.add_option("out", type=folder_path, default=FOLDER, help="for figures (%(default)s)")
    parser.add_option("data_dir", type=Path, help="where Fashion-MNIST lies")
    options = parser.parse_args(arguments)
    with clean_exit():
        options.out.mkdir(parents=True, exist_ok=True)
        draw_slopes(options.out / "slopes.png")
        rows = starve(options)
        draw_starvation(options.out / "starvation.png", rows)
        say(f"{'D step':>8}{'mean σ(h)':>14}{'minimax':>14}{'non-saturating':>18}{'ratio':>12}")
        for step in sorted({0, 1, 3, 10, 30, 100, options.steps} & set(range(len(rows)))):
            belief, minimax, other = rows[step]
            say(f"{step:8}{belief:14.2e}{minimax:14.2e}{other:18.2e}{minimax / other:12.1e}")


if __name__ == "__main__":
    script(main)
