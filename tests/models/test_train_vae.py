"""train_vae.py as its users run it: what it leaves, and what it says when something is wrong."""

import gzip
import io
import json
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import train_vae
from minigrad import data, random
from minigrad.training.checkpoint import load
from models.subset import static_subset
from models.vae import VAE
from tests import ROOT

RUN = "vae-z10-run0"


@pytest.fixture(scope="module")
def mnist():
    try:
        return data.load("mnist")
    except data.DataError as error:
        pytest.skip(f"THE TRAINING SCRIPT WAS NOT TESTED: {error}")


def start(*arguments, **settings):
    """The script's process; on one thread unless told: threads that wait for a busy machine spin"""
    ours = ("MINIGRAD_BACKEND", "NUMBA_", "PYTHON")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | settings
    command = [sys.executable, ROOT / "train_vae.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def script(*arguments, **settings):
    """Exit code, stdout and stderr."""
    process = start(*arguments, **settings)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def tree(folder):
    """Every file's bytes under its path, and folders that are empty; locks are no results."""
    paths = [path for path in folder.rglob("*") if path.is_file() or not list(path.iterdir())]
    paths = [path for path in paths if path.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


@pytest.fixture(scope="module")
def first(mnist, tmp_path_factory):
    """A run of 20 iterations: its folder and what it printed. Tests only look at it."""
    out = tmp_path_factory.mktemp("first")
    code, printed, progress = script("--iter_max", 20, "--iter_save", 10, "--out", out)
    assert code == 0, progress
    assert "Warning" not in progress and "Traceback" not in progress
    assert os.listdir(out) == [RUN]
    return out / RUN, printed


@pytest.fixture
def earlier(tmp_path):
    """A results folder with an earlier run in it."""
    out = tmp_path / "out"
    (out / RUN).mkdir(parents=True)
    (out / RUN / "summary.json").write_text('{"precious": 1}\n')
    (out / RUN / "model-20000.safetensors").write_bytes(bytes(range(256)))
    return out


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


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


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
    settings = ["--iter_max=3", "--batch_size=1", f"--out={tmp_path}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_: one)
        train_vae.main(settings)
    steps = np.concatenate(seen[:3])
    assert_binarised(steps, np.repeat(one.train_images, 3, axis=0))
    assert len({step.tobytes() for step in steps}) == 3


def test_the_results_are_over_100_draws_of_the_subset_and_all_test_images(mnist, seen, tmp_path):
    train_vae.main(["--iter_max=1", f"--out={tmp_path}"])
    subset = static_subset(mnist)
    assert len(seen) == 1 + 10 + 100 + 10
    assert all((x == subset).all() for x in seen[1:111])
    assert_binarised(np.concatenate(seen[111:]), mnist.test_images)


# One run and another


def test_the_same_seed_gives_the_same_bytes_with_another_run_number_and_more_threads(
    first, tmp_path
):
    """... spelt with hyphens."""
    code, _, err = script("--iter-max", 20, "--iter-save", 10, "--batch-size", 100, "--run", 3,
                          "--seed", 0, "--out", tmp_path, NUMBA_NUM_THREADS="2")  # fmt: skip
    assert code == 0, err
    for name in ("model-00010.safetensors", "model-00020.safetensors", "samples.png"):
        again = (tmp_path / "vae-z10-run3" / name).read_bytes()
        assert again == (first[0] / name).read_bytes(), name


def test_numpy_and_numba_train_to_the_same_numbers(first, tmp_path):
    code, _, err = script("--iter_max", 20, "--out", tmp_path, MINIGRAD_BACKEND="numpy")
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
    code, printed, err = script("--iter_max", 10, "--seed", 1, "--out", out)
    assert code == 0, err
    assert sorted(os.listdir(out)) == [RUN, f"{RUN}.1", f"{RUN}.2"]
    assert tree(out / f"{RUN}.2") == before
    assert tree(out / f"{RUN}.1") == {}
    assert f"{RUN}.2" in printed
    name = "model-00010.safetensors"
    assert (out / RUN / name).read_bytes() != before[name]


def test_ctrl_c_in_mid_run_stops_with_130_and_leaves_whole_files(mnist, earlier):
    before = tree(earlier)
    process = start("--iter_max", 10**6, "--iter_save", 25, "--out", earlier)
    try:
        metrics, deadline = earlier / RUN / "metrics.jsonl", time.monotonic() + 120
        while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err and "stopped" in printed and "--resume" in printed
    names = sorted(tree(earlier / RUN))
    wanted = [f"model-{25 * i:05d}.safetensors" for i in range(1, len(names) - 1)]
    assert len(names) > 4 and names == ["checkpoint.safetensors", "metrics.jsonl", *wanted]
    iterations = [line["iteration"] for line in lines(earlier / RUN)]
    assert iterations == list(range(100, 100 * len(iterations) + 1, 100))
    for name in wanted[-3:]:
        assert sum(array.size for array in load(earlier / RUN / name)[0].values()) == 661_404
    aside = {path.replace(RUN, f"{RUN}.1"): content for path, content in before.items()}
    assert {k: v for k, v in tree(earlier).items() if k.startswith(f"{RUN}.1")} == aside


# What is wrong is said once, with its mend, and costs nobody their results


def assert_refused(result, *words):
    code, _, err = result
    assert code in (1, 2), err
    assert "Traceback" not in err and err.count("error:") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("option, value, words", [
    ("--z", "0", "0 is not a whole number of 1 or more"),
    ("--z", "ten", "ten is not a whole number of 1 or more"),
    ("--iter_max", "-1", "-1 is not a whole number of 1 or more"),
    ("--iter_save", "0", "0 is not a whole number of 1 or more"),
    ("--batch-size", "0", "0 is not a whole number of 1 or more"),
    ("--batch_size", "70000", "from 1 to 60000"),
    ("--lr", "0", "0 is not a positive number"),
    ("--lr", "nan", "nan is not a positive number"),
    ("--run", "-1", "-1 is not a whole number of 0 or more"),
    ("--iterations", "5", "usage:"),
])  # fmt: skip
def test_a_bad_option_is_named_with_what_it_may_be(option, value, words, mnist, earlier):
    before = tree(earlier)
    assert_refused(script("--iter_max", 1, option, value, "--out", earlier), option, value, words)
    assert tree(earlier) == before


def test_a_results_folder_that_cannot_be_is_named_with_the_option_for_another(mnist, tmp_path):
    """A file where the folder should be: root may write into any folder."""
    place = tmp_path / "notes.txt"
    place.write_text("mine")
    assert_refused(script("--iter_max", 1, "--out", place), str(place), "--out")
    assert tree(tmp_path) == {"notes.txt": b"mine"}


def test_a_data_folder_that_is_missing_is_named_with_the_command_that_fetches(earlier):
    before, missing = tree(earlier), earlier / "nowhere"
    result = script("--iter_max", 1, "--data-dir", missing, "--out", earlier)
    assert_refused(result, str(missing), "there is no such folder", "python -m minigrad.data mnist")
    assert tree(earlier) == before


@pytest.mark.parametrize("damage", ["cut short", "one pixel changed"])
def test_a_damaged_data_file_is_named_and_not_trained_on(damage, mnist, earlier, tmp_path):
    source, folder, bad = data.find_or_fetch("mnist"), tmp_path / "data", "t10k-images-idx3-ubyte"
    folder.mkdir()
    for path in source.iterdir():
        if path.name.removesuffix(".gz") in data.sets.SHAPES:
            (folder / path.name).symlink_to(path.resolve())
    content = b"\0\0\x08\x03" + struct.pack(">III", 10_000, 28, 28) + mnist.test_images.tobytes()
    content = content[:-1000] if damage == "cut short" else content[:-1] + b"\1"
    for path in folder.glob(f"{bad}*"):
        path.unlink()
    (folder / f"{bad}.gz").write_bytes(gzip.compress(content, compresslevel=1))
    before = tree(earlier)
    reason = "truncated" if damage == "cut short" else "damaged"
    assert_refused(
        script("--iter_max", 1, "--data_dir", folder, "--out", earlier), str(folder), bad, reason
    )
    assert tree(earlier) == before


def test_the_other_set_under_the_same_names_is_recognised(mnist, earlier, monkeypatch):
    """Fashion-MNIST's files have MNIST's names. Here the checksums change places, not the files."""
    swapped = dict(zip(data.sets.SHA256, reversed(data.sets.SHA256.values()), strict=True))
    folder, before = data.find_or_fetch("mnist"), tree(earlier)
    monkeypatch.setattr(data.sets, "SHA256", swapped)
    with pytest.raises(SystemExit) as stop:
        train_vae.main(["--iter_max=1", f"--data-dir={folder}", f"--out={earlier}"])
    assert "is not that of mnist: it is train-images-idx3-ubyte of fashion-mnist" in stop.value.code
    assert tree(earlier) == before


def test_a_run_that_diverges_says_so_and_keeps_the_earlier_run(mnist, earlier):
    before = tree(earlier / RUN)
    result = script("--lr", "1e6", "--iter_max", 20, "--out", earlier)
    assert_refused(result, "diverged", "smaller --lr", "nelbo is nan at iteration 2")
    assert tree(earlier / f"{RUN}.1") == before
    assert not (earlier / RUN / "summary.json").exists()
