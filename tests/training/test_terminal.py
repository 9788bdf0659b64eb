"""A terminal that is closed, a stream that is full, signals to runs side by side."""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from minigrad.training import Run
from minigrad.training.checkpoint import load
from tests.training.scripts import GAN, TINY, finish, posix, start, wait_for

pytestmark = pytest.mark.usefixtures("fashion")


@posix
def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path):
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)  # noqa: E731
    command = ("--arch", "mlp", "--iter_max", 40, "--iter_save", 5, "--out", tmp_path / "out")
    process = start(*command, script=GAN, preexec_fn=ignore)
    wait_for(tmp_path / "out" / "checkpoint.safetensors", process)
    process.send_signal(signal.SIGHUP)
    code, output = finish(process)
    assert code == 0, output
    assert load(tmp_path / "out" / "checkpoint.safetensors")[1]["iteration"] == 40


@posix
def test_a_terminal_that_is_closed_saves_the_run(tmp_path):
    """A real one: its end is SIGHUP, and errors for whatever is written to it afterwards."""
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, GAN, *TINY[:2], "--iter_max", "100000", "--iter_save", "5"]
    code = "import os, fcntl, termios, sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); " \
        "os.execv(sys.argv[1], sys.argv[1:])"  # fmt: skip
    command = [sys.executable, "-c", code, *map(str, command), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    reader = threading.Thread(target=drain, args=[master, tmp_path / "closed"])
    reader.start()
    wait_for(tmp_path / "out" / "checkpoint.safetensors", process)
    (tmp_path / "closed").touch()
    reader.join(60)
    os.close(master)
    try:
        assert process.wait(60) == 128 + signal.SIGHUP
    finally:
        process.kill()
    stopped_at = load(tmp_path / "out" / "checkpoint.safetensors")[1]["iteration"]
    assert stopped_at >= 5


def drain(master, until):
    """Read the terminal, as its window does, until that file is there."""
    while not until.exists():
        if select.select([master], [], [], 0.1)[0]:
            os.read(master, 4096)


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_runs_side_by_side_end_with_the_process_that_started_them(name, tmp_path):
    number, out = getattr(signal, name), tmp_path / "out"
    command = ("--arch", "mlp", "--iter_max", 10**6, "--iter_save", 5, "--out", out)
    process = start(*command, "--runs", 2, "--jobs", 2, script=GAN, start_new_session=True)
    try:
        wait_for(out / "seed1" / "checkpoint.safetensors", process)
        process.send_signal(number)
        code, output = finish(process, timeout=60)  # waits until nobody holds its output any more
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert code == 128 + number and "--resume goes on from the last checkpoints" in output
    Run(out / "seed1", {}).close()


REDIRECTIONS = [">&-", ">/dev/full", "2>&-", "2>/dev/full", "| head -1", "2>&1 | head -c 1"]


@posix
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_a_training_whose_words_cannot_be_written_ends_well(redirection, tmp_path):
    line = f"set -o pipefail; exec '{sys.executable}' '{GAN}' {' '.join(TINY)} --out out"
    line = line.replace("exec", "") if "|" in redirection else line
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}  # it hides faults
    done = subprocess.run(["bash", "-c", f"{line} {redirection}"], cwd=tmp_path, timeout=300,
                          env=buffered, capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "summary.json").exists()
    assert (tmp_path / "out" / "losses.png").exists()


@posix
def test_the_table_of_several_runs_in_ascii_and_from_processes_without_a_standard_error(tmp_path):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    line = f"'{sys.executable}' '{GAN}' {' '.join(TINY)} --runs 2 --jobs 2 --out out 2>&-"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, timeout=300,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0 and b" +- " in done.stdout
    assert (tmp_path / "out" / "summary.json").exists()
