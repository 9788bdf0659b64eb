"""What every training script does: a loop that can stop anywhere, and runs over several seeds."""

import json
import os
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from minigrad import random
from minigrad.checkpoint import replacing
from models.report import print_table, together
from models.run import Abort, Interrupted, Run, checkpoint_path, positive, whole


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
        """Go on from the run's checkpoint. Raises Abort if that is of another architecture."""
        states: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*self.parts, "recent")}
        for name, array in run.state.items():
            part, _, rest = name.partition(".")
            states.setdefault(part, {})[rest] = array
        try:
            for name, part in self.parts.items():
                part.load_state_dict(states[name])
        except ValueError as error:
            raise Abort(f"{run.checkpoint} is of another model: {error}") from None
        random.set_state(states["random"])
        self.recent = {name: array.tolist() for name, array in states["recent"].items()}
        self.iteration = run.iteration

    def go_on(self, run, until, *, record, save, also=None, after=None, hidden=False):
        """Steps up to iteration `until`, with a progress bar unless hidden.

        record, save: metrics and a checkpoint at every so many iterations, and at the last. The
        metrics are means since the ones before, and what also(iteration) returns. after(iteration)
        is called after every step, before a checkpoint. Raises Interrupted after a signal.
        """
        steps = range(self.iteration + 1, until + 1)
        bar = tqdm(
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
    parser.add_option("data_dir", type=Path, help="where the data lie (default: found or fetched)")
    parser.add_option("resume", action="store_true", help="go on from the run's last checkpoint")


def open_run(options, folder, settings, training, until):
    """The run in that folder, at the iteration that the training is at: --resume's, or 0.

    Of several runs, --resume starts those that were not reached before. Raises Abort.
    """
    resume = options.resume and (options.runs == 1 or checkpoint_path(folder).exists())
    run = Run(folder, settings, resume)
    if resume:
        training.restore(run)
    if training.iteration > until:
        raise Abort(f"{folder} is at iteration {training.iteration} already; {until} was asked for")
    return run


def repeat(task, options, numbers, unit, save_as=None):
    """task(options, number) for each number, --jobs of them side by side; prints their results.

    A task returns a summary; its "results" are {what: {name: value}}. Of several runs, all
    summaries and their means are written to save_as.
    """
    if options.jobs > 1:  # each process shall have its share of the cores, and no more
        share = max(1, (os.cpu_count() or 1) // options.jobs)
        os.environ.setdefault("NUMBA_NUM_THREADS", str(share))
    summaries = Parallel(n_jobs=options.jobs)(delayed(task)(options, n) for n in numbers)
    table = together([summary["results"] for summary in summaries])
    if save_as and options.runs > 1:
        with replacing(save_as) as temporary:
            content = {"runs": summaries, "together": table}
            temporary.write_text(json.dumps(content, indent=2) + "\n")
    print_table(table, unit)
