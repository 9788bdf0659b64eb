"""A training run has a folder, and a loop that can stop anywhere and go on to the same bits."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from minigrad import rng
from minigrad.checks import whole
from minigrad.console import progress as progress_bar
from minigrad.console import say
from minigrad.training.checkpoint import load, replacing, save, storable
from minigrad.training.folder import Abort, Lock, earlier_run, remove_unfinished, set_aside
from minigrad.training.metrics import Metrics
from minigrad.training.signals import Interrupted, handling, stop_signals


class Run:
    """A Run has a folder with metrics.jsonl, a checkpoint and a lock, and the loop that fills them.

        with Run("runs/mine", model=model, adam=adam, batches=batches) as run:
            for iteration in run.steps(5000):
                ...
                iteration.log(loss=loss)

    settings: values that must equal those in the checkpoint if the run resumes
    resume: whether to go on from the checkpoint in the folder, to the same bits as a run that never
        stopped; otherwise an earlier run in the folder is set aside, and nothing of it is lost
    files: patterns for the names of other files that the training writes there and that are set
        aside with the run, such as "samples*.png"; curves.png, summary.json, and weights with a
        number of five digits or more, such as model-00100.safetensors, are known
    parts: everything that a step changes, by name, each with state_dict and load_state_dict; the
        random generator is always included

    Raises TypeError or ValueError for settings that JSON can't hold and for parts without a state.
    Raises Abort, and changes nothing, if there is no checkpoint to go on from or it does not fit,
    if files that are not a run's would be overwritten, or if another run uses the folder.
    """

    def __init__(self, folder, settings=None, *, resume=False, files=(), **parts):
        self.folder, self.settings, self.parts = Path(folder), settings or {}, parts
        _check(self.settings, parts)
        self.checkpoint = checkpoint_path(self.folder)
        self.iteration = 0  # the number of the last iteration that was done
        self.signal = 0  # the first signal that asked the run to end, or 0
        self._loop = lambda: None  # gives the loop under way, held weakly, so that `break` ends it
        if resume and not self.checkpoint.exists():
            raise Abort(f"--resume: there is no {self.checkpoint}; start without --resume")
        if not resume:
            earlier_run(self.folder, files)  # raises Abort before anything is made
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.folder)
        try:
            if resume:
                self._go_on()
            else:
                self._start_afresh(files)
            remove_unfinished(self.folder, files)
        except BaseException:
            self._lock.undo()
            raise

    def _start_afresh(self, files):
        """Set an earlier run aside, now that the lock keeps others from changing the folder."""
        if names := earlier_run(self.folder, files):
            archive = set_aside(self.folder, names)
            say(f"the earlier run in {self.folder} is now in {archive}")
        self._metrics = Metrics(self.folder / "metrics.jsonl", 0)

    def _go_on(self):
        arrays, made_with = load(self.checkpoint)
        iteration = made_with.pop("iteration", None)
        if type(iteration) is not int:
            raise Abort(f"--resume: {self.checkpoint} is no checkpoint, but weights")
        if made_with != self.settings:
            raise Abort(
                f"--resume: {self.checkpoint} was made with {made_with}, not {self.settings}"
            )
        self._metrics = Metrics(self.folder / "metrics.jsonl", iteration)
        self._restore(arrays)
        self.iteration = iteration

    # ---- the loop

    def steps(self, until, record=100, checkpoint=1000, progress=True) -> Iterator["Iteration"]:
        """Iterate up to number `until`, from 1 or from the iteration after the checkpoint.

        record: how many iterations share a line of means in metrics.jsonl
        checkpoint: how many iterations there are from one checkpoint to the next
        progress: whether to show a bar

        The last iteration always ends with a line and a checkpoint; `iteration.stop()` makes an
        iteration the last one, whereas after `break` neither is written. In the main thread
        Ctrl-C, SIGTERM and a closed terminal end the loop after the current iteration: the run is
        saved, and Interrupted is raised. Raises Abort if the run is past `until` already.
        """
        if not self._lock.release.alive:
            raise RuntimeError("Run.steps: the run was closed; make another, with resume=True")
        for name, value in (("until", until), ("record", record), ("checkpoint", checkpoint)):
            whole("Run.steps", name, value)
        if self.iteration > until:
            at = self.iteration
            raise Abort(f"{self.folder} is at iteration {at} already; {until} was asked for")
        self._leave_loop()
        loop = self._iterations(until, record, checkpoint, progress)
        self._loop = weakref.ref(loop)
        return loop

    def _iterations(self, until, record, checkpoint, progress):
        def note(number, frame):
            self.signal = self.signal or number

        bar = progress_bar(
            unit="it", mininterval=0.5, initial=self.iteration, total=until, disable=not progress
        )
        self.signal = 0
        with bar, self._metrics, handling(stop_signals(), note):
            for number in range(self.iteration + 1, until + 1):
                iteration = Iteration(number, until, self._metrics)
                yield iteration
                self.iteration = number
                bar.update()
                if number % record == 0 or iteration.last:
                    means = self._metrics.record(number)
                    bar.set_postfix_str("  ".join(f"{k} {mean:.4g}" for k, mean in means.items()))
                if number % checkpoint == 0 or iteration.last or self.signal:
                    self.save_checkpoint()
                if self.signal:
                    raise Interrupted(self.signal, self.folder)
                if iteration.last:
                    return

    @property
    def metrics(self) -> list[dict]:
        """run.metrics is the list of the lines of metrics.jsonl so far."""
        return self._metrics.lines

    # ---- what is saved

    def save_checkpoint(self) -> None:
        """Replace the checkpoint, after the metrics that belong to it are on the disk."""
        self._metrics.sync()
        save(self.checkpoint, self._state(), iteration=self.iteration, **self.settings)

    def save_summary(self, **values) -> dict:
        """Write summary.json: settings, iterations, seconds, and these values. Returns them all."""
        seconds = self.metrics[-1]["seconds"] if self.metrics else 0.0
        about = {"iterations": self.iteration, "seconds": seconds}
        summary = self.settings | about | values
        with replacing(self.folder / "summary.json") as temporary:
            temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        return summary

    def _state(self):
        states = {name: part.state_dict() for name, part in self.parts.items()}
        states["random"] = rng.get_state()
        recent = self._metrics.recent.items()
        states["recent"] = {name: np.array(numbers) for name, numbers in recent}
        return {f"{part}.{k}": v for part, state in states.items() for k, v in state.items()}

    def _restore(self, arrays):
        """Restore all of the parts or none: the checkpoint may be of another architecture."""
        states: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*self.parts, "recent")}
        for name, array in arrays.items():
            part, _, key = name.partition(".")
            states.setdefault(part, {})[key] = array
        before = {name: part.state_dict() for name, part in self.parts.items()}
        try:
            unknown = states.keys() - {*self.parts, "recent", "random"}
            if unknown or any(array.ndim != 1 for array in states["recent"].values()):
                raise ValueError(f"there is no place for {', '.join(unknown) or 'its numbers'}")
            for name, part in self.parts.items():
                part.load_state_dict(states[name])
            rng.set_state(states.get("random", {}))  # it comes last, because it is all or nothing
        except BaseException as error:
            for name, part in self.parts.items():
                part.load_state_dict(before[name])
            if isinstance(error, (ValueError, KeyError, TypeError)):
                raise Abort(f"{self.checkpoint} is of another model: {error}") from None
            raise
        self._metrics.recent = {name: array.tolist() for name, array in states["recent"].items()}

    # ---- its end

    def close(self) -> None:
        """Leave the loop, if it is running, and release the folder's lock."""
        self._leave_loop()
        self._lock.release()

    def _leave_loop(self):
        if (loop := self._loop()) is not None:
            loop.close()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_):
        self.close()


def _check(settings, parts):
    """Refuse at once what would fail at the first checkpoint, perhaps hours later."""
    try:
        same = json.loads(json.dumps(settings, allow_nan=False)) == settings
    except (TypeError, ValueError):
        same = False
    if not same or not isinstance(settings, dict) or settings.keys() & {"iteration", "sha256"}:
        raise ValueError(
            f"Run: settings = {settings!r}; they must be a dictionary of text, numbers, lists and "
            "dictionaries with text for keys, as JSON has them, and none called iteration or sha256"
        )
    for name, part in parts.items():
        if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
            raise TypeError(
                f"Run: {name} is a {type(part).__name__}; a part must have state_dict() and "
                "load_state_dict(state), which a checkpoint needs"
            )
        if name in ("random", "recent") or "." in name:
            raise ValueError(f"Run: a part can't be called {name}; choose another name")
        for key, array in part.state_dict().items():
            storable(f"{name}.{key}", array)


class Iteration(int):
    """An Iteration is the number of a step, from 1 on, and logs what the step gave."""

    def __new__(cls, number, until, metrics):
        iteration = super().__new__(cls, number)
        iteration.last = number == until
        iteration._metrics = metrics
        return iteration

    last: bool  # whether the loop ends after this iteration
    _metrics: Metrics

    def log(self, **values) -> None:
        """Log numbers, or tensors of one number, by name. Raises Abort if one is not finite."""
        self._metrics.log(self, values)

    def stop(self) -> None:
        """Make this iteration the last one."""
        self.last = True

    def every(self, n) -> bool:
        """Return whether the number is n, 2n, 3n, …"""
        return self % n == 0


def checkpoint_path(folder) -> Path:
    """Return the path of the checkpoint in a run's folder."""
    return Path(folder) / "checkpoint.safetensors"
