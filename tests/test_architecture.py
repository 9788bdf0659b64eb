"""What the layout promises: arrows that run one way, one door, an engine on one screen."""

import ast

import pytest

from tests import ROOT

PACKAGE = ROOT / "minigrad"
FILES = {
    ".".join(("minigrad", *path.relative_to(PACKAGE).with_suffix("").parts)): path
    for path in PACKAGE.rglob("*.py")
    if path.name != "__init__.py"
}


def imports(path):
    """The modules of the package that a file imports, wherever in it, when it runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in FILES or inner == "minigrad.ops" else node.module


def arrows():
    """{module: the modules that it imports}; minigrad.ops stands for all of its files."""
    every = {name for name in FILES if name.startswith("minigrad.ops.")}
    return {
        name: {
            target
            for found in imports(path)
            for target in (every if found == "minigrad.ops" else {found})
            if target in FILES
        }
        for name, path in FILES.items()
    }


def test_imports_make_no_circle():
    left = arrows()
    assert len(left) > 30 and any(left.values())
    while left:
        free = {name for name, targets in left.items() if not targets & left.keys()}
        assert free, f"these import each other in a circle: {sorted(left)}"
        left = {name: targets for name, targets in left.items() if name not in free}


def test_core_knows_no_operation_and_operations_know_no_kernel():
    for name, targets in arrows().items():
        above = {
            "minigrad.core.": ("minigrad.ops", "minigrad.kernels", "minigrad.nn"),
            "minigrad.ops.": ("minigrad.kernels", "minigrad.nn", "minigrad.optim"),
            "minigrad.kernels.": ("minigrad.nn", "minigrad.optim", "minigrad.training"),
        }
        for layer, forbidden in above.items():
            if name.startswith(layer):
                assert not [t for t in targets if t.startswith(forbidden)], name


@pytest.mark.parametrize("name", sorted(n for n in FILES if not n.startswith("minigrad.core.")))
def test_nothing_outside_core_touches_a_tensors_array(name):
    """Only the door may, which counts the writes."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not used & {"_array", "_written", "_node", "_grad"}


def test_the_engine_fits_one_screen_and_raises_nothing():
    source = FILES["minigrad.core.graph"].read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    assert not any(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(source)))
    defined = {getattr(node, "name", None) for node in ast.parse(source).body}
    assert {"Node", "order", "pull_back"} <= defined
