"""minigrad.console: a message that nobody can read ends nothing, and any encoding will do."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad import console
from tests import ROOT


class Broken(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")

    flush = write


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), "ascii")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), Broken(), object()])
def test_words_to_a_stream_that_cannot_take_them_are_lost_without_an_error(stream, monkeypatch):
    for name, speak in (("stdout", console.say), ("stderr", console.warn)):
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, stream)
            speak("1 ± 2")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert list(console.progress(range(3), desc="±")) == [0, 1, 2]
        with pytest.raises(SystemExit) as stop:
            console.Parser(description="±").parse_args(["--unknown"])
        assert stop.value.code == 2


def test_standard_error_is_not_mixed_into_the_output_when_it_is_missing(monkeypatch, capsys):
    """print(…, file=None) goes to standard output."""
    monkeypatch.setattr(sys, "stderr", None)
    console.warn("a warning")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "encoding, text, want",
    [
        ("ascii", "1 ± 0.5 … naïve", "1 +- 0.5 ... na\\xefve\n"),
        ("latin-1", "1 ± 0.5 naïve", "1 ± 0.5 naïve\n"),
        ("utf-8", "z₁ \udcff", "z₁ \\udcff\n"),
        ("cp1252", "σ(h)", "sigma(h)\n"),
    ],
)
def test_what_an_encoding_lacks_is_written_otherwise(encoding, text, want, monkeypatch):
    for name, speak in (("stdout", console.say), ("stderr", console.warn)):
        stream = io.TextIOWrapper(io.BytesIO(), encoding, newline="\n")
        monkeypatch.setattr(sys, name, stream)
        speak(text)
        assert stream.buffer.getvalue().decode(encoding) == want


def test_a_bar_and_an_argument_in_ascii(monkeypatch):
    stream = ascii_stream()
    monkeypatch.setattr(sys, "stderr", stream)
    assert len(list(console.progress(range(3), desc="±", mininterval=0))) == 3
    with pytest.raises(SystemExit):
        console.Parser().parse_args(["--σ=\udcff"])
    stream.flush()
    said = stream.buffer.getvalue().decode("ascii")
    assert "+-: 100%|####" in said and "--sigma" in said


def test_a_notebooks_stream_stays_as_it_is(monkeypatch):
    """It has no reconfigure, and its text may be Unicode without an encoding's name."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    console.say("1 ± 2")
    assert sys.stdout is stream and stream.getvalue() == "1 ± 2\n"


# Whole programs


CHATTY = """
import os, sys
from minigrad.console import say, script, warn
def main():
    for _ in range(20_000):
        say("a line"); warn("a line")
    mine = os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY)
    try:
        os.write(2, b"from a library")
    except OSError:
        pass
    os.write(mine, b"mine")
    if sys.argv[1] == "fail":
        sys.exit("error: ± no")
    return int(sys.argv[1])
script(main)
"""
REDIRECTIONS = ["", ">&-", ">/dev/full", "2>&-", "2>/dev/full", "<&- >&- 2>&-", "| head -1",
                "2>&1 | head -1"]  # fmt: skip


def shell(command, redirection, **environment):
    """The program's own exit code, not that of `head`, and its output, if any is left."""
    words = " ".join(f"'{word}'" for word in command)
    buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}  # it hides faults
    environment = {**buffered, "PYTHONPATH": str(ROOT), **environment}
    line = f"set -o pipefail; {words} {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, env=environment, timeout=300)
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


posix = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and a shell")


@posix
@pytest.mark.parametrize("redirection", REDIRECTIONS)
@pytest.mark.parametrize("end, code", [("0", 0), ("3", 3), ("fail", 1)])
def test_output_that_cannot_be_written_changes_no_exit_code(redirection, end, code, tmp_path):
    """And a file that is opened while 2 is closed does not collect the messages."""
    command = [sys.executable, "-c", CHATTY, end, str(tmp_path / "mine")]
    assert shell(command, redirection)[0] == code
    assert (tmp_path / "mine").read_bytes() == b"mine"


@posix
def test_the_last_words_of_a_program_are_printed_in_ascii(tmp_path):
    command = [sys.executable, "-c", CHATTY, "fail", str(tmp_path / "mine")]
    code, _, err = shell(command, "", PYTHONIOENCODING="ascii")
    assert code == 1 and err.endswith(b"error: +- no\n")


PROGRAMS = [
    "train_vae.py", "train_gan.py", "-m minigrad.data", "-m docs.vanishing_gradient",
    "-m benchmarks.compare", "-m benchmarks.gan_step", "-m benchmarks.products",
]  # fmt: skip


@posix
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_printed_in_ascii_and_into_a_full_disk(program):
    program = program.replace("train", str(ROOT / "train"))
    command = [sys.executable, *program.split(), "--help"]
    code, out, err = shell(command, "", PYTHONIOENCODING="ascii")
    assert code == 0 and b"usage:" in out, err
    out.decode("ascii")
    assert shell(command, ">/dev/full")[0] == 0


@posix
@pytest.mark.parametrize("program", PROGRAMS[:4])
def test_an_error_about_an_odd_name_is_printed_in_ascii(program):
    program = program.replace("train", str(ROOT / "train"))
    name = "mnist" if "data" in program else "--steps=1" if "docs" in program else "--iter_max=1"
    folder = os.fsdecode(b"odd\xff\xc2\xb1")
    command = [sys.executable, *program.split(), name, f"--data-dir={folder}"]
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    code, _, err = shell([*command, "--out=/dev/null/x"] if "train" in program else command, "",
                         **plain)  # fmt: skip
    assert code == 1 and b"there is no such folder" in err and b"odd" in err


def test_found_data_in_a_folder_with_an_odd_name_are_announced(monkeypatch):
    from minigrad.data import __main__ as program

    folder = Path(os.fsdecode(b"odd\xff"))
    monkeypatch.setattr(program, "find_or_fetch", lambda *_: folder)
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    assert program.main(["mnist"]) == 0
    assert stream.buffer.getvalue() == b"mnist: odd\\udcff\n"


def test_ctrl_c_ends_a_program_in_words(capsys):
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        console.script(main)
    assert stop.value.code == 130 and capsys.readouterr().err == "\nstopped\n"
