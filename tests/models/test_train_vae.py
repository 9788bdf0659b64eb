"""train_vae.py as its users run it: what it leaves, and that it depends on the seed alone."""

import io
import json
import math
import os
import re
import shutil
import struct

import numpy as np
import pytest

import train_vae
from minigrad import data, random
from minigrad.training.checkpoint import load
from models.subset import static_subset
from models.vae import VAE
from tests.training.scripts import RUN, lines, run_apart, tree


@pytest.fixture(scope="module")
def first(mnist, tmp_path_factory):
    """A run of 20 iterations: its folder and what it printed. Tests only look at it."""
    out = tmp_path_factory.mktemp("first")
    code, printed, progress = run_apart("--iter_max", 20, "--iter_save", 10, "--out", out)
    assert code == 0, progress
    assert "Warning" not in progress and "Traceback" not in progress
    assert os.listdir(out) == [RUN]
    return out / RUN, printed


# What a run leaves


def test_a_run_leaves_the_files_that_the_homework_asks_for_and_no_others(first):
    assert sorted(tree(first[0])) == [
        "checkpoint.safetensors",
        "curves.png",
        "metrics.jsonl",
        "model-00010.safetensors",
        "model-00020.safetensors",
        "reconstructions.png",
        "samples.png",
        "samples_mean.png",
        "summary.json",
        "traversal.png",
    ]


def network(weights, name, h):
    for layer in (0, 2, 4):
        h = h @ weights[f"{name}.{layer}.weight"].T + weights[f"{name}.{layer}.bias"]
        h = h if layer == 4 else np.where(h > 0, h, np.expm1(np.minimum(h, 0)))
    return h


def bounds(weights, x, generator, draws):
    """(nelbo, kl, rec) for each draw and image, independently of minigrad: (3, draws, images)."""
    m, h = np.split(network(weights, "encoder", x), 2, axis=1)
    v = np.logaddexp(0, h) + 1e-8
    kl = 0.5 * (v + m**2 - 1 - np.log(v)).sum(axis=1)
    z = m + np.sqrt(v) * generator.standard_normal((draws, *m.shape), dtype=np.float32)
    logits = network(weights, "decoder", z)
    rec = (np.logaddexp(0, logits) - x * logits).sum(axis=2)
    return np.stack([kl + rec, np.broadcast_to(kl, rec.shape), rec]).astype(float)


def test_the_results_are_the_bounds_of_the_saved_weights(first, mnist):
    """Allowed: five standard errors of the difference of two estimates, this one and the run's,
    and 784 eps = 1e-4 for rounding, which is what a product over 784 pixels may be off in float32.
    """
    weights = load(first[0] / "model-00020.safetensors")[0]
    summary = json.loads((first[0] / "summary.json").read_text())
    generator = np.random.default_rng(0)

    ours = bounds(weights, static_subset(mnist), generator, draws=50).mean(axis=2)
    for values, key in zip(ours, ("nelbo", "kl", "rec"), strict=True):
        error = 5 * values.std() * math.sqrt(1 / 50 + 1 / 100) + 1e-4 * values.mean()
        assert abs(summary["results"]["static subset"][key] - values.mean()) < error, key
    error = 5 * ours[0].std() * math.sqrt(1 / 50 + 1 / 10) + 1e-4 * ours[0].mean()
    assert abs(lines(first[0])[-1]["subset_nelbo"] - ours[0].mean()) < error

    def draw(images):
        grey = images.reshape(-1, 784) / np.float32(255)
        x = (generator.random(grey.shape, np.float32) < grey).astype(np.float32)
        return bounds(weights, x, generator, draws=1)[:, 0]

    ours, again = draw(mnist.test_images), draw(mnist.test_images[:1000])
    for one, two, key in zip(ours, again, ("nelbo", "kl", "rec"), strict=True):
        error = 5 * (one[:1000] - two).std() / math.sqrt(10_000) + 1e-4 * one.mean()
        assert abs(summary["results"]["full test set"][key] - one.mean()) < error, key


def test_the_summary_says_what_was_run(first):
    summary = json.loads((first[0] / "summary.json").read_text())
    wanted = {"z": 10, "iterations": 20, "seed": 0, "lr": 1e-3, "batch_size": 100}
    assert {name: summary[name] for name in wanted} == wanted
    assert summary["parameters"] == 661_404
    weights = load(first[0] / "model-00020.safetensors")[0]
    assert sum(array.size for array in weights.values()) == 661_404
    assert 0 < summary["seconds"] < 3600


def test_metrics_are_lines_of_json_and_show_that_it_learns(first):
    (line,) = lines(first[0])
    assert line["iteration"] == 20
    assert abs(line["nelbo"] - line["kl"] - line["rec"]) < 1e-5 * line["nelbo"]  # float32 means
    # All pixels at p = 1/2 cost 784 ln 2 = 543 nats: the first steps must have found the black.
    assert 80 < line["subset_nelbo"] < line["nelbo"] < 784 * math.log(2)


def test_the_table_has_the_numbers_of_the_summary(first):
    folder, printed = first
    summary = json.loads((folder / "summary.json").read_text())
    table = printed.splitlines()
    assert table[-4].split() == ["nats", "NELBO", "KL", "rec"]
    for line, name in zip(table[-3:-1], ("static subset", "full test set"), strict=True):
        numbers = [f"{summary['results'][name][key]:.2f}" for key in ("nelbo", "kl", "rec")]
        assert re.split(r"\s{2,}", line) == [name, *numbers]
    assert str(folder) in table[-1]


def picture(path):
    from matplotlib.image import imread

    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    pixels = imread(io.BytesIO(content), format="png")
    assert pixels.shape[:2] == (height, width)
    return pixels


def digits(path):
    """The cells of a grid of 10 × 20 digits, 2 black pixels apart: (10, 20, 28, 28) in [0, 1]."""
    pixels = picture(path)
    assert pixels.shape[:2] == (10 * 30 + 2, 20 * 30 + 2)
    starts = 2 + 30 * np.arange(10)[:, None] + np.arange(28), 2 + 30 * np.arange(20)[:, None]
    rows, columns = starts[0].ravel(), (starts[1] + np.arange(28)).ravel()
    between = pixels.copy()
    between[np.ix_(rows, columns)] = 0
    assert not between.any()
    return pixels[np.ix_(rows, columns)].reshape(10, 28, 20, 28).transpose(0, 2, 1, 3)


def test_the_samples_are_200_different_digits_drawn_from_the_means_beside_them(first):
    samples, means = digits(first[0] / "samples.png"), digits(first[0] / "samples_mean.png")
    assert set(samples.ravel().tolist()) == {0.0, 1.0}
    assert len({cell.tobytes() for row in samples for cell in row}) == 200
    assert len(set(means.ravel().tolist())) > 100  # shades of grey
    # s ~ Bernoulli(m): (s − m)² has mean m (1 − m) and variance m (1 − m) (1 − 2m)². Allowed: five
    # standard deviations of the sum, and half a shade of 255 for each pixel.
    variance = means * (1 - means)
    deviation = math.sqrt((variance * (1 - 2 * means) ** 2).sum())
    allowed = 5 * deviation + means.size / 510
    assert abs(((samples - means) ** 2).sum() - variance.sum()) < allowed
    assert ((samples - means[::-1]) ** 2).sum() > variance.sum() + allowed  # others' means: no


def test_the_reconstructions_stand_beside_the_subset_a_row_for_each_digit(first, mnist):
    pairs = digits(first[0] / "reconstructions.png")
    subset = static_subset(mnist).reshape(10, 10, 28, 28)
    np.testing.assert_array_equal(pairs[:, ::2], subset)
    assert not np.isin(pairs[:, 1::2], [0, 1]).all()  # probabilities
    matched = np.abs(pairs[:, 1::2] - subset).mean()
    assert matched < np.abs(pairs[:, 1::2] - subset[::-1]).mean()  # of these and no other digits


def test_the_curves_are_a_picture(first):
    pixels = picture(first[0] / "curves.png")
    assert min(pixels.shape[:2]) >= 400
    assert len({tuple(colour) for colour in pixels.reshape(-1, pixels.shape[2])}) > 4


@pytest.fixture
def seen(monkeypatch):
    """Every batch of which train_vae has a bound computed."""
    batches = []

    class Spy(VAE):
        def negative_elbo_bound(self, x):
            batches.append(x.data.copy())
            return super().negative_elbo_bound(x)

    monkeypatch.setattr(train_vae, "VAE", Spy)
    monkeypatch.setattr(train_vae, "draw_vae", lambda *_: None)
    with random.fork(0):
        yield batches


def assert_binarised(x, grey):
    """Each pixel of x is a draw with its p. Of their sum: five standard deviations are allowed."""
    p = grey.reshape(x.shape) / 255
    assert set(x.ravel().tolist()) == {0.0, 1.0}
    assert not x[p == 0].any() and x[p == 1].all()
    assert abs(x.sum(dtype=float) - p.sum()) < 5 * math.sqrt((p * (1 - p)).sum())


def test_a_training_image_is_binarised_afresh_every_time_it_is_used(mnist, seen, tmp_path):
    """Binarised once and for all, the 60,000 images are learnt by heart."""
    one = mnist._replace(train_images=mnist.train_images[:1])
    settings = ["--iter_max=3", "--batch_size=1", f"--out={tmp_path}", "--eager"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: one)
        train_vae.main(settings)
    steps = np.concatenate(seen[:3])
    assert_binarised(steps, np.repeat(one.train_images, 3, axis=0))
    assert len({step.tobytes() for step in steps}) == 3


def test_the_results_are_over_100_draws_of_the_subset_and_all_test_images(mnist, seen, tmp_path):
    train_vae.main(["--iter_max=1", f"--out={tmp_path}", "--eager"])
    subset = static_subset(mnist)
    assert len(seen) == 1 + 10 + 100 + 10
    assert all((x == subset).all() for x in seen[1:111])
    assert_binarised(np.concatenate(seen[111:]), mnist.test_images)


# One run and another


def test_the_same_seed_gives_the_same_bytes_with_another_run_number_and_more_threads(
    first, tmp_path
):
    """... spelt with hyphens."""
    code, _, err = run_apart("--iter-max", 20, "--iter-save", 10, "--batch-size", 100, "--run", 3,
                          "--seed", 0, "--out", tmp_path, NUMBA_NUM_THREADS="2")  # fmt: skip
    assert code == 0, err
    for name in ("model-00010.safetensors", "model-00020.safetensors", "samples.png"):
        again = (tmp_path / "vae-z10-run3" / name).read_bytes()
        assert again == (first[0] / name).read_bytes(), name


def test_numpy_and_numba_train_to_the_same_numbers(first, tmp_path):
    code, _, err = run_apart("--iter_max", 20, "--out", tmp_path, MINIGRAD_BACKEND="numpy")
    assert code == 0, err
    (ours,), (theirs,) = lines(first[0]), lines(tmp_path / RUN)
    for name in ("nelbo", "kl", "rec"):  # 20 steps leave some 1e-6 of rounding
        assert abs(ours[name] - theirs[name]) < 1e-4 * ours[name], name


def test_an_earlier_run_is_set_aside_byte_for_byte_and_another_seed_gives_another_run(
    first, tmp_path
):
    out = tmp_path / "out"
    shutil.copytree(first[0], out / RUN)
    (out / f"{RUN}.1").mkdir()  # taken already
    before = tree(out / RUN)
    code, printed, err = run_apart("--iter_max", 10, "--seed", 1, "--out", out)
    assert code == 0, err
    assert sorted(os.listdir(out)) == [RUN, f"{RUN}.1", f"{RUN}.2"]
    assert tree(out / f"{RUN}.2") == before
    assert tree(out / f"{RUN}.1") == {}
    assert f"{RUN}.2" in printed
    name = "model-00010.safetensors"
    assert (out / RUN / name).read_bytes() != before[name]
