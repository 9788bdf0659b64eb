"""How tests start the training scripts, in a process or in this one, and what a run has left."""

import json
import os
import random
import subprocess
import sys
import time

import pytest

import train_gan
from minigrad import random as generator
from minigrad.training.checkpoint import load
from tests import ROOT

GAN = ROOT / "train_gan.py"
RUN = "vae-z10-run0"  # the folder of the first run of train_vae.py
SHORT = ("--iter_max", 130, "--iter_save", 9)
TINY = ("--arch", "mlp", "--iter_max", "2")  # of train_gan.py
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


# ---- in a process of its own


def start(*arguments, script=ROOT / "train_vae.py", **settings):
    command = [sys.executable, str(script), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, **pipes | settings)


def finish(process, timeout=300):
    output = process.communicate(timeout=timeout)[0]
    assert "Traceback" not in output
    return process.returncode, output


def run(*arguments, **settings):
    return finish(start(*arguments, **settings))


def start_apart(*arguments, **environment):
    """train_vae.py with standard error by itself, and without our variables; on one thread unless
    told: threads that wait for a busy machine spin."""
    ours = ("MINIGRAD_BACKEND", "NUMBA_", "PYTHON")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    clean |= {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | environment
    return start(*arguments, env=clean, stderr=subprocess.PIPE)


def run_apart(*arguments, **environment):
    """Exit code, stdout and stderr."""
    process = start_apart(*arguments, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(path, process):
    for _ in range(3000):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.01)


def killed_and_resumed(folder, kills, seed, *arguments, longest=2.5, **settings):
    """The run in `folder` that SIGKILL meets `kills` times, at random moments up to so many seconds
    from its start, and that is then carried to the end. After each kill, whatever is there can be
    read."""
    generator = random.Random(seed)
    checkpoint = folder / "checkpoint.safetensors"
    for _ in range(kills):
        process = start(*arguments, *["--resume"] * checkpoint.exists(), **settings)
        time.sleep(generator.uniform(0.3, longest))
        process.kill()
        process.communicate()
        for path in folder.glob("[!.]*.safetensors"):
            load(path)
    code, output = run(*arguments, *["--resume"] * checkpoint.exists(), **settings)
    assert code == 0, output


def refused(code, output, *words):
    assert code == 1 and output.count("error:") == 1, output
    for word in words:
        assert word in output


# ---- in this process


def main(*arguments):
    """A tiny training by train_gan.py."""
    with generator.fork(0):
        train_gan.main([*TINY, *map(str, arguments)])


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


# ---- what is left


def tree(folder):
    """Every file's bytes under its path, and folders that are empty; locks are no results."""
    paths = [path for path in folder.rglob("*") if path.is_file() or not list(path.iterdir())]
    paths = [path for path in paths if path.name != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in paths}


def lines(folder):
    """The metrics of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(value):
    if isinstance(value, dict):
        left_out = ("seconds", "peak_megabytes")
        return {k: without_times(v) for k, v in value.items() if k not in left_out}
    return value


def everything(folder):
    """All that a run leaves: arrays as bytes, pictures as bytes, numbers without times."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            arrays, metadata = load(path)
            found[path.name] = {k: a.tobytes() for k, a in arrays.items()}, metadata
        elif path.suffix == ".jsonl":
            lines = path.read_text().split("\n")[:-1]
            found[path.name] = [without_times(json.loads(line)) for line in lines]
        elif path.suffix == ".json":
            found[path.name] = without_times(json.loads(path.read_text()))
        elif path.suffix in (".png", ".gif"):
            found[path.name] = path.read_bytes()
    return found
