"""training.report: pictures look the same under anybody's settings, and none ends a run."""

import builtins
import os
import subprocess
import sys
import threading
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from minigrad.training import report
from tests import ROOT

METRICS = [{"iteration": i, "nelbo": 100 / i} for i in range(1, 30)]


def curves(path):
    report.save_curves(path, METRICS, {"training −ELBO": "nelbo"})
    return path.read_bytes()


def scatter(path):
    report.save_scatter(path, np.arange(40.0).reshape(20, 2), np.arange(20) % 10)
    return path.read_bytes()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Both pictures under matplotlib's own settings."""
    folder = tmp_path_factory.mktemp("plain")
    with matplotlib.rc_context({k: v for k, v in matplotlib.rcParamsDefault.items()}):
        return curves(folder / "c.png"), scatter(folder / "s.png")


def test_a_hosts_settings_change_no_picture_and_stay(plain, tmp_path):
    odd = {"text.usetex": True, "font.family": "No Such Font", "figure.dpi": 7,
           "savefig.facecolor": "red", "savefig.bbox": "tight", "axes.grid": True,
           "figure.constrained_layout.use": True}  # fmt: skip
    with matplotlib.rc_context(odd):
        before = dict(matplotlib.rcParams)
        assert (curves(tmp_path / "c.png"), scatter(tmp_path / "s.png")) == plain
        assert dict(matplotlib.rcParams) == before


def test_a_hosts_backend_and_figures_stay(plain, tmp_path):
    import matplotlib.pyplot as plt

    before = dict.__getitem__(matplotlib.rcParams, "backend")
    dict.__setitem__(matplotlib.rcParams, "backend", "module://nowhere")
    try:
        assert curves(tmp_path / "c.png") == plain[0]
        assert dict.__getitem__(matplotlib.rcParams, "backend") == "module://nowhere"
    finally:
        dict.__setitem__(matplotlib.rcParams, "backend", before)
    assert plt.get_fignums() == []


def test_threads_that_draw_at_once_give_the_same_pictures_and_settings(plain, tmp_path):
    before, found = dict(matplotlib.rcParams), []

    def draw(name):
        found.extend(curves(tmp_path / f"{name}-{i}.png") for i in range(3))

    with matplotlib.rc_context({"figure.dpi": 7}):
        threads = [threading.Thread(target=draw, args=[n]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert matplotlib.rcParams["figure.dpi"] == 7
    assert len(found) == 12 and set(found) == {plain[0]}
    assert dict(matplotlib.rcParams) == before


DRAW = """
import os, sys
from pathlib import Path
from minigrad.training import report
before = dict(os.environ)
report.save_curves(Path(sys.argv[1]), METRICS, {"training −ELBO": "nelbo"})
assert dict(os.environ) == before and "matplotlib.pyplot" not in sys.modules
"""
SETTINGS = {
    "a notebook's": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "no backend's": {"MPLBACKEND": "nonsense"},
    "TeX's": {"MATPLOTLIBRC": b"text.usetex: True\nfont.family: No Such Font\n"},
    "broken": {"MATPLOTLIBRC": b"axes.grid: perhaps\nnonsense\n: :\nbackend: nonsense\n"},
    "no text": {"MATPLOTLIBRC": b"\xff\xfe\0\0"},
    "unwritable": {"MPLCONFIGDIR": "/dev/null/x", "HOME": "/dev/null/x"},
    "none": {"HOME": None, "MPLCONFIGDIR": None},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_users_settings_change_no_picture(kind, plain, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    environment["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    for name, value in SETTINGS[kind].items():
        if isinstance(value, bytes):
            (tmp_path / "matplotlibrc").write_bytes(value)
            value = str(tmp_path / "matplotlibrc")
        environment.pop(name, None)
        environment |= {name: value} if value else {}
    code = f"METRICS = {METRICS}\n{DRAW}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "c.png")], env=environment, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "not drawn" not in done.stderr, done.stderr
    assert (tmp_path / "c.png").read_bytes() == plain[0]


# A picture that fails


IMAGES = np.zeros((4, 5, 5))
PICTURES = {
    "grid": lambda path: report.save_grid(path, IMAGES, 2),
    "animation": lambda path: report.save_animation(path, [path.with_name("frame.png")]),
    "curves": lambda path: report.save_curves(path, METRICS, {"a": "nelbo"}),
    "no such numbers": lambda path: report.save_curves(path, METRICS, {"a": "nothing"}),
    "scatter": lambda path: report.save_scatter(path, np.zeros((3, 2)), np.zeros(3)),
}


def full(path):
    raise OSError(28, "No space left on device\nat all")


def without(module):
    real = builtins.__import__

    def imported(name, *arguments, **settings):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *arguments, **settings)

    return imported


@pytest.mark.parametrize("what", ["grid", "animation", "curves", "scatter"])
@pytest.mark.parametrize("fault", ["disk", "module", "folder"])
def test_a_picture_that_fails_is_one_line_that_names_it(what, fault, tmp_path, capsys, monkeypatch):
    report.save_grid(tmp_path / "frame.png", IMAGES, 2)
    path = tmp_path / "the picture.png"
    if fault == "disk":
        monkeypatch.setattr(report, "replacing", full)
    elif fault == "module":
        module = "PIL" if what in ("grid", "animation") else "matplotlib"
        monkeypatch.setattr(builtins, "__import__", without(module))
    else:
        path = tmp_path / "frame.png" / "below a file.png"
    PICTURES[what](path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path} was not drawn: ") and len(line) > len(str(path)) + 25
    assert [p.name for p in tmp_path.iterdir()] == ["frame.png"]


def test_curves_of_numbers_that_are_not_there_are_a_line_too(tmp_path, capsys):
    PICTURES["no such numbers"](tmp_path / "c.png")
    assert capsys.readouterr().err.startswith(f"{tmp_path}/c.png was not drawn: ")
    PICTURES["curves"](tmp_path / "c.png")  # and the next one works
    assert (tmp_path / "c.png").exists() and capsys.readouterr().err == ""
