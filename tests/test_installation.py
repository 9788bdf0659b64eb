"""Installed as people install things, plainly or editable, and used from any folder."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minigrad"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip(f"wheel --no-deps --no-build-isolation --wheel-dir {folder} {ROOT}")
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """A folder with the plain installation, and nothing else."""
    folder = tmp_path_factory.mktemp("plain")
    pip(f"install --no-deps --target {folder} {wheel}")
    return folder


def pip(command):
    words = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *command.split()]
    subprocess.run(words, check=True, timeout=300, capture_output=True)


def python(*arguments, cwd, site=None, **environment):
    """Its output. With `site`, minigrad is the one that is installed there: -S leaves out the .pth
    files, and with them the editable installation that these tests may run in."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    words = [sys.executable, *map(str, arguments)]
    if site:
        words.insert(1, "-S")
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        clean["PYTHONPATH"] = os.pathsep.join([str(site), *paths])
    elif not find_editable():
        clean["PYTHONPATH"] = str(ROOT)  # these tests run from a checkout that is not installed
    done = subprocess.run(
        words, cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def find_editable():
    """The .pth file of an editable installation, if these tests run in one."""
    return [*Path(sysconfig.get_path("purelib")).glob("*editable*minigrad.pth")]


# ---- what is installed


def test_the_package_alone_is_installed_and_all_of_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"minigrad"}
    tops = {name.split("/")[0] for name in names}
    assert tops == {"minigrad", f"minigrad-{minigrad.__version__}.dist-info"}
    kinds = ("*.py", "py.typed", "web/*.*")
    files = {str(path.relative_to(ROOT)) for kind in kinds for path in PACKAGE.rglob(kind)}
    assert len([file for file in files if "web" in file]) == 4
    assert files == {name.replace("/", os.sep) for name in names if name.startswith("minigrad/")}


def test_the_command_line_of_the_data_works_when_installed(plain, tmp_path):
    help_text = python("-m", "minigrad.data", "--help", cwd=tmp_path, site=plain)
    assert "usage: python -m minigrad.data" in help_text


def test_the_explorer_finds_its_page_when_installed(plain, tmp_path):
    said = python("-m", "minigrad.explore", "square", cwd=tmp_path, site=plain)
    assert "open it in a browser" in said
    page = (tmp_path / "square.html").read_text(encoding="utf-8")
    assert "multiply(x, x)" in page and "function connect()" in page and "--paper" in page


def test_the_model_of_ones_own_learns_resumes_and_leaves_its_curves(plain, tmp_path):
    """docs/own_model.md's program, in an empty folder. Its seed gives 89.2 %, another gave 88.9."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/own_model.md").read_text(), re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 43
    (tmp_path / "clothing.py").write_text(code, encoding="utf-8")
    said = python("clothing.py", cwd=tmp_path, site=plain)
    accuracy = float(re.fullmatch(r"test accuracy ([\d.]+)%\n", said)[1])
    assert accuracy >= 88
    run = tmp_path / "runs" / "clothing"
    names = sorted(path.name for path in run.iterdir())
    assert names == [".lock", "checkpoint.safetensors", "curves.png", "metrics.jsonl"]
    before = (run / "metrics.jsonl").read_text()
    assert python("clothing.py", "--resume", cwd=tmp_path, site=plain) == said
    assert (run / "metrics.jsonl").read_text() == before


# ---- what may stand in the way


@pytest.mark.parametrize("installed", ["editable", "plain"])
def test_a_folder_called_minigrad_is_no_obstacle(installed, plain, tmp_path):
    """`git clone` makes one, and people start Python beside it."""
    (tmp_path / "minigrad" / "docs").mkdir(parents=True)
    site = plain if installed == "plain" else None
    code = "import minigrad; print(minigrad.Tensor(2.0).item(), minigrad.__version__)"
    assert python("-c", code, cwd=tmp_path, site=site) == f"2.0 {minigrad.__version__}\n"


@pytest.mark.parametrize("script", ["train_vae.py", "train_gan.py"])
@pytest.mark.parametrize("safe", ["", "1"])
def test_the_scripts_find_the_models_beside_them(script, safe, plain, tmp_path):
    """PYTHONSAFEPATH keeps a script's own folder out of the path."""
    said = python(
        ROOT / script, "--help", cwd=tmp_path, site=plain, PYTHONSAFEPATH=safe, PYTHONUTF8="1"
    )
    assert f"usage: {script}" in said and "--resume" in said


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_python_that_is_started_in_the_package_finds_its_own_modules(folder, tmp_path):
    hidden = {path.stem for path in folder.iterdir()} & sys.stdlib_module_names
    assert not hidden, f"{folder} would hide Python's own {hidden}"
    code = "import random, numpy, minigrad; print(random.Random(0).random() < 1)"
    assert python("-c", code, cwd=folder) == "True\n"


# ---- what it needs


def test_a_training_loop_and_gradcheck_need_numpy_and_numba_alone(plain, tmp_path):
    code = """
import sys

class Refuse:
    known = {"numpy", "numba", "llvmlite", "minigrad", *sys.stdlib_module_names}
    def find_spec(self, name, *_):
        if name.split(".")[0] not in self.known and not name.startswith("_"):
            asked = sys._getframe(1)
            while "importlib" in asked.f_code.co_filename or asked.f_code.co_filename == __file__:
                asked = asked.f_back
            if "minigrad" in asked.f_code.co_filename:
                raise AssertionError(f"{asked.f_code.co_filename} imports {name}")
            raise ImportError(name)  # numba asks for what it can do without

sys.meta_path.insert(0, Refuse())
import numpy as np
import minigrad as mg
from minigrad import nn, optim
from minigrad.gradcheck import gradcheck, gradgradcheck
from minigrad.training import Batches

mg.random.seed(0)
x = mg.random.normal((64, 8))
y = x.sum(axis=1) > 0
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
adam, batches = optim.Adam(model.parameters(), lr=0.05), Batches(64, 16)
for _ in range(60):
    rows = next(batches)
    loss = mg.cross_entropy(model(mg.Tensor(x[rows])), y[rows].astype(int))
    adam.zero_grad()
    loss.backward()
    adam.step()
print(loss.item() < 0.2, gradcheck(mg.tanh, [x[0]]), gradgradcheck(mg.tanh, [x[0]]))
print(sorted({m.split(".")[0] for m in sys.modules} & {"tqdm", "matplotlib", "PIL", "joblib",
                                                       "safetensors"}))
"""
    (tmp_path / "loop.py").write_text(code, encoding="utf-8")
    assert python("loop.py", cwd=tmp_path, site=plain) == "True True True\n[]\n"


# ---- what an editor sees


SEEN = {
    "mg.tanh(x)": "minigrad.core.tensor.Tensor",
    "mg.matmul(x, x)": "minigrad.core.tensor.Tensor",
    "mg.split(x, 2)": "tuple[minigrad.core.tensor.Tensor, ...]",
    "x.sum(axis=0) + 1": "minigrad.core.tensor.Tensor",
    "softsign(x)": "minigrad.core.tensor.Tensor",
    "mg.grad(x, x)": "tuple[minigrad.core.tensor.Tensor | None, ...]",
    "nn.Linear(1, 2).weight": "minigrad.nn.module.Parameter",
}


@pytest.mark.parametrize("installed", ["editable", "plain"])
def test_a_type_checker_sees_the_signatures(installed, plain, tmp_path):
    lines = ["import minigrad as mg", "from minigrad import nn", "x = mg.Tensor([1.0])"]
    lines += ["@mg.primitive(pulls=[lambda g, y, a: g])", "def softsign(a):", "    return a"]
    lines += [f"reveal_type({expression})" for expression in SEEN]
    mistakes = ["mg.tanh()", "mg.leaky_relu(x, slope=1)", "x.nonsense", "softsign(x, x)"]
    (tmp_path / "program.py").write_text("\n".join(lines + mistakes) + "\n", encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "MYPYPATH"}
    if installed == "plain" or not find_editable():
        environment["MYPYPATH"] = str(plain if installed == "plain" else ROOT)
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={tmp_path}/cache", "program.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=environment,
    ).stdout  # fmt: skip
    assert re.findall(r'Revealed type is "(.*)"', found) == list(SEEN.values()), found
    errors = re.findall(r"program.py:(\d+): error", found)
    assert errors == [str(len(lines) + i + 1) for i in range(len(mistakes))], found
