"""`python -m minigrad.explore vae` writes a page that steps through one of the examples."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path

import minigrad as mg
from minigrad import Tensor, console, data, nn, random
from minigrad.explore import explore
from minigrad.training.checkpoint import CheckpointError

EXAMPLES = ("square", "xor", "vae", "gan")


def made(name, run=None, data_dir=None):
    """Return an example's function, which returns a loss, and its inputs.

    run: a folder with trained weights; ValueError if they are another network's
    """
    if name in ("square", "xor"):
        make = {"square": square, "xor": xor}[name]
        if run is not None:
            raise CheckpointError(f"{run}: {name} has no trained weights; leave the folder out")
    else:
        clone = Path(mg.__file__).resolve().parent.parent
        if not (clone / "models" / "vae.py").is_file():
            raise ModuleNotFoundError(
                f"{name}: its networks are in models/, which only a clone of the repository has, "
                "and the installed package has not; run this in a clone, or choose square or xor"
            )
        sys.path.insert(0, str(clone))
        make = partial(getattr(import_module("models.explained"), name), run, data_dir)
    with random.fork(0):
        f, inputs = make()
    f.__name__ = name
    return f, inputs


def square():
    """Return x x + x and x = 3, the example of core/__init__.py."""
    return lambda x: x * x + x, [3.0]


def xor():
    """Return how far a network of two layers is from exclusive or, and that."""
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

    def loss(x, wanted):
        error = net(x) - wanted
        return (error * error).mean()

    x = Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    return loss, [x, Tensor([[0.0], [1.0], [1.0], [0.0]])]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns 0, or 1 without the data, or 2 if it can't be done."""
    parser = console.Parser(prog="python -m minigrad.explore", description=__doc__)
    parser.add_argument("name", choices=EXAMPLES, help="what to show")
    parser.add_argument("run", nargs="?", help="a run's folder, for its trained weights")
    parser.add_argument("--out", metavar="FILE", help="the page (default: NAME.html)")
    parser.add_argument("--data-dir", metavar="DIR", help="where the data lie (default: found)")
    options = parser.parse_args(arguments)
    try:
        f, inputs = made(options.name, options.run, options.data_dir)
        with random.fork(0):
            path = explore(f, *inputs, path=options.out or f"{options.name}.html")
    except (ImportError, data.DataError, CheckpointError, ValueError, OSError) as error:
        console.warn(f"error: {error}")
        return 1 if isinstance(error, data.DataError) else 2
    console.say(f"{path.resolve()} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0


if __name__ == "__main__":
    console.script(main)
