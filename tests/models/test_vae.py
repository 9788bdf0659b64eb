"""models.vae and train_vae: step for step with a twin in PyTorch, and on real MNIST."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import train_vae
from minigrad import Tensor, data, no_grad, optim, random
from models.evaluation import evaluate
from models.subset import pixels, static_subset
from models.vae import VAE

pytestmark = pytest.mark.usefixtures("generator")


@pytest.fixture(scope="module")
def subset(mnist):
    return static_subset(mnist)


def make_vae(seed=0, **settings):
    with random.fork(seed):
        return VAE(**settings)


def binary_batches(mnist, count, size=100):
    """Binarised training images, float64: (count, size, 784)."""
    with random.fork(1):
        x = random.bernoulli(pixels(mnist.train_images[: count * size]))
    return x.reshape(count, size, 784).astype(np.float64)


def torch_twin(torch, vae):
    """The same networks with the same weights, as a torch.nn.Module."""

    def network(*sizes):
        layers = [torch.nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        return torch.nn.Sequential(layers[0], torch.nn.ELU(), layers[1], torch.nn.ELU(), layers[2])

    z = vae.z_dim
    twin = torch.nn.Module()
    twin.encoder, twin.decoder = network(784, 300, 300, 2 * z), network(z, 300, 300, 784)
    twin.double().load_state_dict({k: torch.tensor(w) for k, w in vae.state_dict().items()})
    return twin


def torch_bounds(torch, twin, x, noise):
    """(nelbo, kl, rec) from the homework, with torch.distributions: they take √v, a deviation."""
    td = torch.distributions
    m, h = twin.encoder(x).chunk(2, -1)
    q = td.Independent(td.Normal(m, (torch.nn.functional.softplus(h) + 1e-8).sqrt()), 1)
    prior = td.Independent(td.Normal(torch.zeros_like(m), torch.ones_like(m)), 1)
    z = q.mean + q.stddev * noise
    p = td.Independent(td.Bernoulli(logits=twin.decoder(z)), 1)
    kl, rec = td.kl_divergence(q, prior).mean(), -p.log_prob(x).mean()
    return kl + rec, kl, rec


# ---- the model


def test_parameters_and_names(torch):
    vae = VAE()
    assert sum(p.size for p in vae.parameters()) == 661_404  # the homework's count
    twin = torch_twin(torch, vae.double())
    assert list(vae.state_dict()) == list(twin.state_dict())
    assert len(vae.state_dict()) == 12


def test_negative_elbo_bound_is_torchs(mnist, torch):
    """With weights that make both terms matter, and a batch in which every mean counts rows."""
    vae = make_vae().double()
    rng = np.random.default_rng(0)
    for p in vae.parameters():
        p.copy_(3 * p.data + 0.05 * rng.standard_normal(p.shape))
    twin = torch_twin(torch, vae)
    x = binary_batches(mnist, 1, 7)[0]
    with random.fork(5):
        bounds = vae.negative_elbo_bound(Tensor(x))
    with random.fork(5):
        noise = torch.tensor(random.normal((7, 10), np.float64))
    expected = torch_bounds(torch, twin, torch.tensor(x), noise)
    # 784 sums of 300 products, none of them much larger than the result: some hundred roundings.
    np.testing.assert_allclose([b.item() for b in bounds], [e.item() for e in expected], rtol=1e-13)
    nelbo, kl, rec = (b.item() for b in bounds)
    assert nelbo == kl + rec and 1 < kl < rec
    assert all(b.shape == () for b in bounds)
    nelbo_gradients = torch.autograd.grad(expected[0], list(twin.parameters()))
    bounds[0].backward()
    for p, g in zip(vae.parameters(), nelbo_gradients, strict=True):
        np.testing.assert_allclose(p.grad.data, g.numpy(), rtol=1e-10, atol=1e-13)


def test_negative_iwae_bound_is_torchs(mnist, torch):
    """The mean weight of each IMAGE's draws, not of a mixture of images; five draws of seven."""
    vae, td = make_vae().double(), torch.distributions
    twin = torch_twin(torch, vae)
    x = binary_batches(mnist, 1, 7)[0]
    with random.fork(5):
        bounds = vae.negative_iwae_bound(Tensor(x), 5)
    with random.fork(5):
        noise = torch.tensor(random.normal((35, 10), np.float64).reshape(5, 7, 10))
    x = torch.tensor(x)
    m, h = twin.encoder(x).chunk(2, -1)
    q = td.Independent(td.Normal(m, (torch.nn.functional.softplus(h) + 1e-8).sqrt()), 1)
    z = q.mean + q.stddev * noise
    prior = td.Independent(td.Normal(torch.zeros_like(m), torch.ones_like(m)), 1)
    likelihood = td.Independent(td.Bernoulli(logits=twin.decoder(z)), 1).log_prob(x)
    ratio = q.log_prob(z) - prior.log_prob(z)
    niwae = np.log(5) - torch.logsumexp(likelihood - ratio, 0)
    expected = [niwae.mean(), ratio.mean(), -likelihood.mean()]
    found = [b.item() for b in bounds]
    # ratio is a small difference of sums of size 10, and is right to their rounding.
    np.testing.assert_allclose(found, [e.item() for e in expected], rtol=1e-13, atol=1e-13)
    assert found[0] < found[1] + found[2] - 1e-3  # Jensen: five draws are better than one


def test_iwae_with_one_draw_is_an_estimate_of_the_elbo(subset):
    """Same noise: the same rec, and a kl that scatters around the exact one."""
    vae = make_vae()
    with random.fork(2), no_grad():
        iwae = [[b.item() for b in vae.negative_iwae_bound(Tensor(subset), 1)] for _ in range(20)]
    with random.fork(2), no_grad():
        elbo = [[b.item() for b in vae.negative_elbo_bound(Tensor(subset))] for _ in range(20)]
    iwae, elbo = np.array(iwae), np.array(elbo)
    # float32: numbers of size 500, summed over 784 pixels in one order or another.
    np.testing.assert_allclose(iwae[:, 2], elbo[:, 2], rtol=1e-6)
    np.testing.assert_allclose(iwae[:, 0], iwae[:, 1] + iwae[:, 2], rtol=1e-6)
    error = 5 * iwae[:, 1].std() / np.sqrt(20)
    assert abs(iwae[:, 1].mean() - elbo[0, 1]) < error


def test_iwae_with_one_draw_is_the_elbo_with_sampled_kl_and_falls_with_more():
    random.seed(3)
    vae, x = VAE(z_dim=3, x_dim=20, hidden=8), Tensor(random.bernoulli(np.full((5, 20), 0.4, "f")))
    with no_grad():
        one, kl, rec = (float(v) for v in vae.negative_iwae_bound(x, 1))
        assert one == pytest.approx(kl + rec, rel=1e-5)
        bounds = [
            np.mean([float(vae.negative_iwae_bound(x, m)[0]) for _ in range(2000 // m)])
            for m in (1, 20, 2000)
        ]
        elbo = np.mean([float(vae.negative_elbo_bound(x)[0]) for _ in range(2000)])
    # Each mean is of 2,000 draws of bounds that spread by less than 0.3: errors below 0.01.
    assert bounds[0] == pytest.approx(elbo, abs=0.03)
    assert bounds[0] > bounds[1] > bounds[2] - 0.01


def test_fifty_steps_with_torch(mnist, torch):
    """Same weights, same images, same noise: the same parameters after 50 steps of Adam.

    Adam divides by √v̂ + 10⁻⁸, so the rounding of a gradient, at most some 10⁻¹⁷ (an average over
    100 images), moves a weight by up to lr · 10⁻⁹ = 10⁻¹² a step where the gradient is tiny. Seen:
    5·10⁻¹⁴ in all.
    """
    vae = make_vae().double()
    twin = torch_twin(torch, vae)
    first = vae.state_dict()
    ours, theirs = optim.Adam(vae.parameters()), torch.optim.Adam(twin.parameters())
    for step, x in enumerate(binary_batches(mnist, 50)):
        with random.fork(step):
            nelbo = vae.negative_elbo_bound(Tensor(x))[0]
        ours.zero_grad()
        nelbo.backward()
        ours.step()
        with random.fork(step):
            noise = torch.tensor(random.normal((100, 10), np.float64))
        expected = torch_bounds(torch, twin, torch.tensor(x), noise)[0]
        theirs.zero_grad()
        expected.backward()
        theirs.step()
        assert nelbo.item() == pytest.approx(expected.item(), rel=1e-10)
    assert expected.item() < 300  # from 546: it has learnt
    after = twin.state_dict()
    for name, weights in vae.state_dict().items():
        np.testing.assert_allclose(weights, after[name].numpy(), rtol=0, atol=1e-10)
        assert np.abs(weights - first[name]).max() > 1e-3


def test_gradients_reach_the_encoder_through_both_terms(mnist):
    """A detached z, or a KL that is only reported, would leave parts of it without."""
    x = Tensor(binary_batches(mnist, 1, 4)[0].astype(np.float32))
    vae = make_vae()
    for part, decoder_has in ((1, False), (2, True)):
        vae.zero_grad()
        vae.negative_elbo_bound(x)[part].backward()
        assert all(p.grad is not None and p.grad.data.any() for p in vae.encoder.parameters())
        assert all((p.grad is not None) is decoder_has for p in vae.decoder.parameters())


def test_sampling():
    """Shapes, pixels of 0 and 1, no graph, and p(x | z) is where the ones come from."""
    vae = make_vae(z_dim=3, x_dim=5, hidden=4)
    z = vae.sample_z(2000)
    assert z.shape == (2000, 3) and abs(z.data.mean()) < 5 / np.sqrt(6000)
    same = Tensor(np.repeat(z.data[:1], 2000, axis=0))
    p, x, some = vae.compute_sigmoid_given(same), vae.sample_x_given(same), vae.sample_x(7)
    assert p.shape == x.shape == (2000, 5) and some.shape == (7, 5)
    assert set(np.unique(x.data)) == {0, 1} and set(np.unique(some.data)) <= {0, 1}
    for tensor in (z, p, x, some):
        assert tensor.dtype == np.float32 and tensor.is_leaf and not tensor.requires_grad
    logits = vae.decoder(same).data[0].astype(np.float64)
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(p.data[0], expected, rtol=8 * 2**-23)
    bound = 5 * np.sqrt(expected * (1 - expected) / 2000)
    assert (np.abs(x.data.mean(0) - expected) < bound).all()


def test_samples_differ():
    vae = make_vae()
    z = vae.sample_z(2)
    assert (z.data[0] != z.data[1]).all()
    assert (vae.sample_x_given(z).data != vae.sample_x_given(z).data).any()


# ---- the static subset


def test_the_static_subset(mnist, subset):
    assert subset.shape == (100, 784) and subset.dtype == np.float32
    assert set(np.unique(subset)) == {0, 1} and subset.sum() == 10_257
    np.testing.assert_array_equal(subset, static_subset(mnist))  # once and for all
    zeros = mnist.test_images[mnist.test_labels == 0]
    for row, index in enumerate((684, 559, 629, 192, 835, 763, 707, 359, 9, 723)):
        assert not subset[row][zeros[index].ravel() == 0].any()
        assert subset[row][zeros[index].ravel() == 255].all()


def test_another_data_set_is_refused_as_static_subset(mnist):
    shuffled = mnist._replace(test_labels=mnist.test_labels[::-1])
    with pytest.raises(RuntimeError, match="pixels on, not 10257"):
        static_subset(shuffled)


# ---- training


def train(dataset, folder, seed, *arguments, model=VAE):
    """train_vae.train by the homework's settings -> the last weights and the lines of metrics."""
    options = train_vae.parse([f"--seed={seed}", f"--out={folder}", *arguments])
    results = {"static subset": {"nelbo": 0.0}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: dataset)
        patch.setattr(train_vae, "VAE", model)
        patch.setattr(train_vae, "evaluate_all", lambda *_, **__: results)
        patch.setattr(train_vae, "draw_vae", lambda *_: None)
        train_vae.train(options, 0)
    run = folder / "vae-z10-run0"
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return load_file(run / f"model-{options.iter_max:05d}.safetensors"), [*map(json.loads, lines)]


def test_the_same_seed_gives_the_same_bits(mnist, tmp_path):
    """Weights and metrics, twice in one process; and another seed gives others."""
    runs = [
        train(mnist, tmp_path / str(i), seed, "--iter_max=20") for i, seed in enumerate((3, 3, 4))
    ]
    states = [state for state, _ in runs]
    lines = [[line["nelbo"], line["kl"], line["rec"], line["subset_nelbo"]] for _, (line,) in runs]
    for name in states[0]:
        assert states[0][name].tobytes() == states[1][name].tobytes() != states[2][name].tobytes()
    assert lines[0] == lines[1] != lines[2]


def test_training_sees_each_image_once_an_epoch_binarised_afresh(mnist, tmp_path):
    """Six grey images, each with a pixel of its own that is always on; batches of three."""
    images = np.full((6, 28, 28), 128, np.uint8)
    images[:, 0] = 0
    images[np.arange(6), 0, np.arange(6)] = 255
    seen = []

    class Watched(VAE):
        def negative_elbo_bound(self, x):
            seen.append(x.data.copy())
            return super().negative_elbo_bound(x)

    few = mnist._replace(train_images=images)
    train(few, tmp_path, 0, "--iter_max=4", "--batch_size=3", "--eager", model=Watched)
    x = np.concatenate(seen[:4])
    assert x.shape == (12, 784) and set(np.unique(x)) == {0, 1}
    marks, grey = x[:, :28], x[:, 28:]
    assert (marks.sum(axis=1) == 1).all()
    first, second = marks.argmax(axis=1).reshape(2, 6).tolist()
    assert sorted(first) == sorted(second) == list(range(6)) and first != second
    assert len(np.unique(grey, axis=0)) == 12
    p = 128 / 255
    assert abs(grey.mean() - p) < 5 * np.sqrt(p * (1 - p) / grey.size)


def test_evaluation_is_repeatable_and_disturbs_nothing(subset):
    vae = make_vae()
    random.seed(1)
    undisturbed = random.normal(4)
    random.seed(1)
    bounds = evaluate(vae.negative_elbo_bound, [lambda: subset] * 3)
    np.testing.assert_array_equal(random.normal(4), undisturbed)
    assert evaluate(vae.negative_elbo_bound, [lambda: subset] * 3) == bounds
    assert list(bounds) == ["nelbo", "kl", "rec"]
    assert bounds["nelbo"] == pytest.approx(bounds["kl"] + bounds["rec"], rel=1e-6)


def test_a_thousand_iterations_learn_mnist(mnist, subset, tmp_path):
    """On the static subset 15 seeds gave 119.2, sd 1.0, and PyTorch, with 9, 119.1, sd 1.1.

    Below 113 is too good to be true: something was left out. Their KL was 15.7 to 17.1.
    """
    state, metrics = train(mnist, tmp_path, 0, "--iter_max=1000")
    assert [line["iteration"] for line in metrics] == list(range(100, 1001, 100))
    assert 113 < metrics[-1]["subset_nelbo"] < 125
    assert 13 < metrics[-1]["kl"] < 20
    # What was saved is what was trained.
    saved = make_vae(seed=9)
    saved.load_state_dict(state)
    bounds = evaluate(saved.negative_elbo_bound, [lambda: subset] * 10)
    assert bounds["nelbo"] == metrics[-1]["subset_nelbo"]
    # Samples have as much ink as digits, 102.6 pixels of 784 in the subset, not an untrained 392.
    with random.fork(0):
        assert 75 < saved.sample_x(200).data.sum(axis=1).mean() < 125
