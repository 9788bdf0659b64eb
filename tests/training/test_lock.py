"""The lock of a run's folder: it lives as long as the run, and nobody shares it."""

import os

import numpy as np
import pytest

from minigrad.training import Abort, Interrupted, Run
from minigrad.training import folder as folders
from minigrad.training.checkpoint import load, save
from tests.training.scripts import GAN, TINY, main, refused, run, tree

pytestmark = pytest.mark.usefixtures("fashion")


def test_the_lock_lives_as_long_as_the_run(tmp_path):
    for end in (None, ValueError("a bug"), KeyboardInterrupt(), Interrupted(2, tmp_path)):
        try:
            with Run(tmp_path / "d", {}):
                with pytest.raises(Abort, match="another process or thread is working in"):
                    Run(tmp_path / "d", {})
                if end:
                    raise end
        except (ValueError, KeyboardInterrupt, Interrupted):
            pass
    Run(tmp_path / "d", {})  # forgotten: it ends with its object
    Run(tmp_path / "d", {}).close()


def test_a_run_that_goes_on_from_nothing_fit_or_beyond_the_end_is_unlocked(tmp_path, capsys):
    out = tmp_path / "out"
    main("--out", out)
    arrays, metadata = load(out / "checkpoint.safetensors")
    with pytest.raises(SystemExit, match="iteration 2 already; 1 was asked for") as kept:
        main("--out", out, "--iter_max", 1, "--resume")
    assert kept.tb  # a notebook keeps the last traceback, and all that is in its frames
    save(out / "checkpoint.safetensors", {"generator.x": np.zeros(1)}, **metadata)
    with pytest.raises(SystemExit, match="another model"):
        main("--out", out, "--resume")
    save(out / "checkpoint.safetensors", arrays, **metadata)
    main("--out", out, "--resume")


def test_a_lock_that_was_removed_by_its_holder_is_not_shared_with_a_third(tmp_path, monkeypatch):
    """A waits with the old file open; its holder removes it; B makes a new one and locks that."""
    first = folders.Lock(tmp_path)
    real, others = folders.os.open, []

    def late(path, *rest):
        file = real(path, *rest)
        if not others:
            others.append(None)
            first.undo()
            others[0] = folders.Lock(tmp_path)
        return file

    monkeypatch.setattr(folders.os, "open", late)
    with pytest.raises(Abort, match="another process"):
        folders.Lock(tmp_path)


def test_a_process_beside_one_at_work_is_refused(tmp_path):
    with Run(tmp_path / "out", {}):
        refused(*run(*TINY, "--out", tmp_path / "out", script=GAN), "another process")
    assert list(tree(tmp_path / "out")) == []


def test_a_summary_that_is_refused_leaves_no_lock(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text('{"mine": 1}')
    with pytest.raises(Abort, match="is not an earlier run's"):
        folders.make_room(path, replace=False)
    assert os.listdir(tmp_path) == ["summary.json"] and path.read_text() == '{"mine": 1}'
