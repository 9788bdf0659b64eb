"""models.gan: step for step with a twin in PyTorch, the losses far out, and the order of a step."""

from collections import Counter

import numpy as np
import pytest

from minigrad import Tensor, concatenate, kernels, nn, no_grad, optim, random
from minigrad.core.interpreter import setting
from models import gan
from train_gan import make_step

pytestmark = pytest.mark.usefixtures("generator")
BETAS = (0.5, 0.999)
each_loss = pytest.mark.parametrize("loss", gan.LOSSES)
each_pair = pytest.mark.parametrize("arch", gan.NETWORKS)


def pair(arch):
    return tuple(network() for network in gan.NETWORKS[arch])


def adams(*networks):
    return [optim.Adam(network.parameters(), lr=1e-3, betas=BETAS) for network in networks]


def drawn(count, dtype=np.uint8):
    """Random images, from 0 to 255."""
    return np.random.RandomState(0).randint(0, 256, (count, 28, 28)).astype(dtype)


def images(count, dtype=np.float32):
    return gan.scaled(drawn(count, dtype))


# ---- the networks


def test_parameters_and_shapes():
    """The homework's counts; PyTorch's names are compared below, where weights travel by them."""
    counts = {arch: [sum(p.size for p in n.parameters()) for n in pair(arch)] for arch in ("conv",)}
    assert counts == {"conv": [1_654_121, 1_640_033]}
    for arch in gan.NETWORKS:
        g, d = pair(arch)
        x = g(Tensor(random.normal((3, gan.Z_DIM))))
        assert x.shape == (3, 1, 28, 28) and d(x).shape == (3, 1)
        assert arch != "mlp" or np.abs(x.data).max() <= 1  # its tanh


def test_scaled_takes_pixels_to_minus_one_and_one():
    x = gan.scaled(np.array([[[0, 255], [51, 204]]], np.uint8))
    assert x.shape == (1, 1, 2, 2) and x.dtype == np.float32
    np.testing.assert_allclose(x.ravel(), [-1, 1, -0.6, 0.6], rtol=1e-6)


# ---- the twin


def idle_names(network):
    """The biases in front of a BatchNorm, and its running means, which they are part of."""
    layers = [layer for layer in network.children()]
    before = [i for i, layer in enumerate(layers[1:]) if hasattr(layer, "running_mean")]
    return {f"{i}.bias" for i in before} | {f"{i + 1}.running_mean" for i in before}


@each_loss
@each_pair
def test_twenty_steps_with_torch(arch, loss, torch, monkeypatch):
    """Same weights, same noise, float64: the same parameters, running statistics and losses.

    To 10⁻⁹; seen: 2·10⁻¹⁰. But a bias in front of BatchNorm changes nothing: its gradient is 0, and
    what either engine computes is a rounding of some 10⁻¹⁵, which Adam, dividing by ε = 10⁻⁸,
    makes a step of 10⁻⁷ lr = 10⁻¹⁰ of. Twenty steps of two engines: 4·10⁻⁹ for these biases and for
    the running mean of what they are added to. Seen: 6·10⁻¹⁰.
    """
    from benchmarks import pytorch_gan as twin

    monkeypatch.setattr(twin, "normal", lambda s, dtype: torch.tensor(random.normal(s, np.float64)))
    monkeypatch.setattr(
        twin, "uniform", lambda s, dtype: torch.tensor(random.uniform(s, dtype=np.float64))
    )
    ours = [network.double() for network in pair(arch)]
    first = [network.state_dict() for network in ours]
    theirs = [network(torch.nn).double() for network in gan.NETWORKS[arch]]
    for a, b in zip(ours, theirs, strict=True):
        assert list(a.state_dict()) == list(b.state_dict())
        b.load_state_dict({name: torch.tensor(w) for name, w in a.state_dict().items()})
    adam_g, adam_d = adams(*ours)
    torch_g, torch_d = (torch.optim.Adam(n.parameters(), lr=1e-3, betas=BETAS) for n in theirs)
    for step in range(20):
        x = drawn(20 * 4, np.float64)[4 * step : 4 * step + 4]
        with random.fork(step):
            losses = make_step(loss, *ours, adam_g, adam_d)(x)
        with random.fork(step):
            expected = twin.train_step(loss, *theirs, torch_g, torch_d, torch.tensor(gan.scaled(x)))
        found = {name: value.item() for name, value in losses.items()}
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    for a, b, start in zip(ours, theirs, first, strict=True):
        idle = idle_names(a)
        for name, value in a.state_dict().items():
            error = np.abs(value - b.state_dict()[name].numpy()).max()
            assert error <= (4e-9 if name in idle else 1e-9), name
            moved = np.abs(value - start[name]).max() > 1e-4
            assert moved or name in idle or name.endswith(".bias"), name


@each_loss
@each_pair
def test_the_forwards_train_to_the_same_numbers(arch, loss):
    """NumPy in the place of every numba kernel, for a step in float64."""
    states = []
    for backend in ("numba", "numpy"):
        with random.fork(1), kernels.backend(backend):
            networks = [network.double() for network in pair(arch)]
            adam_g, adam_d = adams(*networks)
            make_step(loss, *networks, adam_g, adam_d)(drawn(4, np.float64))
            states.append([network.state_dict() for network in networks])
    for one, other in zip(*states, strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=0, atol=1e-9, err_msg=name)


# ---- the order of a step


class Watched(nn.Module):
    """A network that writes down each forward: its name, mode, recording, and its weights' step."""

    def __init__(self, name, network, log, writes):
        self.network, self.name, self.log, self.writes = network, name, log, writes
        self.weight = next(network.parameters())

    def forward(self, x):
        y = self.network(x)
        written = self.writes[id(self.weight)]
        self.log.append((self.name, self.training, y.requires_grad, written, x))
        return y


def test_the_order_of_a_step():
    """D's loss with a fresh z and a G that gets no gradient; D's step; G's loss from another z and
    the D that has learnt; G's step. G is in training mode each time: BatchNorm moves twice."""
    log, writes = [], Counter()

    def count(primitive, operands, static, results):
        writes.update(map(id, primitive.written(operands)))

    g, d = (Watched(name, n, log, writes) for name, n in zip("gd", pair("conv"), strict=True))
    adam_g, adam_d = adams(g, d)
    before = {name: network.state_dict() for name, network in (("g", g), ("d", d))}
    for network, adam in (("g", adam_g), ("d", adam_d)):
        step = adam.step
        adam.step = lambda step=step, network=network: (log.append((f"{network} steps",)), step())
    learnt_from = {}
    d_step = adam_d.step
    adam_d.step = lambda: (learnt_from.update({id(p): p.grad for p in adam_d.params}), d_step())
    with setting(observer=count):
        make_step("nonsaturating", g, d, adam_g, adam_d)(drawn(4))
    assert all(p.grad is learnt_from[id(p)] for p in adam_d.params)  # G's half adds nothing to it
    seen = [entry[:4] for entry in log]
    # Last of each: how often the parameters were written, 0 times before their step and once in it.
    assert seen == [
        ("g", True, False, 0), ("d", True, True, 0), ("d steps",),
        ("g", True, True, 0), ("d", True, True, 1), ("g steps",),
    ]  # fmt: skip
    both = log[1][4].data  # D sees real and fake images in one pass
    np.testing.assert_array_equal(both[:4], images(4))
    assert both.shape == (8, 1, 28, 28) and len(log[4][4]) == 4
    assert (log[0][4].data != log[3][4].data).all()  # another z
    tracked = [v for name, v in g.state_dict().items() if name.endswith("num_batches_tracked")]
    assert len(tracked) == 3 and all(value == 2 for value in tracked)
    for name, network in (("g", g), ("d", d)):
        moved = [not np.array_equal(v, before[name][k]) for k, v in network.state_dict().items()]
        assert all(moved)


def test_each_half_leaves_the_other_network_without_a_gradient():
    g, d = pair("mlp")
    x = Tensor(images(4))
    adam_g, adam_d = adams(g, d)
    make_step("nonsaturating", g, d, adam_g, adam_d)(drawn(4))
    g.zero_grad(), d.zero_grad()
    gan.discriminator_loss(g, d, x).backward()
    assert all(p.grad is None for p in g.parameters())
    assert all(p.grad is not None for p in d.parameters())
    d.zero_grad()
    gan.generator_loss_nonsaturating(g, d, x).backward(inputs=adam_g.params)
    assert all(p.grad is None for p in d.parameters())
    assert all(p.grad is not None for p in g.parameters())


# ---- the losses, on logits that are given


def with_logits(real, fake):
    """(g, d, x_real): a d whose logits are `real` for the real images and `fake` for the others."""
    x_real = Tensor(np.zeros((len(real), 1, 28, 28)))
    real, fake = (Tensor(np.array(h, np.float64), requires_grad=True) for h in (real, fake))

    def g(z):
        return Tensor(np.ones((len(z), 1, 28, 28), z.dtype))

    def d(x):
        """The images tell which are real: 0 in each pixel, not 1."""
        rows = {True: iter(range(len(real))), False: iter(range(len(real), 2 * len(real)))}
        order = [next(rows[bool(image[0, 0, 0] == 0)]) for image in x.data]
        return concatenate([real, fake])[order]

    return (g, d, x_real), real, fake


def sigmoid(h):
    """In long double: right to 10⁻¹⁹ of itself, and not 0 or 1 at ±100."""
    return 1 / (1 + np.exp(-np.asarray(h, np.longdouble)))


FAR = [-100.0, -20.0, -1.5, 0.0, 1.5, 20.0, 100.0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_losses_and_slopes_on_logits_from_minus_100_to_100(dtype):
    """d/dh of −log σ(h) is −σ(−h), of −log σ(−h) is σ(h), of log σ(−h) is −σ(h).

    To 10⁻⁶ of each slope, and of the loss: at h = 100 the smallest is 4·10⁻⁴⁴, which float32 holds
    as 27 · 1.4·10⁻⁴⁵, and so to 2 % only.
    """
    h = np.array(FAR)
    n = len(h)
    cases = {
        "discriminator, real": (gan.discriminator_loss, "real", lambda h: -sigmoid(-h)),
        "discriminator, fake": (gan.discriminator_loss, "fake", lambda h: sigmoid(h)),
        "non-saturating": (gan.generator_loss_nonsaturating, "fake", lambda h: -sigmoid(-h)),
        "minimax": (gan.generator_loss_minimax, "fake", lambda h: -sigmoid(h)),
    }
    for name, (half, whose, slope) in cases.items():
        arguments, real, fake = with_logits(h, h)
        for t in (real, fake):
            t._array = t._array.astype(dtype)
        arguments = *arguments[:2], Tensor(arguments[2], dtype=dtype)
        loss = half(*arguments)
        assert np.isfinite(loss.item()), name
        loss.backward()
        found = (real if whose == "real" else fake).grad.data.astype(np.longdouble)
        want = slope(h) / n
        assert (np.sign(found) == np.sign(want)).all(), name
        tiny = np.finfo(dtype).smallest_subnormal
        assert (np.abs(found - want) <= 1e-6 * np.abs(want) + tiny).all(), (name, found, want)


def test_the_values_of_the_losses():
    (g, d, x), _, _ = with_logits([2.0, -1.0], [0.5, -3.0])
    log = np.log
    d_loss = -log(sigmoid([2, -1])).mean() - log(sigmoid([-0.5, 3])).mean()
    assert gan.loss_nonsaturating(g, d, x)[0].item() == pytest.approx(float(d_loss), rel=1e-12)
    expected = -log(sigmoid([0.5, -3])).mean()
    assert gan.loss_nonsaturating(g, d, x)[1].item() == pytest.approx(float(expected), rel=1e-12)
    expected = log(sigmoid([-0.5, 3])).mean()
    d_minimax, g_minimax = gan.loss_minimax(g, d, x)
    assert g_minimax.item() == pytest.approx(float(expected), rel=1e-12)
    assert d_minimax.item() == pytest.approx(float(d_loss), rel=1e-12)
    assert gan.generator_loss_wasserstein(g, d, x).item() == pytest.approx(1.25, rel=1e-12)


def test_real_and_fake_are_not_exchanged():
    """At logits of 0 the loss is 2 log 2 either way; the signs of the slopes tell them apart."""
    arguments, real, fake = with_logits([0.0], [0.0])
    loss = gan.discriminator_loss(*arguments)
    assert loss.item() == pytest.approx(2 * np.log(2))
    loss.backward()
    assert real.grad.item() == -0.5 and fake.grad.item() == 0.5
    for half in (gan.generator_loss_nonsaturating, gan.generator_loss_minimax):
        arguments, real, fake = with_logits([0.0], [0.0])
        half(*arguments).backward()
        assert fake.grad.item() == -0.5 and real.grad.item() == 0


def test_the_critic_loss_on_linear_critics():
    """h = s · ∑ x has slope s in each of 784 pixels: ‖∂h/∂x‖ = 28 |s|, whatever the images."""
    x_real, w = Tensor(images(5, np.float64)), Tensor(np.array(0.05), requires_grad=True)
    made: list = []

    def g(z):
        made.append(Tensor(images(9, np.float64)[4:]))
        return made[-1]

    loss = gan.critic_loss(g, lambda x: w * x.sum((1, 2, 3)), x_real)
    totals = [x.data.sum(axis=(1, 2, 3)).mean() for x in (x_real, made[0])]
    expected = 0.05 * (totals[1] - totals[0]) + 10 * (28 * 0.05 - 1) ** 2
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    loss.backward()  # through the gradient: d/ds of 10 (28 s − 1)² is 560 (28 s − 1)
    slope = totals[1] - totals[0] + 560 * (28 * 0.05 - 1)
    assert w.grad.item() == pytest.approx(slope, rel=1e-9)


def test_a_dead_critic_gets_a_finite_gradient():
    w = Tensor(np.array(0.0), requires_grad=True)
    g = lambda z: Tensor(images(3, np.float64))  # noqa: E731
    gan.critic_loss(g, lambda x: w * x.sum((1, 2, 3)), Tensor(images(3, np.float64))).backward()
    assert np.isfinite(w.grad.item())


def test_the_critic_sees_images_between_a_real_and_a_fake_one():
    """Each at a place of its own on the line between the two, and all pixels at the same place."""
    seen: list = []

    def d(x):
        seen.append(x)
        return x.sum((1, 2, 3))

    g = lambda z: Tensor(np.ones((64, 1, 28, 28)))  # noqa: E731
    gan.critic_loss(g, d, Tensor(np.zeros((64, 1, 28, 28))))
    between = seen[0].data.reshape(64, -1)
    assert (between == between[:, :1]).all()
    shares = between[:, 0]
    assert 0 <= shares.min() < 0.1 and 0.9 < shares.max() <= 1 and abs(shares.mean() - 0.5) < 0.15


def test_eval_mode_draws_the_same_images_one_by_one():
    """BatchNorm in evaluation looks at no other image of the batch."""
    g, _ = pair("conv")
    with no_grad():
        g(Tensor(random.normal((16, gan.Z_DIM))))
        g.eval()
        z = random.normal((4, gan.Z_DIM))
        together, alone = g(Tensor(z)), [g(Tensor(z[i : i + 1])) for i in range(4)]
    np.testing.assert_allclose(together.data, np.concatenate([x.data for x in alone]), atol=1e-5)
