"""The cache of compiled kernels, and what keeps numba's backend from starting."""

import builtins
import errno
import math
import os
import shutil

import numba
import numpy as np
import pytest

from minigrad import kernels
from minigrad.core.interpreter import current
from minigrad.kernels import cache
from minigrad.kernels.compile import jit
from tests import ROOT
from tests.kernels.helpers import output, python

EXP_OF_ZERO = "import minigrad as m; print(m.exp(m.Tensor(0.0)).item())"
LOG_3 = "import minigrad as m; print(m.Tensor([0.0, 0.0, 0.0]).logsumexp(0).item())"

# ---- compiled kernels on disk


@pytest.fixture
def folder(tmp_path, monkeypatch, capsys):
    """An empty cache of this process, which is told to forget it again."""
    monkeypatch.setattr(cache, "_state", cache._state.__class__())
    monkeypatch.setattr(cache._state, "folder", tmp_path / "kernels")
    capsys.readouterr()
    return tmp_path / "kernels"


def compiled():
    """A small kernel that has not been compiled yet: another function object each time."""

    def double(x):
        return x + x

    dispatcher = numba.njit(double)
    dispatcher._cache = cache.Cache(double)
    return dispatcher


def hits(dispatcher):
    return sum(dispatcher.stats.cache_hits.values())


def forbid_writing(monkeypatch, number):
    """Root may write anywhere, and disks are large."""
    really = builtins.open

    def refuse(file, mode="r", *rest, **settings):
        if "w" in mode:
            raise OSError(number, os.strerror(number), str(file))
        return really(file, mode, *rest, **settings)

    monkeypatch.setattr("io.open", refuse)


def test_each_version_has_a_file_which_another_process_loads(folder):
    first = compiled()
    assert (first(1), first(1.5)) == (2, 3.0) and hits(first) == 0
    assert len(list(folder.iterdir())) == 2
    again = compiled()
    assert (again(1), again(1.5)) == (2, 3.0) and hits(again) == 2
    assert len(list(folder.iterdir())) == 2


def test_a_kernel_typed_at_a_prompt_is_compiled_in_memory(folder):
    names = {}
    exec(compile("def half(x): return x / 2", "<stdin>", "exec"), names)
    assert jit()(names["half"])(3.0) == 1.5 and not folder.exists()


def test_two_processes_that_compile_at_once_do_not_take_each_others_files(folder):
    """Each began with an empty folder; numba's own index gives both versions the number 1."""
    for argument in (np.ones(2, np.float32), np.ones(2)):
        before = {path: path.read_bytes() for path in folder.glob("*")}
        compiled()(argument)
        assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_cache_that_can_only_be_read_is_read(folder, number, monkeypatch, capsys):
    """And what it lacks is compiled, with one line in all, not one for each kernel."""
    compiled()(1)
    forbid_writing(monkeypatch, number)
    again = compiled()
    assert again(1) == 2 and hits(again) == 1
    assert capsys.readouterr().err == ""
    assert again(1.5) == 3.0 and again(1j) == 2j
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and os.strerror(number) in said and "XDG_CACHE_HOME" in said
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("spoil", [
    lambda content: b"", lambda content: content[:-1], lambda content: content[:10],
    lambda content: content[:-1] + bytes([content[-1] ^ 1]),
])  # fmt: skip
def test_a_damaged_file_is_compiled_again(folder, spoil):
    compiled()(1)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    again = compiled()
    assert again(1) == 2 and hits(again) == 0
    third = compiled()
    assert third(1) == 2 and hits(third) == 1  # it was put in the damaged one's place


def test_a_folder_deleted_in_mid_run_is_made_again(folder, capsys):
    kernel = compiled()
    kernel(1)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert kernel(1.5) == 3.0
    assert len(list(folder.iterdir())) == 1 and capsys.readouterr().err == ""


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_the_umask_says_who_may_read_compiled_kernels(folder, mask):
    before = os.umask(mask)
    try:
        compiled()(1)
    finally:
        os.umask(before)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask
    assert folder.stat().st_mode & 0o777 == 0o777 & ~mask


def test_without_a_home_folder_kernels_are_compiled_in_memory():
    code = "import os; os.path.expanduser = lambda path: path; "
    done = python(code + EXP_OF_ZERO, ROOT, XDG_CACHE_HOME="", HOME="")
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    assert done.stderr.count("\n") == 1 and "Set XDG_CACHE_HOME" in done.stderr


# ---- its folder


@pytest.fixture
def copied(tmp_path):
    """A copy of the package that a test may edit: the folder that it is in."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "minigrad", tmp_path / "copy" / "minigrad", ignore=skip)
    return tmp_path / "copy"


def below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_cache_folder_changes_its_name_with_every_byte_of_every_kernel(copied, monkeypatch):
    folder = copied / "minigrad" / "kernels"
    monkeypatch.setattr(cache, "__file__", str(folder / "cache.py"))
    names = [cache._folder()]
    assert cache._folder() == names[0]
    files = sorted(folder.glob("*.py"))
    assert len(files) >= 7
    for file in files:
        file.write_bytes(file.read_bytes() + b"\n")
        names.append(cache._folder())
    assert len(set(names)) == len(names)


def test_compiled_kernels_are_kept_and_an_edit_in_what_a_kernel_imports_takes_effect(copied):
    """reduce.py takes exp, and with it ONE, from scalars.py: numba's cache sees no change."""
    folder = copied.parent / "cache"
    first = python(LOG_3, copied, XDG_CACHE_HOME=str(folder))
    kept = below(folder)
    again = python(LOG_3, copied, XDG_CACHE_HOME=str(folder))
    assert abs(math.exp(float(first.stdout)) - 3) < 1e-5 and again.stdout == first.stdout
    assert "compiling" in first.stderr and first.stderr.count("\n") == 1
    assert again.stderr == "" and kept and below(folder) == kept  # nothing was compiled again

    with open(copied / "minigrad" / "kernels" / "scalars.py", "a") as file:
        file.write("\nONE = np.float32(2)  # e⁰ = 0 + ONE\n")
    edited = output(LOG_3, copied, XDG_CACHE_HOME=str(folder))
    assert abs(math.exp(float(edited)) - 6) < 1e-5
    in_package = [path for path in below(copied) if path.suffix in (".nbi", ".nbc")]
    assert in_package == []


@pytest.mark.parametrize("place", ["its parent", "itself"])
def test_a_file_in_place_of_the_cache_folder_is_one_line_on_stderr(place, copied, monkeypatch):
    """... and nothing is cached elsewhere: numba's second choice, __pycache__, can be stale."""
    monkeypatch.setattr(cache, "__file__", str(copied / "minigrad" / "kernels" / "cache.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(copied.parent / "cache"))
    folder = cache._folder() if place == "itself" else copied.parent / "cache"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("I was here before.")
    done = python(EXP_OF_ZERO, copied)
    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
    in_package = [path.name for path in below(copied) if path.suffix in (".nbi", ".nbc")]
    assert in_package == []
    assert "can't be used" in done.stderr and done.stderr.count("\n") == 1
    assert folder.read_text() == "I was here before."


def test_a_cache_folder_that_another_process_has_just_made_is_used(copied):
    """Two processes start at once: each sees no folder, and one of them makes it first."""
    folder = copied.parent / "cache"
    blind = (
        "import pathlib; asked = []; really = pathlib.Path.is_dir; pathlib.Path.is_dir = "
        "lambda self: asked.append(self) or (len(asked) > 1 and really(self)); "  # not at first
    )
    for _ in range(2):
        done = python(blind + EXP_OF_ZERO, copied, XDG_CACHE_HOME=str(folder))
        assert (done.returncode, done.stdout) == (0, "1.0\n")
        assert "can't be used" not in done.stderr


# ---- the choice of a backend


def starts(name):
    with kernels.backend(name):
        return current.interpreter.accelerates


def test_no_jit_names_the_backend_that_needs_none(monkeypatch):
    before = current.interpreter.accelerates
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ImportError, match="NUMBA_DISABLE_JIT is set.*MINIGRAD_BACKEND=numpy"):
        starts("numba")
    assert current.interpreter.accelerates == before
    assert starts("numpy") is False


@pytest.mark.parametrize("error", [
    ModuleNotFoundError("No module named 'numba'"), ImportError("Numba needs NumPy 1.0 or less"),
    ValueError("Number of threads specified must be > 0"), SystemError("initialization failed"),
])  # fmt: skip
def test_a_numba_that_does_not_start_names_the_other_backend(error, monkeypatch):
    really = builtins.__import__

    def fail(name, *rest):
        if name == "numba":
            raise error
        return really(name, *rest)

    with monkeypatch.context() as patch, pytest.raises(ImportError) as caught:
        patch.setattr(builtins, "__import__", fail)
        starts("numba")
    assert str(error) in str(caught.value) and "MINIGRAD_BACKEND=numpy" in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("", "numba"), ("numpy", "numpy")])
def test_an_empty_variable_is_as_good_as_unset(name, said):
    code = "from minigrad import exp; from minigrad.core.interpreter import current; "
    code += "print('numba' if current.interpreter.accelerates and exp.kernel else 'numpy')"
    assert output(code, MINIGRAD_BACKEND=name) == said


def test_loops_made_by_one_function_are_told_apart_when_processes_compile_one_each(tmp_path):
    """Compiled code is linked by name, and numba numbers functions anew in each process."""
    code = """
import numpy as np
from minigrad import ops
from minigrad.core.primitive import evaluate
x = np.linspace(0.5, 2, 50, dtype=np.float32)
for primitive in {}:
    np.testing.assert_allclose(evaluate(primitive, [x], {{}}), primitive.forward(x), rtol=1e-6)
"""
    for some in ("[ops.tanh]", "[ops.softplus]", "[ops.tanh, ops.softplus]"):
        output(code.format(some), XDG_CACHE_HOME=str(tmp_path))
