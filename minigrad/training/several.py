"""Several runs of one training: side by side, and what they give together."""

import json

from minigrad.console import say, warn
from minigrad.training.checkpoint import replacing
from minigrad.training.folder import make_room
from minigrad.training.report import print_table, together
from minigrad.training.signals import handling, stop_signals


def repeat(task, options, numbers, unit, save_as=None, files=()) -> None:
    """task(options, number) for each number, --jobs of them side by side.

    A task returns a summary; its "results" are {what: {name: value}}. Of several runs, all
    summaries and their means are written to save_as, and the means are printed. files: as for
    `Run`, where save_as may be in an earlier run's folder.
    """
    from joblib import Parallel, delayed  # only now: a training of one's own need not have it

    several = options.runs > 1
    if several and save_as and (aside := make_room(save_as, options.resume, files)):
        say(f"the earlier {save_as} is now in {aside}")
    # joblib gives each of its processes its share of the cores, and no more.
    with handling(stop_signals() if options.jobs > 1 else [], _stop_all):
        summaries = Parallel(n_jobs=options.jobs)(delayed(task)(options, n) for n in numbers)
    table = together([summary["results"] for summary in summaries])
    if several and save_as:
        with replacing(save_as) as temporary:
            content = {"runs": summaries, "together": table}
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if several:
        print_table(table, unit)


def show(options, results, unit) -> None:
    """The table of a single run, which its task prints as soon as it has the results."""
    if options.runs == 1:
        print_table(together([results]), unit)


def _stop_all(number, frame):
    """Leave joblib, which ends its processes then; their last checkpoints are whole."""
    warn("\nstopped; the same command with --resume goes on from the last checkpoints")
    raise SystemExit(128 + number)
