"""Several runs of one training can go side by side, and their results become one table."""

import json
import os

from minigrad.console import say, warn
from minigrad.training.checkpoint import replacing
from minigrad.training.folder import make_room
from minigrad.training.report import print_table, summarise
from minigrad.training.signals import handling, stop_signals


def repeat(task, options, numbers, unit, save_as=None, files=()) -> None:
    """Call task(options, number) for each number, --jobs of them side by side.

    A task returns a summary, whose "results" are {what: {name: value}}. If there are several runs,
    all summaries and their means are written to save_as, and the means are printed.

    files: as for `Run`, because save_as may be in an earlier run's folder
    """
    joblib, several = _joblib(), options.runs > 1
    if several and save_as and (archive := make_room(save_as, options.resume, files)):
        say(f"the earlier {save_as} is now in {archive}")
    # joblib gives each of its processes its share of the cores, and no more.
    with handling(stop_signals() if options.jobs > 1 else [], _stop_all):
        summaries = joblib.Parallel(n_jobs=options.jobs)(
            joblib.delayed(task)(options, n) for n in numbers
        )
    if several:
        table = summarise([summary["results"] for summary in summaries])
        if save_as:
            with replacing(save_as) as temporary:
                content = {"runs": summaries, "together": table}
                temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print_table(table, unit)


def show(options, results, unit) -> None:
    """Print the table of a single run. A task calls this as soon as it has the results."""
    if options.runs == 1:
        print_table(summarise([results]), unit)


def _stop_all(number, frame):
    """Leave joblib, which then ends its processes. Their last checkpoints are whole."""
    warn("\nstopped; the same command with --resume goes on from the last checkpoints")
    raise SystemExit(128 + number)


def _joblib():
    """Import joblib, which only this file needs, and take back the variable for OpenMP that it sets
    in the environment: that is the host's."""
    before = set(os.environ)
    import joblib

    for name in set(os.environ) - before:
        del os.environ[name]
    return joblib
