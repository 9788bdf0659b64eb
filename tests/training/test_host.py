"""Trainings in somebody's process, a notebook's or a thread's: they leave it as it was."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

import train_gan
import train_vae
from minigrad.training import Run
from minigrad.training.checkpoint import load
from minigrad.training.metrics import Metrics
from tests import ROOT
from tests.training.scripts import TINY, failing, main, tree

pytestmark = pytest.mark.usefixtures("fashion")


def host():
    """What is the host's: signal handlers, environment, matplotlib's settings."""
    import matplotlib

    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    handlers = [signal.getsignal(getattr(signal, name)) for name in names]
    streams = sys.stdout, sys.stderr
    return handlers, dict(os.environ), dict(matplotlib.rcParams), streams


def test_a_notebook_can_run_resume_fail_and_run_again(tmp_path, monkeypatch, capsys):
    before, out = host(), tmp_path / "out"
    main("--out", out)
    weights = load(out / "generator-00002.safetensors")[0]
    main("--out", out)
    assert (tmp_path / "out.1" / "summary.json").exists()
    main("--out", out, "--iter_max", 3, "--resume")
    for error, seen in ((RuntimeError("a bug"), RuntimeError), (KeyboardInterrupt(), SystemExit)):
        with monkeypatch.context() as patch, pytest.raises(seen):
            patch.setattr(Metrics, "record", failing(error))
            main("--out", out)
    with pytest.raises(SystemExit), monkeypatch.context() as patch:
        stop = lambda self: os.kill(os.getpid(), signal.SIGTERM) or {}  # noqa: E731
        patch.setattr(Run, "_state", stop)
        main("--out", out, "--iter_save", 1)
    main("--out", out)
    again = load(out / "generator-00002.safetensors")[0]
    assert all((again[name] == weights[name]).all() for name in weights)
    assert host() == before


def test_several_runs_in_processes_leave_the_environment_and_set_their_summary_aside(
    tmp_path, capsys
):
    before, out = host(), tmp_path / "out"
    main("--out", out)
    for _ in range(2):
        main("--out", out, "--runs", 2, "--jobs", 2)
        assert (out / "seed0" / "generator-00002.safetensors").exists()
    assert host() == before
    assert (tmp_path / "out.1" / "generator-00002.safetensors").exists()
    assert not (out / "generator-00002.safetensors").exists()
    assert "runs" in json.loads((out / "summary.json.1").read_text())
    main("--out", out, "--runs", 2, "--resume")
    main("--out", out)
    assert "runs" in json.loads((tmp_path / "out.2" / "summary.json").read_text())
    assert "runs" not in json.loads((out / "summary.json").read_text())


@pytest.mark.parametrize("script, name", [(train_gan, "summary"), (train_vae, "vae-z10-summary")])
def test_a_summary_of_the_users_is_refused_before_the_training(script, name, tmp_path):
    path = tmp_path / f"{name}.json"
    path.write_text('{"mine": 1}')
    for flags in ([], ["--resume"]):
        with pytest.raises(SystemExit, match="summary.json.*another --out"):
            script.main(["--iter_max=1", "--runs=2", f"--out={tmp_path}", *flags])
    assert tree(tmp_path) == {path.name: b'{"mine": 1}'}


def test_a_thread_can_run_and_a_second_one_in_the_same_folder_is_refused(tmp_path, monkeypatch):
    before, ends, inside = host(), [], threading.Barrier(2)
    real = Run.steps

    def meet(self, *arguments, **settings):
        inside.wait(60)
        inside.wait(60)
        return real(self, *arguments, **settings)

    monkeypatch.setattr(Run, "steps", meet)
    thread = threading.Thread(target=lambda: ends.append(main("--out", tmp_path / "out")))
    thread.start()
    inside.wait(60)
    with pytest.raises(SystemExit, match="another process or thread"):
        train_gan.main([*TINY, "--out", str(tmp_path / "out")])
    inside.wait(60)
    thread.join(120)
    assert ends == [None] and (tmp_path / "out" / "summary.json").exists()
    assert host() == before


def test_joblib_leaves_the_environment_as_it_was_when_it_is_first_imported():
    """In a process of its own, for here another test may have imported it."""
    code = """
import os
from minigrad.training.several import _joblib
before = dict(os.environ)
print(_joblib().__name__, dict(os.environ) == before)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "joblib True\n", done.stderr
