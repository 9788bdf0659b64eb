"""What `import minigrad` gives, and what it leaves alone."""

import pkgutil
import subprocess
import sys

import pytest

import minigrad


def test_every_module_is_an_attribute_of_the_package():
    names = {m.name for m in pkgutil.iter_modules(minigrad.__path__)}
    assert names == set(minigrad._MODULES) <= set(dir(minigrad))
    assert minigrad.random is minigrad.rng
    for name in names:
        assert getattr(minigrad, name).__name__ == f"minigrad.{name}"
    with pytest.raises(AttributeError, match="'minigrad' has no attribute 'nonsense'"):
        minigrad.nonsense  # noqa: B018


def test_importing_minigrad_imports_neither_data_nor_files():
    code = (
        "import sys, minigrad as mg; print([m for m in ('tqdm', 'safetensors', 'minigrad.nn') "
        "if m in sys.modules], mg.nn.Linear.__name__, mg.optim.Adam.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[] Linear Adam\n", done.stderr
