"""train_vae.py stopped, or given what is wrong: one message with its mend, and no result lost."""

import gzip
import signal
import struct
import time

import pytest

import train_vae
from minigrad import data
from minigrad.training.checkpoint import load
from tests.training.scripts import RUN, lines, run_apart, start_apart, tree


@pytest.fixture
def earlier(tmp_path):
    """A results folder with an earlier run in it."""
    out = tmp_path / "out"
    (out / RUN).mkdir(parents=True)
    (out / RUN / "summary.json").write_text('{"precious": 1}\n')
    (out / RUN / "model-20000.safetensors").write_bytes(bytes(range(256)))
    return out


def test_ctrl_c_in_mid_run_stops_with_130_and_leaves_whole_files(mnist, earlier):
    before = tree(earlier)
    process = start_apart("--iter_max", 10**6, "--iter_save", 25, "--out", earlier)
    try:
        metrics, deadline = earlier / RUN / "metrics.jsonl", time.monotonic() + 120
        while not (metrics.exists() and metrics.read_text()) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err and "stopped" in printed and "--resume" in printed
    names = sorted(tree(earlier / RUN))
    wanted = [f"model-{25 * i:05d}.safetensors" for i in range(1, len(names) - 1)]
    assert len(names) > 4 and names == ["checkpoint.safetensors", "metrics.jsonl", *wanted]
    iterations = [line["iteration"] for line in lines(earlier / RUN)]
    assert iterations == list(range(100, 100 * len(iterations) + 1, 100))
    for name in wanted[-3:]:
        assert sum(array.size for array in load(earlier / RUN / name)[0].values()) == 661_404
    aside = {path.replace(RUN, f"{RUN}.1"): content for path, content in before.items()}
    assert {k: v for k, v in tree(earlier).items() if k.startswith(f"{RUN}.1")} == aside


def assert_refused(result, *words):
    code, _, err = result
    assert code in (1, 2), err
    assert "Traceback" not in err and err.count("error:") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("option, value, words", [
    ("--z", "0", "0 is not a whole number of 1 or more"),
    ("--z", "ten", "ten is not a whole number of 1 or more"),
    ("--iter_max", "-1", "-1 is not a whole number of 1 or more"),
    ("--iter_save", "0", "0 is not a whole number of 1 or more"),
    ("--batch-size", "0", "0 is not a whole number of 1 or more"),
    ("--batch_size", "70000", "from 1 to 60000"),
    ("--lr", "0", "0 is not a positive number"),
    ("--lr", "nan", "nan is not a positive number"),
    ("--run", "-1", "-1 is not a whole number of 0 or more"),
    ("--iterations", "5", "usage:"),
])  # fmt: skip
def test_a_bad_option_is_named_with_what_it_may_be(option, value, words, mnist, earlier):
    before = tree(earlier)
    assert_refused(
        run_apart("--iter_max", 1, option, value, "--out", earlier), option, value, words
    )
    assert tree(earlier) == before


def test_a_results_folder_that_cannot_be_is_named_with_the_option_for_another(mnist, tmp_path):
    """A file where the folder should be: root may write into any folder."""
    place = tmp_path / "notes.txt"
    place.write_text("mine")
    assert_refused(run_apart("--iter_max", 1, "--out", place), str(place), "--out")
    assert tree(tmp_path) == {"notes.txt": b"mine"}


def test_a_data_folder_that_is_missing_is_named_with_the_command_that_fetches(earlier):
    before, missing = tree(earlier), earlier / "nowhere"
    result = run_apart("--iter_max", 1, "--data-dir", missing, "--out", earlier)
    assert_refused(result, str(missing), "there is no such folder", "python -m minigrad.data mnist")
    assert tree(earlier) == before


@pytest.mark.parametrize("damage", ["cut short", "one pixel changed"])
def test_a_damaged_data_file_is_named_and_not_trained_on(damage, mnist, earlier, tmp_path):
    source, folder, bad = data.find_or_fetch("mnist"), tmp_path / "data", "t10k-images-idx3-ubyte"
    folder.mkdir()
    for path in source.iterdir():
        if path.name.removesuffix(".gz") in data.sets.SHAPES:
            (folder / path.name).symlink_to(path.resolve())
    content = b"\0\0\x08\x03" + struct.pack(">III", 10_000, 28, 28) + mnist.test_images.tobytes()
    content = content[:-1000] if damage == "cut short" else content[:-1] + b"\1"
    for path in folder.glob(f"{bad}*"):
        path.unlink()
    (folder / f"{bad}.gz").write_bytes(gzip.compress(content, compresslevel=1))
    before = tree(earlier)
    reason = "truncated" if damage == "cut short" else "damaged"
    assert_refused(
        run_apart("--iter_max", 1, "--data_dir", folder, "--out", earlier), str(folder), bad, reason
    )
    assert tree(earlier) == before


def test_the_other_set_under_the_same_names_is_recognised(mnist, earlier, monkeypatch):
    """Fashion-MNIST's files have MNIST's names. Here the checksums change places, not the files."""
    swapped = dict(zip(data.sets.SHA256, reversed(data.sets.SHA256.values()), strict=True))
    folder, before = data.find_or_fetch("mnist"), tree(earlier)
    monkeypatch.setattr(data.sets, "SHA256", swapped)
    with pytest.raises(SystemExit) as stop:
        train_vae.main(["--iter_max=1", f"--data-dir={folder}", f"--out={earlier}"])
    assert "is not that of mnist: it is train-images-idx3-ubyte of fashion-mnist" in stop.value.code
    assert tree(earlier) == before


def test_a_run_that_diverges_says_so_and_keeps_the_earlier_run(mnist, earlier):
    before = tree(earlier / RUN)
    result = run_apart("--lr", "1e6", "--iter_max", 20, "--out", earlier)
    assert_refused(result, "diverged", "smaller step size, --lr", "nelbo is nan at iteration 2")
    assert tree(earlier / f"{RUN}.1") == before
    assert not (earlier / RUN / "summary.json").exists()
