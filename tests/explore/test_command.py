"""python -m minigrad.explore, and what it says where something is missing."""

import sys

import pytest

import minigrad
from minigrad import training
from minigrad.explore.__main__ import main
from models.vae import VAE


def test_square_and_xor_need_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["square"]) == 0 and main(["xor", "--out", "other.html"]) == 0
    said = capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other.html", "square.html"]
    assert str(tmp_path / "square.html") in said and "open it in a browser" in said


def test_trained_weights_are_shown(tmp_path, mnist, capsys):
    vae = VAE(z_dim=3)
    state = vae.state_dict()
    state["decoder.4.bias"][:] = 0.8125
    for number in ("00010", "99999"):
        training.save(tmp_path / f"model-{number}.safetensors", vae.state_dict(), z=3)
    training.save(tmp_path / "model-100000.safetensors", state, z=3)
    page = tmp_path / "page.html"
    assert main(["vae", str(tmp_path), "--out", str(page)]) == 0, capsys.readouterr().err
    assert "<dt>mean</dt><dd>0.8125</dd>" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["vae", "nowhere"], 2, "there is no model-….safetensors in this folder"),
        (["square", "runs"], 2, "square has no trained weights"),
        (["square", "--out", "nowhere/page.html"], 2, "there is no folder nowhere"),
        (["vae", "--data-dir", "nowhere"], 1, "python -m minigrad.data mnist"),
        (["gan", "--data-dir", "nowhere"], 1, "python -m minigrad.data fashion-mnist"),
    ],
)
def test_what_is_missing_is_said(arguments, status, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == status
    assert said in capsys.readouterr().err and not [*tmp_path.iterdir()]


def test_the_models_are_only_in_a_clone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(minigrad, "__file__", str(tmp_path / "minigrad" / "__init__.py"))
    assert main(["vae"]) == 2
    assert "only a clone of the repository has" in capsys.readouterr().err


def test_weights_of_another_network_are_refused(tmp_path, capsys):
    training.save(tmp_path / "model-00010.safetensors", VAE(z_dim=3).state_dict(), z=4)
    assert main(["vae", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 2
    assert "this is not the state of this VAE" in capsys.readouterr().err


def test_importing_minigrad_imports_no_explorer():
    import subprocess

    code = (
        "import sys, minigrad; print({'minigrad.explore', 'igraph', 'json'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "minigrad.explore" not in done.stdout and "igraph" not in done.stdout, done.stderr
