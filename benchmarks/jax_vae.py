"""The same training step of the VAE in JAX, compiled by jit, as a peer of benchmarks/vae_step.py.

It needs JAX and NumPy alone, and does what turns.work does: for each line n it times n steps.
"""

import json
import resource
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

BETA1, BETA2, LR, EPS = 0.9, 0.999, 1e-3, 1e-8


def perceptron(key, *sizes):
    """Return (weight, bias) of each layer, drawn as PyTorch draws them."""
    layers = []
    for n, m in zip(sizes, sizes[1:]):  # noqa: B905
        key, one, other = jax.random.split(key, 3)
        draw = partial(jax.random.uniform, minval=-(n**-0.5), maxval=n**-0.5)
        layers.append((draw(one, (m, n)), draw(other, (m,))))
    return layers


def apply(layers, x):
    """Return the network's result for x (N, in)."""
    for weight, bias in layers[:-1]:
        x = jax.nn.elu(x @ weight.T + bias)
    weight, bias = layers[-1]
    return x @ weight.T + bias


def bounds(networks, x, key):
    """Return the negative ELBO, and (kl, rec)."""
    encoder, decoder = networks
    m, h = jnp.split(apply(encoder, x), 2, axis=1)
    v = jax.nn.softplus(h) + 1e-8
    logits = apply(decoder, m + jnp.sqrt(v) * jax.random.normal(key, m.shape))
    rec = (jax.nn.softplus(logits) - x * logits).sum(1).mean()
    kl = 0.5 * (v - 1 - jnp.log(v) + m * m).sum(1).mean()
    return kl + rec, (kl, rec)


@partial(jax.jit, donate_argnums=(0, 1, 2, 3))
def train(networks, means, squares, t, images, key):
    """Take a step of Adam on images (N, 784) of bytes."""
    one, other = jax.random.split(key)
    x = jax.random.bernoulli(one, images / jnp.float32(255)).astype(jnp.float32)
    (nelbo, rest), g = jax.value_and_grad(bounds, has_aux=True)(networks, x, other)
    t += 1
    means = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, means, g)
    squares = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, squares, g)
    rate, root = LR / (1 - BETA1**t), 1 / jnp.sqrt(1 - BETA2**t)
    networks = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + EPS), networks, means, squares
    )
    return networks, means, squares, t, (nelbo, *rest)


def make_step():
    """Return the training step."""
    draw = np.random.RandomState(0)
    data = draw.randint(0, 256, (60_000, 784)).astype(np.uint8)
    key = jax.random.key(0)
    state = [(perceptron(key, 784, 300, 300, 20), perceptron(key, 10, 300, 300, 784))]
    state += [jax.tree.map(jnp.zeros_like, state[0]) for _ in range(2)]
    state.append(jnp.float32(0))
    keys = iter(range(10**9))

    def step():
        batch = data.take(draw.randint(0, 60_000, 100), axis=0)
        *state[:], found = train(*state, batch, jax.random.key(next(keys)))
        return [bound.item() for bound in found]

    return step


if __name__ == "__main__":
    step = make_step()
    for _ in range(20):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps([times, peak]), flush=True)
