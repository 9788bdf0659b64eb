"""A run's folder: what is an earlier run's and set aside, what is the user's and left alone."""

import errno
import os
from pathlib import Path

import pytest

import train_gan
import train_vae
from minigrad.training import Abort, Run
from minigrad.training import folder as folders
from models import FILES
from tests.training.scripts import tree


def earlier(folder, script="gan"):
    """What a run leaves, in part: every name that it has, with bytes of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "gan": ["generator-00002.safetensors", "losses.png", "real.png", "fake_0050.png"],
        "vae": ["model-20000.safetensors", "samples.png", "latent.png", "curves.png"],
    }[script]
    for name in ("checkpoint.safetensors", "summary.json", *names):
        (folder / name).write_bytes(f"{script} {name}".encode())
    (folder / "metrics.jsonl").write_text('{"iteration": 10, "seconds": 1.5}\n')
    (folder / ".lock").touch()
    return tree(folder)


def opened(folder, **settings):
    """A run that comes to its first step."""
    with Run(folder, files=FILES, **settings) as run:
        for _ in run.steps(2):
            break
    assert (Path(folder) / "metrics.jsonl").exists()


# Which folders are an earlier run's


@pytest.mark.parametrize("script", ["gan", "vae"])
def test_an_earlier_run_of_either_script_is_set_aside_whole(script, tmp_path, capsys):
    before = earlier(tmp_path / "d", script)
    opened(tmp_path / "d")
    assert tree(tmp_path / "d.1") == before
    assert list(tree(tmp_path / "d")) == ["metrics.jsonl"]
    assert f"{tmp_path / 'd'} is now in {tmp_path / 'd.1'}" in capsys.readouterr().out
    opened(tmp_path / "d.1")  # which is known as a run's
    assert tree(tmp_path / "d.1.1") == before


@pytest.mark.parametrize("left", [
    ["metrics.jsonl", ".lock"], ["metrics.jsonl", "model-00010.safetensors"],
    ["summary.json", "generator-00010.safetensors"],
])  # fmt: skip
def test_what_a_run_left_in_part_is_an_earlier_run(left, tmp_path):
    (tmp_path / "d").mkdir()
    for name in left:
        (tmp_path / "d" / name).touch()
    opened(tmp_path / "d")
    assert sorted(tree(tmp_path / "d.1")) == sorted(set(left) - {".lock"})


@pytest.mark.parametrize("names", [
    ["summary.json"], ["metrics.jsonl"], ["checkpoint.safetensors"], ["model-00010.safetensors"],
    ["real.png", "samples.png"], ["summary.json", "metrics.jsonl", "checkpoint.safetensors"],
    [".lock", "summary.json"], [".lock", "checkpoint.safetensors"], [".lock", "metrics.jsonl"],
])  # fmt: skip
def test_files_of_the_users_with_our_names_are_refused_and_stay(names, tmp_path):
    place = tmp_path / "d"
    place.mkdir()
    for name in (*names, "thesis.txt"):
        (place / name).write_text("mine\n")
    before = sorted(os.listdir(place)), tree(place)
    with pytest.raises(Abort, match=f"is not an earlier run's.*{names[-1]}.*another --out"):
        Run(place, files=FILES)
    assert (sorted(os.listdir(place)), tree(place)) == before
    assert os.listdir(tmp_path) == ["d"]


def test_metrics_like_ours_without_our_lock_are_the_users(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 10, "seconds": 1.5}\n')
    with pytest.raises(Abort, match="metrics.jsonl"):
        Run(tmp_path, {})
    assert os.listdir(tmp_path) == ["metrics.jsonl"]


def test_a_folder_of_the_users_is_used_beside_what_is_there(tmp_path):
    theirs = ["thesis.txt", ".eslintrc.prod.json", ".notes.abcdefgh.txt", "fake_news.png",
              "model-final.safetensors", "model-00001-of-00005.safetensors"]  # fmt: skip
    for name in theirs:
        (tmp_path / name).write_text("mine")
    opened(tmp_path)
    assert sorted(tree(tmp_path)) == sorted([*theirs, "metrics.jsonl"])
    opened(tmp_path)  # and now there is a run of ours
    assert sorted(tree(tmp_path)) == sorted([*theirs, "metrics.jsonl"])
    assert all((tmp_path / name).read_text() == "mine" for name in theirs)
    aside = tmp_path.with_name(tmp_path.name + ".1")
    assert list(tree(aside)) == ["metrics.jsonl"]


def test_files_beside_an_earlier_run_stay_where_they_are(tmp_path):
    before = earlier(tmp_path / "d")
    (tmp_path / "d" / "notes").mkdir()
    (tmp_path / "d" / "notes" / "page.txt").write_text("mine")
    opened(tmp_path / "d")
    assert (tmp_path / "d" / "notes" / "page.txt").read_text() == "mine"
    assert tree(tmp_path / "d.1") == before


def test_what_a_kill_left_of_our_files_goes(tmp_path):
    (tmp_path / ".checkpoint.safetensors.a1b2_3d4.safetensors").write_text("half")
    (tmp_path / ".mine.a1b2_3d4.safetensors").write_text("mine")
    opened(tmp_path)
    assert sorted(tree(tmp_path)) == [".mine.a1b2_3d4.safetensors", "metrics.jsonl"]


def test_setting_aside_is_all_or_nothing(tmp_path, monkeypatch):
    before = earlier(tmp_path / "d")
    real, count = os.rename, iter(range(100))

    def rename(a, b):
        if next(count) == 3:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(a))
        real(a, b)

    monkeypatch.setattr(folders.os, "rename", rename)
    with pytest.raises(OSError, match="cross-device"):
        Run(tmp_path / "d", files=FILES)
    monkeypatch.undo()
    assert tree(tmp_path / "d") == before and os.listdir(tmp_path) == ["d"]
    Run(tmp_path / "d", {}).close()  # not locked


# How a folder may be named


@pytest.mark.parametrize("name", [".", "../d", "../d/", "sub/..", "./."])
def test_the_working_folder_and_others_relative_to_it(name, tmp_path, monkeypatch):
    before = earlier(tmp_path / "d")
    (tmp_path / "d" / "sub").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "d")
    opened(train_gan.parse(["--out", name]).out)
    assert sorted(os.listdir(tmp_path)) == ["d", "d.1"]
    assert tree(tmp_path / "d.1") == before
    assert Path("thesis.txt").read_text() == "mine" and os.getcwd() == str(tmp_path / "d")


def test_a_link_to_a_folder_stays_and_the_run_at_its_target_is_set_aside(tmp_path):
    before = earlier(tmp_path / "disk" / "d")
    (tmp_path / "link").symlink_to("disk/d")
    (tmp_path / "disk" / "d.1").symlink_to("nowhere")  # taken, though it does not exist
    opened(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path / "disk" / "d.2") == before
    assert sorted(os.listdir(tmp_path)) == ["disk", "link"]


def test_a_dangling_link_and_a_file_are_refused(tmp_path):
    (tmp_path / "link").symlink_to("unmounted")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine")
    for name, words in (("link", "link to unmounted"), ("loop", "link to loop"), ("file", "file")):
        with pytest.raises(Abort, match=f"{name} is a {words}.*another --out"):
            Run(tmp_path / name, {})
        with pytest.raises(Abort, match="there is no"):
            Run(tmp_path / name, {}, resume=True)
    assert sorted(os.listdir(tmp_path)) == ["file", "link", "loop"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("parse", [train_gan.parse, train_vae.parse])
def test_home_is_known_and_no_name_is_no_folder(parse, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse(["--out=~/results"]).out == tmp_path / "results"
    for name in ("", "~nobody-has-this-name/x", "a\0b"):
        with pytest.raises(SystemExit):
            parse([f"--out={name}"])
        assert "argument --out" in capsys.readouterr().err
