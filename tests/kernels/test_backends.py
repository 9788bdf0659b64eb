"""How kernels are started: the choice of a backend, and a process without numba, or without them.

test_cache.py has the cache of compiled code.
"""

import re
import shutil

import pytest

from minigrad import kernels
from minigrad.core.interpreter import current
from tests import ROOT
from tests.kernels.helpers import output, python


def test_backend_switches_and_switches_back_even_after_an_error():
    before = current.interpreter.accelerates
    for name, accelerates in (("numpy", False), ("numba", True)):
        with pytest.raises(KeyError), kernels.backend(name):
            assert current.interpreter.accelerates == accelerates
            raise KeyError
        assert current.interpreter.accelerates == before
    with pytest.raises(ValueError, match="choose numba or numpy"), kernels.backend("cuda"):
        pass
    assert current.interpreter.accelerates == before


def test_backends_nest_and_serve_as_decorators():
    block = kernels.backend("numpy")

    @kernels.backend("numba")
    def inside():
        return current.interpreter.accelerates

    with block:
        with block, kernels.backend("numba"), block:
            assert not current.interpreter.accelerates
        assert not current.interpreter.accelerates and inside()
        assert not current.interpreter.accelerates


def test_numba_is_imported_in_kernels_alone():
    """Otherwise MINIGRAD_BACKEND=numpy needs numba after all."""
    files = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("*.py")]
    imports = re.compile(r"^\s*(import|from)\s+(numba|llvmlite)", re.MULTILINE)
    found = {file.parent for file in files if imports.search(file.read_text())}
    assert found == {ROOT / "minigrad" / "kernels"}


def test_a_backend_that_does_not_exist_is_named_with_those_that_do():
    done = python("import minigrad", ROOT, MINIGRAD_BACKEND="nonsense")
    assert done.returncode == 1
    assert "MINIGRAD_BACKEND is 'nonsense': choose numba or numpy" in done.stderr


def test_a_process_on_numpy_can_ask_for_numba_in_a_block():
    code = """
import sys
from minigrad import Tensor, exp, kernels
before = "numba" in sys.modules, exp.kernel
with kernels.backend("numba"):
    print(before, exp(Tensor(0.0)).item(), "numba" in sys.modules, exp.kernel is None)
"""
    assert output(code, MINIGRAD_BACKEND="numpy") == "(False, None) 1.0 True False"


# ---- without numba, and without minigrad/kernels


@pytest.fixture(scope="module")
def without_kernels(tmp_path_factory):
    """A copy of everything but minigrad/kernels: the folder that it is in."""
    folder = tmp_path_factory.mktemp("copy")
    skip = shutil.ignore_patterns("__pycache__", "kernels", ".*")
    for name in ("minigrad", "models", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("train_vae.py", "train_gan.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    assert not [*folder.rglob("kernels*")]
    return folder


IMPORTED = """
import sys
print({m.split(".")[0] for m in sys.modules} & {"numba", "llvmlite"})
"""

VAE = """
import numpy as np
from minigrad import Tensor, compile, optim, random
from models.vae import VAE
random.seed(0)
vae = VAE()
adam = optim.Adam(vae.parameters())
x = Tensor(np.zeros((5, 784), "f"))
@compile
def step(x):
    loss = vae.negative_elbo_bound(x)[0]
    adam.zero_grad()
    loss.backward()
    adam.step()
    return loss
for _ in range(3):
    loss = step(x)
print(loss.item() < 784 * np.log(2))
print(np.isfinite(vae.negative_iwae_bound(x, 3)[0].item()))
"""

GAN = """
import numpy as np
from minigrad import Tensor, compile, optim, random
from models import gan
from train_gan import make_step
random.seed(0)
for arch in gan.NETWORKS:
    for loss in gan.LOSSES:
        g, d = (network() for network in gan.NETWORKS[arch])
        adams = [optim.Adam(network.parameters(), betas=(0.5, 0.999)) for network in (g, d)]
        before = [network.state_dict() for network in (g, d)]
        x = random.uniform((4, 28, 28), 0, 255)
        step = compile(make_step(loss, g, d, *adams))
        step(x)
        losses = step(x)
        assert all(np.isfinite(value.item()) for value in losses.values()), (arch, loss)
        for network, old in zip((g, d), before, strict=True):
            new = network.state_dict()
            assert all(np.isfinite(value).all() for value in new.values())
            still = {name for name in new if (new[name] == old[name]).all()}
            # a critic's last bias adds to real and fake alike
            idle = {[*new][-1]} if loss == "wasserstein_gp" else set()
            assert still <= idle, (arch, loss, still)
        print(arch, loss)
"""


# An editable installation would find the original's kernels where the copy has none.
ALONE = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f)]\n"


def trained(folder, **settings):
    vae = output(ALONE + VAE + IMPORTED, folder, **settings).split("\n")
    assert vae == ["True", "True", "set()"]
    *steps, imported = output(ALONE + GAN + IMPORTED, folder, **settings).split("\n")
    assert len(steps) >= 6 and len({step.split()[1] for step in steps}) == 3
    assert imported == "set()"


def test_the_numpy_backend_trains_without_importing_numba():
    trained(ROOT, MINIGRAD_BACKEND="numpy")


@pytest.mark.parametrize("setting", [{}, {"MINIGRAD_BACKEND": "numba"}], ids=["unset", "numba"])
def test_models_train_without_the_folder_of_kernels(without_kernels, setting):
    """... whatever the backend is said to be: there is one."""
    trained(without_kernels, **setting)


def test_what_core_and_ops_say_of_themselves_holds_without_kernels(without_kernels):
    code = """
import doctest, importlib, pathlib
from minigrad.core.primitive import OPERATIONS
runner, finder = doctest.DocTestRunner(), doctest.DocTestFinder()
for path in sorted(pathlib.Path("minigrad").rglob("*.py")):
    if path.parent.name in ("core", "ops"):
        module = importlib.import_module(".".join(path.with_suffix("").parts))
        for test in finder.find(module):
            runner.run(test)
for name, operation in OPERATIONS.items():
    forward = getattr(operation, "forward", None)  # a primitive, which doctest does not look into
    for test in finder.find(forward, name) if forward else ():
        runner.run(test)
print(runner.failures == 0 and runner.tries > 20 or runner.tries)
"""
    assert output(ALONE + code + IMPORTED, without_kernels).split("\n") == ["True", "set()"]


@pytest.mark.parametrize("file", ["test_layers.py", "test_nn.py", "test_module.py"])
def test_tests_of_layers_pass_without_kernels(without_kernels, file):
    """They go through core and ops, forwards and pulls, and compare with PyTorch where it is."""
    arguments = ["-q", "-p", "no:cacheprovider", f"tests/nn/{file}"]
    code = f"import pytest; status = pytest.main({arguments}); assert 'numba' not in sys.modules"
    done = python(f"{ALONE}{code}; sys.exit(status)", without_kernels)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_kernels_that_are_not_there_are_named(without_kernels):
    done = python(ALONE + "import minigrad; minigrad.kernels", without_kernels)
    assert "No module named 'minigrad.kernels'" in done.stderr and done.returncode == 1
