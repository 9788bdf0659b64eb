"""`python -m minigrad.data mnist fashion-mnist` finds or fetches data sets."""

from minigrad import console
from minigrad.console import say, warn
from minigrad.data import DataError, find_or_fetch, sets


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns 0, or 1 if a set cannot be had, or 130 after Ctrl-C."""
    parser = console.Parser(
        prog="python -m minigrad.data",
        description="Find or fetch data sets, verify them, and print where they lie.",
    )
    parser.add_argument("name", nargs="+", choices=sets.SHA256, help=" or ".join(sets.SHA256))
    parser.add_argument("--data-dir", metavar="DIR", help="look only here, and fetch nothing")
    options = parser.parse_args(arguments)
    if options.data_dir == "":
        parser.error("argument --data-dir: the name is empty; name a folder, or leave it out")
    status = 0
    try:
        for name in options.name:
            try:
                say(f"{name}: {find_or_fetch(name, options.data_dir)}")
            except DataError as error:
                warn(error)
                status = 1
    except KeyboardInterrupt:
        warn("\nInterrupted. Files that had come whole are kept.")
        return 130
    return status


if __name__ == "__main__":
    console.script(main)
