"""What is read must be short: lines of a file, and parameters of a function."""

import ast

from tests import ROOT

CODE = [*ROOT.glob("minigrad/**/*.py"), *ROOT.glob("models/**/*.py"), *ROOT.glob("*.py")]
MANY = {  # who may have more than eight parameters, and why
    ("minigrad/nn/convolution.py", "Conv2d.__init__"): "PyTorch's signature",
    ("minigrad/nn/convolution.py", "ConvTranspose2d.__init__"): "PyTorch's signature",
}


def too_long(paths, most):
    """{file: its lines} of those with more than `most`."""
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert lines, "no file was looked at"
    return {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > most}


def functions(tree, inside=""):
    """(name, node) of every function, also of those within others; a method's with its class's."""
    for node in ast.iter_child_nodes(tree):
        name = f"{inside}{node.name}" if hasattr(node, "name") else ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, node
        yield from functions(node, f"{name}." if isinstance(node, ast.ClassDef) else inside)


def compiled(function):
    """numba's loops and intrinsics, to which every array and number is handed by itself."""
    decorators = (ast.unparse(decorator) for decorator in function.decorator_list)
    return any(text.startswith(("jit(", "shareable", "intrinsic")) for text in decorators)


def test_no_file_is_longer_than_a_reader_takes_in_at_once():
    assert not too_long(CODE, 300)
    assert not too_long(ROOT.glob("tests/**/*.py"), 350)
    assert not too_long([ROOT / "train_vae.py", ROOT / "train_gan.py"], 119)


def test_no_function_has_more_than_eight_parameters():
    found, seen = {}, 0
    for path in CODE:
        for name, function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            a = function.args
            count = len(a.posonlyargs + a.args + a.kwonlyargs) + bool(a.vararg) + bool(a.kwarg)
            seen += 1
            if count > 8 and not compiled(function):
                found[path.relative_to(ROOT).as_posix(), name] = count
    assert seen > 300 and found.keys() == MANY.keys()
