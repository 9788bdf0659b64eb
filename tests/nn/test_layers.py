"""The layers of images against PyTorch's: values, gradients, buffers, names and initial weights."""

import numpy as np
import pytest

from minigrad import Tensor, nn, no_grad, random

pytestmark = pytest.mark.usefixtures("generator")


def compare(ours, theirs, x, torch, tolerance=1e-12):
    """One forward and backward of both, with a random cotangent: with ones, that of BatchNorm's x
    is 0 whatever the code does."""
    a, b = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(a), theirs(b)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=0, atol=tolerance)
    g = np.random.default_rng(1).standard_normal(y.shape)
    ours.zero_grad(), theirs.zero_grad()
    y.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(a.grad.data, b.grad.numpy(), rtol=0, atol=tolerance)
    for (name, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        np.testing.assert_allclose(p.grad.data, q.grad.numpy(), rtol=0, atol=tolerance)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        np.testing.assert_allclose(value, state[name].numpy(), rtol=0, atol=tolerance)


def twins(name, arguments, settings, torch):
    """A layer and PyTorch's, with the same weights: random ones also where they start constant."""
    ours = getattr(nn, name)(*arguments, **settings).double()
    theirs = getattr(torch.nn, name)(*arguments, **settings).double()
    for p in ours.parameters():
        p.copy_(random.normal(p.shape))
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs


IMAGES = (3, 4, 6, 7)


@pytest.mark.parametrize(("name", "arguments", "settings", "shape"), [
    ("Conv2d", (4, 5, 3), {}, IMAGES),
    ("Conv2d", (4, 2, (2, 3)), {"stride": (2, 1), "padding": (1, 0), "bias": False}, IMAGES),
    ("ConvTranspose2d", (4, 5, 3), {"stride": 2, "padding": 1, "output_padding": 1}, IMAGES),
    ("ConvTranspose2d", (4, 2, (2, 3)), {"stride": (1, 3), "bias": False}, IMAGES),
    ("MaxPool2d", (2,), {}, IMAGES),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1}, IMAGES),
    ("AvgPool2d", (2,), {}, IMAGES),
    ("AvgPool2d", ((3, 2),), {"stride": 1, "padding": (1, 1)}, IMAGES),
    ("PixelShuffle", (2,), {}, IMAGES),
    ("Flatten", (), {}, IMAGES),
    ("Unflatten", (1, (2, 2)), {}, IMAGES),
    ("Unflatten", (-1, (7, 1)), {}, IMAGES),
    ("Unflatten", (1, (2, -1)), {}, IMAGES),
])  # fmt: skip
def test_a_layer_is_torchs(name, arguments, settings, shape, torch):
    ours, theirs = twins(name, arguments, settings, torch)
    compare(ours, theirs, random.normal(shape, np.float64), torch)


@pytest.mark.parametrize(("name", "shape"), [
    ("BatchNorm1d", (6, 4)), ("BatchNorm1d", (3, 4, 5)), ("BatchNorm1d", (2, 4)),
    ("BatchNorm2d", (3, 4, 2, 5)), ("BatchNorm2d", (1, 4, 3, 1)),
])  # fmt: skip
@pytest.mark.parametrize("settings", [{}, {"eps": 0.1, "momentum": 0.3}])
def test_batch_norm_is_torchs_in_training_and_evaluation(name, shape, settings, torch):
    """Three batches that move the running statistics, then two that are measured by them."""
    ours, theirs = twins(name, (4,), settings, torch)
    for training in (True, True, True, False, False):
        ours.train(training), theirs.train(training)
        compare(ours, theirs, 3 * random.normal(shape, np.float64) + 5, torch)
    assert ours.num_batches_tracked.item() == 3


def test_batch_norm_tracks_under_no_grad_and_not_in_evaluation():
    layer = nn.BatchNorm1d(2)
    x = Tensor(np.array([[1, 2], [3, 6]], np.float32))
    with no_grad():
        layer(x)
    np.testing.assert_allclose(layer.running_mean.data, [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var.data, [0.9 + 0.2, 0.9 + 0.8], rtol=1e-6)  # n − 1
    layer.eval()(x)
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize(("name", "shape", "words"), [
    ("BatchNorm1d", (3, 5), "4 channels"), ("BatchNorm1d", (3, 4, 2, 2), "2 or 3 axes"),
    ("BatchNorm2d", (3, 4), "4 axes"), ("BatchNorm1d", (1, 4), "a variance takes two"),
])  # fmt: skip
def test_batch_norm_refuses_what_it_cannot_normalise(name, shape, words):
    with pytest.raises(ValueError, match=words):
        getattr(nn, name)(4)(Tensor(random.normal(shape)))


@pytest.mark.parametrize(("call", "words"), [
    (lambda: nn.Conv2d(3, 2, 3)(Tensor(random.normal((1, 4, 5, 5)))), "same number C of channels"),
    (lambda: nn.Conv2d(3, 2, 3)(Tensor(random.normal((3, 5, 5)))), r"must be \(N, C, H, W\)"),
    (lambda: nn.Conv2d(3, 2, 7)(Tensor(random.normal((1, 3, 5, 5)))), "does not fit"),
    (lambda: nn.Conv2d(3, 2, 3, stride=0)(Tensor(random.normal((1, 3, 5, 5)))), "stride = 0"),
    (lambda: nn.Conv2d(3, 2, 3, padding=-1)(Tensor(random.normal((1, 3, 5, 5)))), "padding = -1"),
    (lambda: nn.ConvTranspose2d(3, 2, 3, output_padding=1)(Tensor(random.normal((1, 3, 5, 5)))),
     r"output_padding = \(1, 1\)"),
    (lambda: nn.MaxPool2d(2, padding=2)(Tensor(random.normal((1, 3, 5, 5)))), "more than half"),
    (lambda: nn.PixelShuffle(2)(Tensor(random.normal((1, 3, 5, 5)))), "C r², H, W"),
    (lambda: nn.Unflatten(3, (2, 2))(Tensor(random.normal((1, 4)))), "axis 3 of x"),
    (lambda: nn.Unflatten(1, (2, 3))(Tensor(random.normal((6, 4)))), "can't be split into"),
])  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_empty_batch_goes_through_convolutions():
    layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ConvTranspose2d(3, 2, 2), nn.MaxPool2d(2))
    x = Tensor(np.zeros((0, 1, 6, 6), np.float32), requires_grad=True)
    y = layers(x)
    assert y.shape == (0, 2, 2, 2)
    y.backward(np.zeros(y.shape))
    assert x.grad.shape == x.shape and not next(layers.parameters()).grad.data.any()


@pytest.mark.parametrize(("name", "fan_in"), [("Conv2d", 8 * 3 * 5), ("ConvTranspose2d", 900)])
def test_convolutions_start_as_torchs(name, fan_in, torch):
    """Uniform in ±1/√fan_in, where PyTorch takes a transposed one's fan-in from its second axis."""
    ours = getattr(nn, name)(8, 60, (3, 5))
    theirs = getattr(torch.nn, name)(8, 60, (3, 5))
    bound = 1 / np.sqrt(fan_in)
    for p in (ours.weight.data, theirs.weight.detach().numpy()):
        # The largest of 7,200 draws comes within 20 bound / 7200 of the bound, but for e⁻¹⁰.
        assert bound * (1 - 20 / p.size) < np.abs(p).max() <= bound * (1 + 1e-6)
        assert abs(p.mean()) < 5 * bound / np.sqrt(3 * p.size)
    assert np.abs(ours.bias.data).max() <= bound


def test_dropout_keeps_the_mean_and_does_nothing_in_evaluation():
    layer, x = nn.Dropout(0.3), Tensor(np.ones(20_000, np.float32), requires_grad=True)
    y = layer(x)
    kept = y.data != 0
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / 20_000)
    np.testing.assert_allclose(y.data[kept], 1 / 0.7, rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, y.data)  # through what was kept, scaled alike
    assert layer.eval()(x) is x
    assert (layer.train()(x).data != y.data).any()
