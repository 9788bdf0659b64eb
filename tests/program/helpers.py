"""Small trainings, and what they leave behind."""

import numpy as np

from minigrad import cross_entropy, nn, optim, random


def images(seed, *shape):
    """64 random arrays of the shape."""
    return np.random.default_rng(seed).random((64, *shape)).astype(np.float32)


def pictures(seed, double=False, count=64):
    """Random pictures (count, 28, 28) of bytes, or of numbers in float64 that have such values."""
    drawn = np.random.default_rng(seed).integers(0, 256, (count, 28, 28))
    return drawn.astype(np.float64 if double else np.uint8)


def trained(model, loss_of):
    """A step of Adam on loss_of(model, *arrays), the model, and its Adam."""
    adam = optim.Adam(model.parameters())

    def step(*arrays):
        loss = loss_of(model, *arrays)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return {"loss": loss}

    return step, model, adam


def classifier():
    """A step on images and labels, its model and its Adam."""
    model = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    return trained(model, lambda model, x, labels: cross_entropy(model(x), labels))


def perceptron(*layers):
    """A step on arrays (N, 4), its model, which has those layers in the middle, and its Adam."""
    model = nn.Sequential(nn.Linear(4, 3), *layers, nn.Linear(3, 1))
    return trained(model, lambda model, x: (model(x) ** 2).mean())


def everything(*parts):
    """The states of models and optimisers, their gradients, and the generator's state."""
    found = {"random": random.get_state()}
    for i, part in enumerate(parts):
        found[i] = part.state_dict()
        if isinstance(part, nn.Module):
            grads = {name: p.grad for name, p in part.named_parameters()}
            found[i, "grad"] = {k: g if g is None else np.array(g) for k, g in grads.items()}
    return found


def same(one, other):
    """Whether two structures hold the same bits."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if one is None or other is None:
        return one is other
    one, other = np.asarray(one), np.asarray(other)
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
