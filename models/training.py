"""What every training script does: a loop that can stop anywhere, and runs over several seeds."""

import json

import numpy as np
from joblib import Parallel, delayed

from minigrad import random
from minigrad.checkpoint import replacing
from minigrad.console import progress, say, warn
from models.folder import make_room
from models.report import print_table, together
from models.run import (
    Abort,
    Interrupted,
    Run,
    checkpoint_path,
    folder_path,
    handling,
    positive,
    stop_signals,
    whole,
)


class Training:
    """A loop of training steps that goes on from a checkpoint with the bits of an undisturbed run.

    step: does one step and returns its numbers by name. parts: whatever a step changes, by name:
    each has state_dict and load_state_dict. The random generator is always one of them.
    """

    def __init__(self, step, **parts):
        self.step, self.parts = step, parts
        self.iteration = 0
        self.recent: dict[str, list[float]] = {}  # the steps' numbers since the last metrics

    def state(self):
        states = {name: part.state_dict() for name, part in self.parts.items()}
        states["random"] = random.get_state()
        states["recent"] = {name: np.array(numbers) for name, numbers in self.recent.items()}
        return {f"{part}.{k}": v for part, state in states.items() for k, v in state.items()}

    def restore(self, run):
        """Go on from the run's checkpoint. Raises Abort, and changes nothing, if it does not fit:
        it is of another architecture, say."""
        states: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*self.parts, "recent")}
        for name, array in run.state.items():
            part, _, rest = name.partition(".")
            states.setdefault(part, {})[rest] = array
        before = {name: part.state_dict() for name, part in self.parts.items()}
        try:
            unknown = states.keys() - {*self.parts, "recent", "random"}
            if unknown or any(array.ndim != 1 for array in states["recent"].values()):
                raise ValueError(f"there is no place for {', '.join(unknown) or 'its numbers'}")
            for name, part in self.parts.items():
                part.load_state_dict(states[name])
            random.set_state(states.get("random", {}))  # itself all or nothing: so it comes last
        except BaseException as error:
            for name, part in self.parts.items():
                part.load_state_dict(before[name])
            if isinstance(error, (ValueError, KeyError, TypeError)):
                raise Abort(f"{run.checkpoint} is of another model: {error}") from None
            raise
        self.recent = {name: array.tolist() for name, array in states["recent"].items()}
        self.iteration = run.iteration

    def go_on(self, run, until, *, record, save, also=None, after=None, hidden=False):
        """Steps up to iteration `until`, with a progress bar unless hidden.

        record, save: metrics and a checkpoint at every so many iterations, and at the last. The
        metrics are means since the ones before, and what also(iteration) returns. after(iteration)
        is called after every step, before a checkpoint. Raises Interrupted after a signal.
        """
        steps = range(self.iteration + 1, until + 1)
        bar = progress(
            steps, unit="it", mininterval=0.5, initial=self.iteration, total=until, disable=hidden
        )
        for iteration in bar:
            for name, number in self.step().items():
                self.recent.setdefault(name, []).append(number)
            self.iteration, last = iteration, iteration == until
            if iteration % record == 0 or last:
                means = {name: float(np.mean(numbers)) for name, numbers in self.recent.items()}
                run.record(iteration=iteration, **means, **(also(iteration) if also else {}))
                self.recent.clear()
                bar.set_postfix_str("  ".join(f"{name} {mean:.2f}" for name, mean in means.items()))
            if after:
                after(iteration)
            if iteration % save == 0 or last or run.signal:
                run.save_checkpoint(self.state(), iteration)
            if run.signal:
                bar.close()
                raise Interrupted(run.signal, run.folder)


def add_run_options(parser):
    """The options that are the same in each script."""
    parser.add_option("runs", type=whole(1), default=1, help="how many runs (%(default)s)")
    parser.add_option("jobs", type=whole(1), default=1, help="runs side by side (%(default)s)")
    parser.add_option("lr", type=positive, default=1e-3, help="Adam's step size (%(default)s)")
    where = "where the data lie (default: found or fetched)"
    parser.add_option("data_dir", type=folder_path, help=where)
    parser.add_option("resume", action="store_true", help="go on from the run's last checkpoint")


def open_run(options, folder, settings, training, until):
    """The run in that folder, at the iteration that the training is at: --resume's, or 0.

    Of several runs, --resume starts those that were not reached before. Raises Abort.
    """
    resume = options.resume and (options.runs == 1 or checkpoint_path(folder).exists())
    run = Run(folder, settings, resume)
    try:
        if resume:
            training.restore(run)
        if training.iteration > until:
            at = training.iteration
            raise Abort(f"{folder} is at iteration {at} already; {until} was asked for")
    except BaseException:
        run.close()
        raise
    return run


def show(options, results, unit):
    """The table of a single run, which its task prints as soon as it has the results."""
    if options.runs == 1:
        print_table(together([results]), unit)


def _stop_all(number, frame):
    """Leave joblib, which ends its processes then; their last checkpoints are whole."""
    warn("\nstopped; the same command with --resume goes on from the last checkpoints")
    raise SystemExit(128 + number)


def repeat(task, options, numbers, unit, save_as=None):
    """task(options, number) for each number, --jobs of them side by side.

    A task returns a summary; its "results" are {what: {name: value}}. Of several runs, all
    summaries and their means are written to save_as, and the means are printed.
    """
    several = options.runs > 1
    if several and save_as and (aside := make_room(save_as, replace=options.resume)):
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
