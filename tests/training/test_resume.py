"""A run that is stopped, anyhow and anywhere, goes on to the very bits of one that was not."""

import json
import shutil
import signal

import numpy as np
import pytest

from minigrad.training import Abort, Run
from minigrad.training.checkpoint import load
from models import FILES
from tests.training.scripts import (
    RUN,
    SHORT,
    everything,
    finish,
    killed_and_resumed,
    posix,
    refused,
    run,
    start,
    wait_for,
)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_and_says_how_to_resume(name, undisturbed, tmp_path):
    number = getattr(signal, name)
    process = start(*SHORT, "--out", tmp_path)
    wait_for(tmp_path / RUN / "checkpoint.safetensors", process)
    process.send_signal(number)
    code, output = finish(process)
    assert code == 128 + number and "--resume goes on from there" in output
    stopped_at = load(tmp_path / RUN / "checkpoint.safetensors")[1]["iteration"]
    assert 9 <= stopped_at < 130
    code, output = run(*SHORT, "--out", tmp_path, "--resume")
    assert code == 0, output
    assert everything(tmp_path / RUN) == everything(undisturbed / RUN)


@posix
def test_a_run_that_was_killed_goes_on_to_the_same_bits(undisturbed, tmp_path):
    """`make test-kills` does it 200 times."""
    killed_and_resumed(tmp_path / RUN, 3, 0, *SHORT, "--out", tmp_path)
    assert everything(tmp_path / RUN) == everything(undisturbed / RUN)


def test_resuming_a_finished_run_changes_nothing_and_more_iterations_go_on(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    assert run(*SHORT, "--out", tmp_path, "--resume")[0] == 0
    assert everything(tmp_path / RUN) == everything(undisturbed / RUN)
    assert run("--iter_max", 140, "--out", tmp_path, "--resume")[0] == 0
    assert load(tmp_path / RUN / "checkpoint.safetensors")[1]["iteration"] == 140


# ---- what cannot be resumed or evaluated


def test_resume_without_a_checkpoint(tmp_path):
    refused(*run("--resume", "--out", tmp_path), "checkpoint.safetensors", "without --resume")


def test_resume_beyond_the_last_iteration(undisturbed):
    refused(*run("--resume", "--iter_max", 50, "--out", undisturbed), "iteration 130 already")


def test_of_several_runs_resume_starts_those_that_were_not_reached(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    code, output = run(*SHORT, "--runs", 2, "--resume", "--out", tmp_path)
    assert code == 0, output
    assert everything(tmp_path / RUN) == everything(undisturbed / RUN)
    assert load(tmp_path / "vae-z10-run1" / "checkpoint.safetensors")[1]["iteration"] == 130


def test_resume_with_other_settings(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    before = everything(tmp_path / RUN)
    refused(*run("--resume", "--lr", 0.01, "--out", tmp_path), "made with", "0.001", "0.01")
    assert everything(tmp_path / RUN) == before


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:1000] + b"\7" + b[1001:]])
def test_damaged_files_are_refused_by_name(damage, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    for name, flags in [("checkpoint", ["--resume"]), ("model-00130", ["--train", 0])]:
        path = tmp_path / RUN / f"{name}.safetensors"
        path.write_bytes(damage(path.read_bytes()))
        refused(*run(*SHORT, *flags, "--out", tmp_path), path.name, "damaged")


def test_another_architecture_is_refused_by_name(undisturbed, tmp_path):
    shutil.copytree(undisturbed / RUN, tmp_path / "vae-z5-run0")
    command = (*SHORT, "--z", 5, "--out", tmp_path)
    refused(*run(*command, "--resume"), "checkpoint.safetensors", "'z': 10", "'z': 5")
    refused(*run(*command, "--train", 0), "model-00130", "another model", "encoder.4.weight")


def test_train_0_gives_the_numbers_of_the_training(undisturbed):
    before = everything(undisturbed / RUN)
    code, output = run(*SHORT, "--train", 0, "--out", undisturbed)
    assert code == 0
    for row in before["summary.json"]["results"].values():
        assert f"{row['nelbo']:.2f}" in output
    assert everything(undisturbed / RUN) == before
    never = run("--iter_max", 7, "--train", 0, "--out", undisturbed)
    refused(*never, "model-00007", "No such file")


# ---- several runs


def test_runs_side_by_side_give_the_bits_of_runs_one_by_one(undisturbed, tmp_path):
    code, output = run(*SHORT, "--runs", 2, "--jobs", 2, "--train", 2, "--out", tmp_path)
    assert code == 0 and "±" in output and "IWAE-1000" in output
    ours, reference = everything(tmp_path / RUN), everything(undisturbed / RUN)
    iwae = ours["summary.json"]["results"]
    assert [k for k in iwae if "IWAE" in k] == [f"subset, IWAE-{m}" for m in (1, 10, 100, 1000)]
    ours["summary.json"]["results"] = {k: v for k, v in iwae.items() if "IWAE" not in k}
    assert ours == reference
    summary = json.loads((tmp_path / "vae-z10-summary.json").read_text())
    values = [s["results"]["full test set"]["nelbo"] for s in summary["runs"]]
    assert values[0] != values[1] and [s["seed"] for s in summary["runs"]] == [0, 1]
    found = summary["together"]["full test set"]["nelbo"]
    assert found["mean"] == pytest.approx(sum(values) / 2)
    assert found["standard_error"] == pytest.approx(abs(values[0] - values[1]) / 2)


# ---- places that fail


def test_a_second_process_on_the_same_run_is_refused(undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    first = Run(tmp_path / RUN, files=FILES)
    before = everything(first.folder)
    for flags in ([], ["--resume"]):
        words = ("another process",) if not flags else ()
        refused(*run(*SHORT, *flags, "--out", tmp_path), *words)
    assert everything(first.folder) == before
    with pytest.raises(Abort, match="another process"):
        Run(tmp_path / RUN, {})


@posix
def test_a_folder_that_vanishes_in_mid_run(tmp_path):
    process = start("--iter_max", 100_000, "--iter_save", 20, "--out", tmp_path)
    wait_for(tmp_path / RUN / "checkpoint.safetensors", process)
    shutil.rmtree(tmp_path / RUN, ignore_errors=True)
    code, output = finish(process)
    refused(code, output, RUN, "No such file or directory", "--out")


@posix
def test_a_disk_without_room_loses_nothing(undisturbed, tmp_path):
    """A limit on the size of files stands for the disk: a checkpoint's write fails half-way."""
    import resource

    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    before = everything(tmp_path / RUN)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))  # noqa: E731
    command = ("--iter_max", 140, "--iter_save", 9, "--resume", "--out", tmp_path)
    code, output = run(*command, preexec_fn=limit)
    refused(code, output, "File too large", "make room")
    after = everything(tmp_path / RUN)
    assert {k: after[k] for k in before} == before
    assert not list((tmp_path / RUN).glob(".model*")) + list((tmp_path / RUN).glob(".check*"))
    assert run(*command)[0] == 0


# ---- PyTorch


def test_the_weights_of_a_run_work_in_the_pytorch_twin(undisturbed, torch):
    from safetensors.torch import load_file

    from benchmarks.pytorch_vae import VAE as Twin
    from minigrad import Tensor
    from models.vae import VAE

    path = undisturbed / RUN / "model-00130.safetensors"
    ours, twin = VAE(), Twin()
    ours.load_state_dict(load(path)[0])
    twin.load_state_dict(load_file(path))
    z = np.random.RandomState(0).randn(7, 10).astype(np.float32)
    theirs = torch.sigmoid(twin.decoder(torch.from_numpy(z))).detach().numpy()
    np.testing.assert_allclose(ours.compute_sigmoid_given(Tensor(z)).numpy(), theirs, atol=1e-6)
