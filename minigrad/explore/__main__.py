"""`python -m minigrad.explore vae` writes a page that steps through one of the examples."""

from minigrad import console, random
from minigrad.console import say, warn
from minigrad.data import DataError
from minigrad.explore import explore
from minigrad.explore.examples import EXAMPLES, made
from minigrad.training.checkpoint import CheckpointError


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
    except (ImportError, DataError, CheckpointError, ValueError, OSError) as error:
        warn(f"error: {error}")
        return 1 if isinstance(error, DataError) else 2
    except KeyboardInterrupt:
        warn("\nInterrupted. Nothing was written.")
        return 130
    say(f"{path.resolve()} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")
    return 0


if __name__ == "__main__":
    console.script(main)
