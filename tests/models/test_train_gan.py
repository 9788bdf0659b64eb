"""train_gan.py as its users run it: what it leaves, how it goes on, what it refuses."""

import json
import shutil
import time

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

import train_gan
from minigrad import Tensor, data, no_grad, random, training
from minigrad.training.checkpoint import load
from models import gan
from models.evaluation import statistics
from models.pictures import generated
from tests import ROOT
from tests.training.scripts import (
    GAN,
    everything,
    killed_and_resumed,
    posix,
    refused,
    run,
    start,
    wait_for,
)

SHORT = ("--iter_max", 55, "--iter_save", 25)


@pytest.fixture(scope="module")
def undisturbed(fashion, tmp_path_factory):
    """A run of 55 steps: its folder and what it printed. Tests only look at it."""
    out = tmp_path_factory.mktemp("gan") / "out"
    code, printed = run(*SHORT, "--out", out, script=GAN)
    assert code == 0, printed
    return out, printed


def cells(path, count):
    """The first cells of a grid with 10 a row, 2 black pixels apart: (count, 28, 28) in [0, 1]."""
    pixels = imread(path)
    corners = [(2 + 30 * (i // 10), 2 + 30 * (i % 10)) for i in range(count)]
    return np.stack([pixels[y : y + 28, x : x + 28] for y, x in corners])


def test_the_protocol():
    options = train_gan.parse([])
    assert (options.arch, options.loss, options.epochs) == ("conv", "nonsaturating", 1)
    assert str(options.out) == "out_nonsaturating" and options.lr == 1e-3
    assert 60_000 // train_gan.BATCH == 937
    assert str(train_gan.parse(["--loss", "minimax"]).out) == "out_minimax"
    g, d, adam_g, adam_d = train_gan.make_networks("conv", options.lr)
    for adam, network in ((adam_g, g), (adam_d, d)):
        assert (adam.lr, adam.betas) == (1e-3, (0.5, 0.999))
        assert [id(p) for p in adam.params] == [id(p) for p in network.parameters()]


def test_an_epoch_is_937_steps_and_sees_each_image_at_most_once(fashion, monkeypatch, tmp_path):
    """With steps that only look at the images."""
    seen = []

    def look(x):
        seen.append(x)
        return {"d_loss": 0.0, "g_loss": 0.0}

    monkeypatch.setattr(train_gan, "make_step", lambda *_: look)
    monkeypatch.setattr(training, "save_grid", lambda *_: None)
    with random.fork(0):
        command = ["--arch", "mlp", "--out", str(tmp_path / "out"), "--iter_save", "9999"]
        train_gan.main([*command, "--epochs", "2", "--eager"])  # a program looks at nothing
    assert len(seen) == 2 * 937 and {(x.shape, str(x.dtype)) for x in seen} == {
        ((64, 28, 28), "uint8")
    }
    assert (seen[0] != seen[937]).any()
    rows = [row.tobytes() for x in seen[:937] for row in x]
    images = [image.tobytes() for image in fashion.train_images]
    known = set(images)
    assert all(row in known for row in rows)
    assert len(set(rows)) > len(set(images)) - 100  # 32 of 60,000 are left out


def test_a_run_leaves_the_files_that_the_homework_asks_for_and_no_others(undisturbed):
    assert sorted(path.name for path in undisturbed[0].iterdir() if path.name != ".lock") == [
        "checkpoint.safetensors",
        "discriminator-00025.safetensors",
        "discriminator-00050.safetensors",
        "discriminator-00055.safetensors",
        "fake_0050.png",
        "generator-00025.safetensors",
        "generator-00050.safetensors",
        "generator-00055.safetensors",
        "losses.png",
        "metrics.jsonl",
        "real.png",
        "summary.json",
        "training.gif",
    ]


def test_the_pictures(undisturbed, fashion):
    """fake_0050.png is what the weights of iteration 50 make of z_test in evaluation mode."""
    folder, _ = undisturbed
    assert imread(folder / "fake_0050.png").shape[:2] == (302, 302)
    with random.fork(0):
        g, *_ = train_gan.make_networks("conv", 1e-3)  # draws what the run drew
        z_test = random.normal((100, 64))
    g.load_state_dict(load(folder / "generator-00050.safetensors")[0])
    with no_grad():
        x = g.eval()(Tensor(z_test)).numpy()
    expected = np.clip((x[:, 0] + 1) / 2, 0, 1)
    shades = np.abs(cells(folder / "fake_0050.png", 100) - expected)
    assert shades.max() <= 0.51 / 255  # rounded to 8 bits
    real = np.round(255 * cells(folder / "real.png", 64)).astype(int)
    known = {image.tobytes() for image in fashion.train_images.astype(int)}
    assert len({image.tobytes() for image in real} & known) == 64  # 64 different ones
    assert imread(folder / "losses.png").shape[0] > 400


def test_the_animation_shows_the_grids_in_order_for_ever(tmp_path):
    from minigrad.training.report import save_animation

    for shade in (0, 100, 200):
        Image.new("L", (8, 8), shade).save(tmp_path / f"fake_{shade:04d}.png")
    save_animation(tmp_path / "training.gif", sorted(tmp_path.glob("*.png")))
    with Image.open(tmp_path / "training.gif") as animation:
        shades = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            shades.append(animation.convert("L").getpixel((0, 0)))
        assert shades == [0, 100, 200] and animation.info["loop"] == 0


def test_the_summary_and_the_metrics(undisturbed):
    folder, printed = undisturbed
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["parameters"] == [1_654_121, 1_640_033] and summary["iterations"] == 55
    assert 100 < summary["peak_megabytes"] < 4000
    for row in summary["results"].values():
        assert "".join(f"{value:>16.2f}" for value in row.values()) in printed
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in metrics] == [10, 20, 30, 40, 50, 55]
    assert set(metrics[0]) == {"iteration", "d_loss", "g_loss", "seconds"}
    assert metrics[0]["d_loss"] > 0.5  # from 2 log 2: D has not won in ten steps


@pytest.mark.parametrize("mode", [True, False])
def test_a_picture_is_drawn_in_evaluation_mode_and_leaves_the_mode_as_it_was(mode):
    with random.fork(0):
        g = gan.mlp_generator().train(mode)
        z = Tensor(random.normal((3, 64)))
    before = g.state_dict()
    first = generated(g, z)
    assert g.training is mode and all((before[k] == v).all() for k, v in g.state_dict().items())
    np.testing.assert_array_equal(first[:1], generated(g, Tensor(z.data[:1])))  # not the batch's


def test_the_statistics_of_images():
    x = np.zeros((2, 28, 28))
    x[1, :14] = 1
    found = statistics(x)
    assert found["mean"] == 0.25 and found["zeros"] == 0.75
    assert found["sd"] == pytest.approx(np.sqrt(0.25 * 0.75))
    assert found["distance"] == pytest.approx(np.sqrt(392))


def test_the_weights_of_a_run_work_in_the_pytorch_twin(undisturbed, torch):
    from safetensors.torch import load_file

    folder, _ = undisturbed
    theirs = gan.conv_generator(torch.nn).eval()
    theirs.load_state_dict(load_file(folder / "generator-00055.safetensors"))
    ours = gan.conv_generator().eval()
    ours.load_state_dict(load(folder / "generator-00055.safetensors")[0])
    z = np.random.RandomState(0).randn(5, 64).astype(np.float32)
    expected = theirs(torch.from_numpy(z)).detach().numpy()
    np.testing.assert_allclose(ours(Tensor(z)).data, expected, atol=1e-4)


# ---- going on


@posix
def test_a_run_that_was_killed_goes_on_to_the_same_bits(undisturbed, tmp_path):
    """BatchNorm's statistics, both Adams, the place in the epoch, the latents of the pictures."""
    out = tmp_path / "out"
    process = start(*SHORT, "--out", out, script=GAN)
    wait_for(out / "checkpoint.safetensors", process)
    time.sleep(0.5)  # some steps beyond it
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert load(out / "checkpoint.safetensors")[1]["iteration"] in (25, 50)
    killed_and_resumed(out, 1, 0, *SHORT, "--out", out, script=GAN, longest=9)
    assert everything(out) == everything(undisturbed[0])


def test_more_iterations_go_on_and_another_network_does_not(undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed[0], out)
    for name, value, before in (("arch", "mlp", "conv"), ("loss", "minimax", "nonsaturating")):
        result = run(*SHORT, "--resume", f"--{name}", value, "--out", out, script=GAN)
        refused(*result, f"'{name}': '{before}'", value)
    code, printed = run("--iter_max", 60, "--resume", "--out", out, script=GAN)
    assert code == 0, printed
    assert load(out / "checkpoint.safetensors")[1]["iteration"] == 60


def test_several_runs_each_have_a_folder_and_an_earlier_one_is_set_aside(fashion, tmp_path):
    command = ("--arch", "mlp", "--iter_max", 3, "--seed", 4, "--out", tmp_path / "out")
    code, printed = run(*command, "--runs", 2, script=GAN)
    assert code == 0 and "±" in printed, printed
    folders = [tmp_path / "out" / name for name in ("seed4", "seed5")]
    states = [load(folder / "generator-00003.safetensors")[0] for folder in folders]
    assert (states[0]["0.weight"] != states[1]["0.weight"]).any()
    code, printed = run(*command, script=GAN)
    assert code == 0 and "out.1" in printed
    again = load(tmp_path / "out" / "generator-00003.safetensors")[0]
    assert all((again[name] == value).all() for name, value in states[0].items())
    assert (tmp_path / "out.1" / "summary.json").exists()


# ---- the other data


@pytest.mark.parametrize("wanted, given", [("fashion-mnist", "mnist"), ("mnist", "fashion-mnist")])
def test_the_other_set_is_refused_by_name(wanted, given, fashion, tmp_path):
    """Its files have the same names."""
    script = ROOT / {"fashion-mnist": "train_gan.py", "mnist": "train_vae.py"}[wanted]
    folder = data.find_or_fetch(given)
    result = run("--data-dir", folder, "--out", tmp_path / "out", script=script)
    refused(*result, f"is not that of {wanted}: it is train-images-idx3-ubyte of {given}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option, value", [("--arch", "big"), ("--loss", "hinge"), ("--epochs", "0"), ("--seed", "-1")]
)
def test_a_bad_option_is_named(option, value, capsys):
    with pytest.raises(SystemExit) as stop:
        train_gan.parse([option, value])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and option in message and value in message
