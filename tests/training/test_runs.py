"""A run's folder: what is set aside, what is refused, how long it is locked, who is left alone."""

import errno
import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import train_gan
import train_vae
from minigrad import data, optim, random
from minigrad.training import Abort, Interrupted, Iteration, Run, report
from minigrad.training import folder as folders
from minigrad.training.batches import Batches
from minigrad.training.checkpoint import load, save
from minigrad.training.metrics import Metrics
from models import FILES, pictures
from models.vae import VAE
from tests import ROOT
from tests.models.test_train_vae import tree
from tests.training.test_resume import finish, posix, refused, run, start, wait_for

GAN = ROOT / "train_gan.py"
TINY = ("--arch", "mlp", "--iter_max", "2")


@pytest.fixture(scope="module", autouse=True)
def fashion():
    try:
        return data.load("fashion-mnist")
    except data.DataError as error:
        pytest.skip(f"RUNS' FOLDERS WERE NOT TESTED: {error}")


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


# --resume


def test_what_cannot_be_gone_on_with_leaves_no_lock(tmp_path):
    save(tmp_path / "checkpoint.safetensors", {"w": np.ones(2)}, iteration=3)
    for change, words in (
        (lambda: None, "made with"),
        (lambda: save(tmp_path / "checkpoint.safetensors", {}, lr=1), "no checkpoint, but weights"),
    ):
        change()
        before = tree(tmp_path)
        with pytest.raises(Abort, match=words):
            Run(tmp_path, {"lr": 1}, resume=True)
        assert tree(tmp_path) == before and not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("line", ["{", "[]", "{}", "\xff", '{"iteration": 1, "seconds": "x"}'])
def test_damaged_metrics_are_named_with_their_line(line, tmp_path):
    save(tmp_path / "checkpoint.safetensors", {}, iteration=3)
    text = '{"iteration": 1, "seconds": 1}\n' + line + "\n"
    (tmp_path / "metrics.jsonl").write_bytes(text.encode("latin-1"))
    before = tree(tmp_path)
    with pytest.raises(Abort, match="line 2 of .*metrics.jsonl is damaged"):
        Run(tmp_path, {}, resume=True)
    assert tree(tmp_path) == before


def parts():
    with random.fork(0):
        vae = VAE(2, x_dim=6, hidden=3)
    return {"model": vae, "adam": optim.Adam(vae.parameters()), "batches": Batches(5, 2)}


def state(parts):
    """Of all that a step changes, and the generator, as bytes."""
    arrays = [a for part in parts.values() for a in part.state_dict().values()]
    return [array.tobytes() for array in (*arrays, *random.get_state().values())]


FAULTS = {
    "the optimiser's shape": lambda s: s | {"adam.means.1": np.zeros(77)},
    "the place in the epoch": lambda s: s | {"batches.position": np.array(-1)},
    "the generator": lambda s: s | {"random.half": np.array([2, 0])},
    "no generator": lambda s: {k: v for k, v in s.items() if not k.startswith("random")},
    "the numbers": lambda s: s | {"recent.nelbo": np.array(1.0)},
    "another part": lambda s: s | {"critic.0.weight": np.zeros(3)},
    "no batches": lambda s: {k: v for k, v in s.items() if not k.startswith("batches")},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_that_does_not_fit_changes_nothing(fault, tmp_path):
    """The model comes first, and would have been loaded by then."""
    with random.fork(1):
        other = parts()
        for p in other["model"].parameters():
            p.copy_(p.data + 1)
        next(other["batches"])
        with Run(tmp_path, **other) as run:
            for iteration in run.steps(9, save=3):
                iteration.log(nelbo=1.0)
                if iteration == 4:
                    break
        changed = state(other)
    good, metadata = load(tmp_path / "checkpoint.safetensors")
    assert metadata == {"iteration": 3} and good["recent.nelbo"].tolist() == [1, 1, 1]
    save(tmp_path / "checkpoint.safetensors", FAULTS[fault](good), **metadata)
    ours = parts()
    before, files = state(ours), tree(tmp_path)
    with pytest.raises(Abort, match="checkpoint.safetensors is of another model"):
        Run(tmp_path, resume=True, **ours)
    assert state(ours) == before and tree(tmp_path) == files
    save(tmp_path / "checkpoint.safetensors", good, **metadata)
    with random.fork(0), Run(tmp_path, resume=True, **ours) as run:
        assert state(ours) == changed and run.iteration == 3
        for iteration in run.steps(4):
            iteration.log(nelbo=5.0)
        assert run.metrics[-1]["nelbo"] == 2  # the mean of 1, 1, 1 and 5


# The lock


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


# In somebody's process


def host():
    """What is the host's: signal handlers, environment, matplotlib's settings."""
    import matplotlib

    names = [n for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]
    handlers = [signal.getsignal(getattr(signal, name)) for name in names]
    streams = sys.stdout, sys.stderr
    return handlers, dict(os.environ), dict(matplotlib.rcParams), streams


FULL = OSError(28, "No space left on device")


def failing(error):
    def fail(*_, **__):
        raise error

    return fail


def main(*arguments):
    with random.fork(0):
        train_gan.main([*TINY, *map(str, arguments)])


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


# Results first, then pictures


@pytest.mark.parametrize("script", [train_gan, train_vae])
def test_results_are_safe_before_anything_is_drawn_and_no_picture_is_needed(
    script, tmp_path, monkeypatch, capsys
):
    out = tmp_path / ("out" if script is train_gan else "out/vae-z10-run0")
    seen, said = [], []

    def figure(path, size):
        said.append(capsys.readouterr())
        table = said[-1].out.splitlines()
        seen.append((path.name, (out / "summary.json").exists(), len(table) == 3))
        raise FULL

    monkeypatch.setattr(report, "figure", figure)
    monkeypatch.setattr("PIL.Image.fromarray", failing(FULL))
    monkeypatch.setattr(Iteration, "every", lambda self, n: n != 1000)  # a picture at each
    with random.fork(0):
        script.main(["--iter_max", "2", "--out", str(tmp_path / "out")])
    assert seen == [("losses.png" if script is train_gan else "curves.png", True, True)]
    said.append(capsys.readouterr())
    assert f"are in {out}" in said[-1].out and not list(out.glob("*.png"))
    assert "".join(part.err for part in said).count(" was not drawn: OSError") == 4 + (
        script is train_vae
    )


def test_a_summary_that_fails_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "save_summary", failing(FULL))
    with pytest.raises(SystemExit, match="No space left on device; make room"):
        main("--out", tmp_path / "out")


def test_the_animation_has_our_pictures_in_the_order_of_their_iterations(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(pictures, "save_animation", lambda path, pictures: seen.extend(pictures))
    out = tmp_path / "out"
    out.mkdir()
    (out / "fake_news.png").write_text("mine")
    real = Run.steps

    def steps(self, *arguments, **settings):
        for iteration in (10_000, 9950):
            (out / f"fake_{iteration}.png").touch()
        return real(self, *arguments, **settings)

    monkeypatch.setattr(Run, "steps", steps)
    main("--out", out)
    assert [path.name for path in seen] == ["fake_9950.png", "fake_10000.png"]


# Signals and streams


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
